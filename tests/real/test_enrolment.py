"""A real box enrols at a real centre over HTTPS, with mosquitto as `loa broker-config` sets it up; and its enemies."""

import base64
import json
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from controller.certificates import Certified, make_server
from controller.services.broker_logins import CENTRE
from devices.links.tls import pinned_context
from devices.protocol.envelope import seal
from devices.protocol.identity import NodeIdentity
from devices.protocol.reports import Presence, PresenceState
from loa.units import InstantMs, NodeId
from simulators.bus import SerialBus
from tests import tools
from tests.brokers import ServerProcess
from tests.controller.wire.waiting import eventually
from tests.guarded import Client
from tests.real.field import CLOCK, COMMUNE, CentreProcess, LoaProcess, sounded_s
from tests.real.middle import InTheMiddle

pytestmark = [pytest.mark.slow, pytest.mark.needs("mosquitto")]
YEAR_MS = 365 * 86_400_000


class ConfiguredMosquitto(ServerProcess):
    """mosquitto on the files that the command wrote."""

    name = "mosquitto"

    def __init__(self, folder: Path, data: Path) -> None:
        super().__init__()
        self.folder = folder
        made = LoaProcess(
            folder.with_suffix(".log"), "broker-config", "--out", str(folder), "--data", str(data), "--host",
            "127.0.0.1", "--port", str(self.port), "--bind", "127.0.0.1",
        )  # fmt: skip
        made.launch()
        assert made.process is not None
        assert made.process.wait(60) == 0, made.log
        self.environment_of_centre = dict(
            line.split("=", 1) for line in (folder / "centre.env").read_text().splitlines()
        )

    def command(self) -> list[str]:
        return [tools.program("mosquitto") or "mosquitto", "-c", str(self.folder / "mosquitto.conf")]


class SecureCentre(CentreProcess):
    """`loa serve --tls` on that broker."""

    def __init__(self, folder: Path, broker: ConfiguredMosquitto) -> None:
        settings = broker.environment_of_centre
        super().__init__(folder, settings["LOA_BROKER"], "--tls")
        self.data.mkdir(exist_ok=True)
        words = {"broker_files": settings["LOA_BROKER_FILES"], "boxes_broker": settings["LOA_BOXES_BROKER"]}
        (self.data / "loa.toml").write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in words.items()))

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def client(self, timeout_s: float = 30.0) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return httpx.AsyncClient(
            base_url=self.address, headers=headers, timeout=timeout_s, trust_env=False, verify=False
        )

    async def label(self) -> Any:
        return (await self.ask("POST", "/labels", json={}))["items"][0]

    async def pending(self) -> list[Any]:
        return list((await self.ask("GET", "/enrolments"))["items"])

    async def node(self, name: str) -> Any:
        return await self.ask("GET", f"/nodes/{name}")


class NewBox(LoaProcess):
    """`loa node` with a label and nothing else; `bus` are more lines of its file."""

    def __init__(self, folder: Path, *label: str, bus: str = "") -> None:
        folder.mkdir(exist_ok=True)
        self.data, self.heard = folder / "data", folder / "heard"
        (folder / "node.toml").write_text(
            f'data = "data"\nspeaker = "record:{self.heard}"\nrtc_trusted = true\nhealth_interval_s = 1\n{bus}'
        )
        super().__init__(folder / "box.log", "node", "--config", str(folder / "node.toml"), "--enrol", *label)
        self.launch()

    @property
    def code(self) -> str | None:
        found = re.search(r"^comparison code  (\d{3} \d{3})$", self.log, re.MULTILINE)
        return None if found is None else found[1]

    async def confirmed(self, centre: SecureCentre, label: str, **wanted: str | int) -> None:
        await eventually(lambda: self.code is not None, within_s=30)
        body = {"code": self.code, **wanted}
        await centre.ask("POST", f"/enrolments/{label}/confirmation", json=body)

    async def online(self, centre: SecureCentre, name: str) -> None:
        async def known() -> bool:
            shown = await centre.node(name)
            return shown["state"] == "online" and (shown["health"] or {}).get("time_error_ms") is not None

        await eventually(known, within_s=60, every_s=0.2)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[ConfiguredMosquitto]:
    made = ConfiguredMosquitto(tmp_path / "mosquitto", tmp_path / "data")
    made.start()
    yield made
    made.stop()


@pytest_asyncio.fixture
async def centre(tmp_path: Path, broker: ConfiguredMosquitto) -> AsyncIterator[SecureCentre]:
    made = SecureCentre(tmp_path, broker)
    await made.start()
    await made.ask("POST", "/areas", json={"path": COMMUNE, "name": "Cô Tô"})
    yield made
    made.kill()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Any]:
    boxes: list[NewBox] = []

    def make(name: str, *label: str, bus: str = "") -> NewBox:
        boxes.append(NewBox(tmp_path / name, *label, bus=bus))
        return boxes[-1]

    yield make
    for one in boxes:
        one.kill()


