"""A wired box with a label enrols through its station: ptys, the real station, the real services behind it."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from controller.services import nodes
from controller.services.broker_logins import logins
from controller.services.enrolments import Confirmation, Verdict
from controller.store import Database
from devices.links.https import Body
from devices.links.loopback import LoopbackBroker, LoopbackLink
from devices.links.serial import SerialLink
from devices.node.boxfile import BoxConfig, Bus
from devices.node.bus_enrolling import NEW_BOX, BusCentre
from devices.node.enrolled import Done, EnrolmentFolder, with_enrolled
from devices.node.enrolling import Enrolling
from devices.protocol.identity import NodeIdentity
from devices.protocol.label import Label
from devices.station.config import DropEntry, StationConfig, parse_config
from devices.station.enrolling import LONGEST_QUESTION, EnrolmentRelay
from devices.station.relay import Station
from loa.clock import SystemClock
from loa.entropy import system_entropy
from loa.errors import Refused
from loa.units import NodeId, StationId
from simulators.bus import SerialBus
from tests.controller.services.boxes import Office
from tests.controller.services.conftest import QN, build
from tests.links.fakes import until

CLOCK = SystemClock()
BAUD = 38_400


@pytest.fixture
def office(tmp_path: Path) -> Office:
    db = Database(f"sqlite:///{tmp_path / 'loa.db'}", inline=True)
    db.upgrade()
    world = build(db, tmp_path / "media")
    world.run(lambda session: nodes.add_station(session, world.ctx, id="dai", area=f"{QN}/co-to"))
    return Office(world)


@asynccontextmanager
async def bus_of(relay: EnrolmentRelay, *, bit_errors: float = 0.0) -> AsyncIterator[BusCentre]:
    """A station with one wired box at address 3 that has no name yet."""
    bus = SerialBus(CLOCK, BAUD, 1, bit_errors=bit_errors)
    bus.start()
    drops = (DropEntry(3, NodeId("day-1")),)
    config = StationConfig(StationId("dai"), "mqtt://unused", bus.station_path, BAUD, drops)
    station = Station(config, LoopbackLink(LoopbackBroker()), CLOCK, enrolment=relay)
    centre = BusCentre(SerialLink(bus.drop_paths[0], BAUD, 3, NEW_BOX, CLOCK), system_entropy)
    try:
        await station.start()
        await centre.start()
        yield centre
    finally:
        await centre.stop()
        await station.stop()
        await bus.stop()


@pytest.mark.slow
@pytest.mark.parametrize("bit_errors", [0.0, 1e-4])
async def test_from_label_to_wired_node(office: Office, tmp_path: Path, bit_errors: float) -> None:
    label = office.label()
    codes: list[str] = []

    def shown(code: str) -> None:
        codes.append(code)
        wanted = Confirmation(code=code, name="day-1", area=f"{QN}/co-to", station="dai", bus_address=3)
        assert office.confirm(label, wanted)[0] is Verdict.CONFIRMED

    async with bus_of(EnrolmentRelay(None, post=office.post), bit_errors=bit_errors) as centre:
        folder = EnrolmentFolder(tmp_path / "box")
        done = await Enrolling(label, folder, centre, CLOCK, system_entropy, tell=shown).run()
    assert done == Done(label.name, "day-1")
    view = office.world.run(lambda session: nodes.node(session, office.world.ctx, "day-1"))
    assert (view.station, view.bus_address) == ("dai", 3)
    bus = Bus(port="/dev/null", baud=BAUD, address=3)
    whole = with_enrolled(BoxConfig(data=tmp_path / "box", bus=bus))
    assert whole.identity is not None
    assert NodeIdentity.from_text(whole.identity.read_text()).key.public_key == view.public_key
    assert whole.broker is None
    assert office.world.run(logins).hashes == (), "a wired node has no name at the broker"


@pytest.mark.slow
async def test_a_station_that_lies_changes_nothing(office: Office, tmp_path: Path) -> None:
    label = office.label()
    office.tamper = lambda _path, reply: reply | {"roots": base64.b64encode(b"other").decode()}
    async with bus_of(EnrolmentRelay(None, post=office.post)) as centre:
        box = Enrolling(label, EnrolmentFolder(tmp_path / "box"), centre, CLOCK, system_entropy)
        with pytest.raises(Refused, match="enrolment_forged"):
            await box.step()
        unused = office.label()
        wrong = Label(unused.id, bytes(16), unused.address)
        other = Enrolling(wrong, EnrolmentFolder(tmp_path / "other"), centre, CLOCK, system_entropy)
        with pytest.raises(Refused, match="enrolment_forged"):  # the centre's own refusal, over the bus
            await other.step()


async def test_a_station_asks_two_things_and_one_at_a_time() -> None:
    asked: list[str] = []
    answers: list[tuple[str, bytes]] = []

    def post(path: str, body: Body) -> Body:
        del body
        asked.append(path)
        return {"ok": True}

    relay = EnrolmentRelay(None, post=post)
    good = {"number": "0" * 8, "path": "/api/v1/enrolments", "body": {}}
    bad_ones: list[object] = [
        good | {"path": "/api/v1/nodes"},
        good | {"path": "/api/v1/enrolments/../nodes"},
        good | {"path": f"/api/v1/enrolments/{'0' * 32}/confirmation"},
        good | {"number": "x"},
        good | {"body": []},
        good | {"body": {"a": "b" * LONGEST_QUESTION}},
        [],
    ]
    for bad in bad_ones:
        relay.asked(3, json.dumps(bad).encode(), lambda topic, payload: answers.append((topic, payload)))
    relay.asked(3, b"\xff", lambda topic, payload: answers.append((topic, payload)))
    for _ in range(5):
        relay.asked(3, json.dumps(good).encode(), lambda topic, payload: answers.append((topic, payload)))
    await until(lambda: bool(answers), 5)
    await relay.stop()
    assert asked == ["/api/v1/enrolments"]
    assert [json.loads(payload) for _, payload in answers] == [{"number": "0" * 8, "body": {"ok": True}}]


async def test_a_station_without_a_centre_says_so() -> None:
    answers: list[bytes] = []
    relay = EnrolmentRelay(None)
    question = {"number": "0" * 8, "path": "/api/v1/enrolments", "body": {}}
    relay.asked(3, json.dumps(question).encode(), lambda _topic, payload: answers.append(payload))
    await until(lambda: bool(answers), 5)
    assert json.loads(answers[0])["refused"] == "centre_unreachable"


def test_a_stations_file_names_the_centre_by_https_alone() -> None:
    text = (
        'id = "dai"\nbroker = "mqtt://x"\n{}\n[bus]\nport = "/dev/x"\nbaud = 9600\n[[drop]]\naddress = 1\nnode = "a"\n'
    )
    assert parse_config(text.format('centre = "https://LOA.example.vn:8443/"')).centre == "https://loa.example.vn:8443"
    assert parse_config(text.format('password_file = "/x"')).login == "station.dai"
    assert parse_config(text.format("")).login is None
    with pytest.raises(Refused, match="bad_centre_address"):
        parse_config(text.format('centre = "http://loa.example.vn"'))
