"""2,000 nodes are back at once: all are brought up to date, and an order does not wait for that."""

from pathlib import Path

import pytest

from controller.services import nodes
from controller.services.context import Changed
from devices.links.mqtt import MqttLink
from devices.links.port import Delivery
from devices.protocol.envelope import seal
from devices.protocol.keys import SigningKey
from devices.protocol.reports import Health
from devices.protocol.topics import UpChannel, up_topic
from loa.entropy import system_entropy
from loa.units import NodeId
from tests.controller.wire.village import ADMIN, CLOCK, COMMUNE, Village, village
from tests.controller.wire.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.needs("mosquitto")]
NODES = 2000


class Ear:
    """Hears everything that goes to nodes."""

    def __init__(self) -> None:
        self.up = False
        self.placed: set[str] = set()
        self.orders: list[int] = []
        """How many nodes had been placed when each came."""

    def link_up(self) -> None:
        self.up = True

    def link_down(self, reason: str) -> None:
        self.up = False

    def delivered(self, delivery: Delivery) -> None:
        parts = delivery.topic.split("/")
        if parts[2] == "n":
            self.placed.add(parts[3])
        elif parts[-1] == "order":
            self.orders.append(len(self.placed))


async def _enrol(here: Village) -> list[SigningKey]:
    keys = [SigningKey(system_entropy(32)) for _ in range(NODES)]

    def work(session: object, ctx: object) -> Changed[None]:
        for number, key in enumerate(keys):
            nodes.enrol_node(session, ctx, id=f"n{number}", area=COMMUNE, public_key=key.public_key)  # type: ignore[arg-type]
        return Changed(None)

    await here.centre.do(ADMIN, work)
    await here.centre.transmitter.registry.refresh()
    return keys


def _health(number: int, key: SigningKey) -> bytes:
    health = Health(
        node=NodeId(f"n{number}"), session=1, at=CLOCK.now_ms(), uptime_s=1, epoch=bytes(8), link_rate=50_000
    )
    return seal(health, key)


async def test_two_thousand_nodes_at_once_do_not_drown_an_order(tmp_path: Path) -> None:
    async with village(tmp_path) as here:
        keys = await _enrol(here)
        bulletin = await here.bulletin(1)
        ear, url = Ear(), here.centre.broker_url
        listening = MqttLink(url, "ear", CLOCK, system_entropy)
        listening.listen(["loa/1/n/+/ctl", f"loa/1/a/{COMMUNE}/order"])
        talking = MqttLink(url, "mouth", CLOCK, system_entropy, max_queued_bytes=1 << 24)
        await listening.start(ear)
        await talking.start(Ear())
        await eventually(lambda: ear.up and talking.is_up)
        payloads = [_health(number, key) for number, key in enumerate(keys)]
        for number, payload in enumerate(payloads):
            while not talking.publish(up_topic(NodeId(f"n{number}"), UpChannel.HEALTH), payload, qos=1):
                await CLOCK.sleep(0.01)
        await eventually(lambda: len(ear.placed) >= 100, within_s=30)
        await here.say(bulletin)
        await eventually(lambda: bool(ear.orders), within_s=30)
        await eventually(lambda: len(ear.placed) == NODES, within_s=120)
        print(f"the order came when {ear.orders[0]} of {NODES} had been brought up to date")
        assert ear.orders[0] < NODES * 3 // 4
        assert not here.centre.transmitter.wire.counters.faults
        await listening.stop()
        await talking.stop()