async def test_from_label_to_sound_through_a_reboot_with_a_certificate_of_another_time(
    centre: SecureCentre, broker: ConfiguredMosquitto, box: Any
) -> None:
    authority = Certified(*((broker.folder / f"ca.{end}").read_bytes() for end in ("pem", "key")))
    made = make_server(authority, ["127.0.0.1"], InstantMs(CLOCK.now_ms() - 40 * YEAR_MS))
    broker.stop()
    (broker.folder / "server.pem").write_bytes(made.certificate)
    (broker.folder / "server.key").write_bytes(made.key)
    broker.start()
    label = await centre.label()
    first: NewBox = box("one", label["text"])
    await eventually(lambda: first.code is not None, within_s=30)
    (waits,) = await centre.pending()
    assert (waits["code"], waits["label"]) == (first.code, label["id"])
    assert (await centre.ask("GET", "/nodes"))["items"] == []
    first.kill()
    first.launch()  # the power was away: the same key, the same code
    await first.confirmed(centre, label["id"], name="co-to-1", area=COMMUNE)
    await first.online(centre, "co-to-1")
    assert len(set(re.findall(r"^comparison code  (.*)$", first.log, re.MULTILINE))) == 1
    assert (await centre.node("co-to-1"))["public_key"] == waits["public_key"]

    broadcast = await centre.say(await centre.bulletin(6.0, "Chào"), "greeting")
    await eventually(lambda: centre.all_have(broadcast, "finished"), within_s=60, every_s=0.2)
    (sound,) = first.heard.glob(f"co-to-1-{broadcast}*.wav")
    assert sounded_s(sound) > 1.5
    assert first.stop() == 0


async def test_a_new_box_in_its_place_and_a_box_that_was_stolen(
    centre: SecureCentre, broker: ConfiguredMosquitto, box: Any, tmp_path: Path
) -> None:
    one_label, two_label = await centre.label(), await centre.label()
    old: NewBox = box("old", one_label["text"])
    await old.confirmed(centre, one_label["id"], name="co-to-1", area=COMMUNE)
    await old.online(centre, "co-to-1")
    old.stop()
    loot = tmp_path / "old" / "data" / ".enrolment"
    identity = NodeIdentity.from_text((loot / "identity.json").read_text())
    password = (loot / "password").read_text().strip()
    url, tls = f"mqtts://127.0.0.1:{broker.port}", pinned_context((loot / "ca.pem").read_text())

    # A thief has its key and its password. It gets in under its own name and speaks for no other.
    thief = await Client(url, "co-to-1", password, tls, ("#",)).start()
    await eventually(lambda: thief.link.is_up)
    for name in ("co-to-1", "co-to-2"):
        forged = Presence(node=NodeId(name), session=99, state=PresenceState.ONLINE)
        thief.publish(f"loa/1/n/{name}/presence", seal(forged, identity.key))
        thief.publish(f"loa/1/a/{COMMUNE}/order", b"an order")
    await eventually(lambda: centre_counts(centre, 'loa_wire_received_total{kind="presence"}', 3), every_s=0.2)

    # Its label has served: enrolling another box with it is refused, and tells nothing.
    again: NewBox = box("again", one_label["text"])
    await eventually(lambda: "label_used" in again.log, within_s=30)
    assert await centre.pending() == []

    # The technician brings another box. From then on the thief is out of the broker, and its key is not believed.
    new: NewBox = box("new", two_label["text"])
    await new.confirmed(centre, two_label["id"], replaces="co-to-1")
    await eventually(lambda: bool(thief.downs), within_s=30)
    await new.online(centre, "co-to-1")
    ups = thief.ups
    await eventually(lambda: "Not authorized" in (thief.link.last_error or ""), within_s=30)
    assert thief.ups == ups
    await thief.link.stop()
    said = (await centre.ask("GET", "/nodes"))["items"]
    assert [one["id"] for one in said] == ["co-to-1"]
    assert said[0]["public_key"] != identity.key.public_key.hex()


