"""One contract for both embedded brokers, and what is refused of brokers that others run."""

import asyncio
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.broker import EmbeddedBroker, ExternalBroker, choose_broker
from devices.links.mqtt import MqttLink
from devices.links.port import Delivery
from loa.clock import SystemClock
from loa.entropy import system_entropy
from loa.errors import OperatorNeeded, Refused
from tests.controller.wire.waiting import eventually

CLOCK = SystemClock()
EMBEDDED = [pytest.param("mosquitto", marks=pytest.mark.needs("mosquitto")), "amqtt"]


class Ear:
    """A client that keeps what it hears."""

    def __init__(self, url: str, name: str, *topics: str) -> None:
        self.heard: list[Delivery] = []
        self.ups = 0
        self.link = MqttLink(url, name, CLOCK, system_entropy, backoff_s=(0.1, 0.5))
        self.link.listen(topics)

    def link_up(self) -> None:
        self.ups += 1

    def link_down(self, reason: str) -> None:
        pass

    def delivered(self, delivery: Delivery) -> None:
        self.heard.append(delivery)


@pytest.fixture(params=EMBEDDED)
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EmbeddedBroker]:
    made = choose_broker(request.param, tmp_path, CLOCK)
    assert isinstance(made, EmbeddedBroker)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@pytest.mark.slow
async def test_eighty_clients_get_their_documents_and_orders_and_their_receipts_arrive(broker: EmbeddedBroker) -> None:
    centre = Ear(broker.url, "centre", "loa/1/n/+/receipt")
    await centre.link.start(centre)
    await eventually(lambda: centre.ups == 1)
    for area in range(8):
        for document in ("trust", "settings", "timetable"):
            centre.link.publish(f"loa/1/a/p/a{area}/{document}", b"%d" % area * 500, qos=1, retain=True)
    await centre.link.drained(0)
    nodes = [
        Ear(
            broker.url,
            f"n{n}",
            f"loa/1/n/n{n}/order",
            "loa/1/a/p/order",
            *(f"loa/1/a/p/a{n % 8}/{document}" for document in ("trust", "settings", "timetable")),
        )
        for n in range(80)
    ]
    try:
        await asyncio.gather(*(node.link.start(node) for node in nodes))
        await eventually(lambda: all(len(node.heard) == 3 for node in nodes), within_s=30)
        for n, node in enumerate(nodes):
            assert {one.topic.split("/")[4] for one in node.heard} == {f"a{n % 8}"}, "only what it asked for"
            assert all(one.retained and one.payload == b"%d" % (n % 8) * 500 for one in node.heard)
            node.heard.clear()
        centre.link.publish("loa/1/a/p/order", b"now", qos=1, urgent=True)
        await eventually(lambda: all(len(node.heard) == 1 for node in nodes))
        assert not any(node.heard[0].retained for node in nodes)
        for n, node in enumerate(nodes):
            for number in range(6):
                assert node.link.publish(f"loa/1/n/n{n}/receipt", b"%d" % number, qos=1)
        await eventually(lambda: len({(one.topic, one.payload) for one in centre.heard}) == 480, within_s=30)
    finally:
        await asyncio.gather(*(node.link.stop() for node in nodes), centre.link.stop())


@pytest.mark.slow
async def test_a_broker_that_dies_is_back_on_the_same_port(broker: EmbeddedBroker) -> None:
    ear = Ear(broker.url, "ear", "a")
    await ear.link.start(ear)
    await eventually(lambda: ear.ups == 1)
    assert broker.process is not None
    port = broker.port
    broker.process.kill()
    await eventually(lambda: ear.ups == 2)
    assert broker.port == port
    assert broker.restarts == 1
    assert ear.link.publish("a", b"x", qos=1)
    await eventually(lambda: len(ear.heard) == 1)
    await ear.link.stop()


@pytest.mark.slow
@pytest.mark.parametrize("name", EMBEDDED)
def test_the_broker_ends_with_us_even_when_we_are_killed(name: str) -> None:
    folder = Path(tempfile.mkdtemp(prefix="loa-broker-"))
    code = f"""
import asyncio, sys
from pathlib import Path
from controller.broker import choose_broker
from loa.clock import SystemClock
async def main():
    broker = choose_broker({name!r}, Path({str(folder)!r}), SystemClock())
    await broker.start()
    print(broker.process.pid, broker.port, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        child, port = map(int, parent.stdout.readline().split())
        assert _takes(port)
        parent.send_signal(signal.SIGKILL)
        parent.wait(5)
        asyncio.run(eventually(lambda: not _takes(port), within_s=5))
        asyncio.run(eventually(lambda: not Path(f"/proc/{child}").exists() or _is_zombie(child), within_s=5))
    finally:
        parent.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _takes(port: int) -> bool:

    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except OSError:
        return True


@pytest.mark.slow
@pytest.mark.needs("mosquitto")
async def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    first = choose_broker("mosquitto", tmp_path / "a", CLOCK)
    assert isinstance(first, EmbeddedBroker)
    await first.start()
    with pytest.raises(OperatorNeeded, match="broker_unreachable"):
        await choose_broker("amqtt", tmp_path / "b", CLOCK, port=first.port).start()
    await first.stop()


@pytest.mark.parametrize("wanted", ["rabbit", "http://a", "mqtt://", "ftp://x:1"])
def test_what_is_no_broker_is_refused(tmp_path: Path, wanted: str) -> None:
    with pytest.raises(Refused, match="bad_broker"):
        choose_broker(wanted, tmp_path, CLOCK)


def test_a_broker_open_to_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="insecure_broker"):
        choose_broker("mqtt://broker.example:1883", tmp_path, CLOCK)
    with pytest.raises(Refused, match="insecure_broker") as refusal:
        choose_broker("mqtt://:hidden@broker.example", tmp_path, CLOCK)
    assert "hidden" not in str(refusal.value)
    with pytest.raises(Refused, match="insecure_broker"):
        choose_broker("auto", tmp_path, CLOCK, bind="0.0.0.0")
    assert choose_broker("mqtt://broker.example:1883", tmp_path, CLOCK, insecure=True).name == "external"
    assert choose_broker("mqtt://127.0.0.1:1883", tmp_path, CLOCK).name == "external"
    assert choose_broker("mqtts://u:p@broker.example", tmp_path, CLOCK).name == "external"


def _our_address() -> str | None:
    """An address of this machine that is not loopback; none where it has none."""

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address: str = probe.getsockname()[0]
        return None if address.startswith("127.") else address


@pytest.mark.slow
@pytest.mark.needs("mosquitto")
async def test_a_password_does_not_help_where_the_broker_asks_for_none(tmp_path: Path) -> None:
    address = _our_address()
    if address is None:
        pytest.skip("this machine has no address but loopback")
    own = choose_broker("mosquitto", tmp_path, CLOCK, bind="0.0.0.0", insecure=True)
    assert isinstance(own, EmbeddedBroker)
    await own.start()
    with pytest.raises(Refused, match="insecure_broker"):
        await ExternalBroker(f"mqtt://loa:secret@{address}:{own.port}").start()
    await ExternalBroker(f"mqtt://loa:secret@{address}:{own.port}", insecure=True).start()
    await own.stop()
    await ExternalBroker(f"mqtt://loa:secret@{address}:{own.port}").start()  # away: it is judged by its URL alone