async def test_a_wired_box_through_its_station(
    centre: SecureCentre, broker: ConfiguredMosquitto, box: Any, tmp_path: Path
) -> None:
    """It has a bus and nothing else: its station passes the enrolment on, and afterwards what it says."""
    await centre.ask("POST", "/stations", json={"id": "dai", "area": COMMUNE})
    password = (await centre.ask("POST", "/stations/dai/broker-password"))["password"]
    (tmp_path / "password").write_text(password)
    bus = SerialBus(CLOCK, 38_400, 1, collisions=False)
    bus.start()
    (tmp_path / "station.toml").write_text(
        f'id = "dai"\nbroker = "mqtts://127.0.0.1:{broker.port}"\npassword_file = "{tmp_path / "password"}"\n'
        f'ca_file = "{broker.folder / "ca.pem"}"\ncentre = "{centre.address}"\n'
        f'[bus]\nport = "{bus.station_path}"\nbaud = 38400\n[[drop]]\naddress = 3\nnode = "day-1"\n'
    )
    station = LoaProcess(tmp_path / "station.log", "station", "--config", str(tmp_path / "station.toml"))
    station.launch()
    try:
        label = await centre.label()
        lines = f'[bus]\nport = "{bus.drop_paths[0]}"\nbaud = 38400\naddress = 3\n'
        wired: NewBox = box("wired", label["text"], bus=lines)
        await wired.confirmed(centre, label["id"], name="day-1", area=COMMUNE, station="dai", bus_address=3)
        await wired.online(centre, "day-1")
        assert (await centre.node("day-1"))["station"] == "dai"
        # The station came in under its name before the node was enrolled, and speaks for it since.
        assert "station.dai" in (broker.folder / "mosquitto.log").read_text()
    finally:
        station.kill()
        await bus.stop()


async def test_a_cloned_box_is_seen(centre: SecureCentre, box: Any, tmp_path: Path) -> None:
    """A copy of its card, in another box: they push each other aside, and the centre tells that they do."""
    label = await centre.label()
    real: NewBox = box("real", label["text"])
    await real.confirmed(centre, label["id"], name="co-to-1", area=COMMUNE)
    await real.online(centre, "co-to-1")
    assert not (await centre.node("co-to-1"))["contested"]
    shutil.copytree(tmp_path / "real" / "data", tmp_path / "clone" / "data")
    box("clone", label["text"])

    async def contested() -> bool:
        return bool((await centre.node("co-to-1"))["contested"])

    await eventually(contested, within_s=90, every_s=0.5)
    await eventually(lambda: centre_counts(centre, "loa_contested_total", 1))


async def test_in_the_middle_without_the_secret(centre: SecureCentre, box: Any, tmp_path: Path) -> None:
    middle = InTheMiddle(tmp_path / "middle", centre.address)
    try:
        label = await centre.label()
        scanned = label["text"].replace(centre.address.upper(), middle.address.upper())
        # The label names the key of the centre's certificate: the box says nothing to another.
        pinned: NewBox = box("pinned", scanned)
        await eventually(lambda: "wrong_server" in pinned.log, within_s=30)
        assert middle.seen == []
        pinned.kill()

        # Only the code was typed: whoever answers may pass things on, and change nothing of them.
        typed = (label["code"], "--centre", middle.address)
        other = base64.b64encode(bytes(32)).decode()
        middle.asked = lambda _path, words: words | {"public_key": other}
        first: NewBox = box("first", *typed)
        await eventually(lambda: ("/api/v1/enrolments", 403) in middle.seen, within_s=30)
        assert await centre.pending() == []
        first.kill()
        middle.asked = lambda _path, words: words
        middle.answered = lambda path, words: (
            words | ({"roots": words["roots"][:-4] + "AAAA"} if "roots" in words else {})
        )
        second: NewBox = box("first", *typed)
        await eventually(lambda: second.log.count("enrolment_forged field=mac") >= 2, within_s=30)
        assert second.code is None

        middle.answered = lambda _path, words: words
        await second.confirmed(centre, label["id"], name="co-to-1", area=COMMUNE)
        await second.online(centre, "co-to-1")  # unaltered it is no more than a bad road
    finally:
        middle.stop()


async def test_the_centre_itself_is_the_only_one_of_its_name(broker: ConfiguredMosquitto, centre: SecureCentre) -> None:
    """A node's password does not open the centre's name, and nobody is let in without one."""
    tls = pinned_context((broker.folder / "ca.pem").read_text())
    one = await Client(f"mqtts://127.0.0.1:{broker.port}", CENTRE, "guess", tls, ("#",)).start()
    await eventually(lambda: one.link.last_error is not None)
    assert one.ups == 0
    await one.link.stop()


async def centre_counts(centre: SecureCentre, name: str, at_least: float) -> bool:
    async with centre.client() as client:
        text = (await client.get("/metrics")).text
    found = re.search(rf"^{re.escape(name)} ([0-9.]+)$", text, re.MULTILINE)
    return found is not None and float(found[1]) >= at_least
