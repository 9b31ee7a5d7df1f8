"""2,000 boxes that lost their broker are back at once: all are reconciled, and an order does not wait for that."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from controller.centre import Centre
from controller.config import load_config
from controller.services import nodes
from controller.services.context import Changed
from devices.links.mqtt import MqttLink
from devices.links.port import Delivery
from devices.protocol.envelope import seal
from devices.protocol.keys import SigningKey
from devices.protocol.reports import Health, Presence, PresenceState
from devices.protocol.topics import UpChannel, node_subscriptions, up_topic
from loa.entropy import system_entropy
from loa.names import AreaPath
from loa.units import NodeId
from tests.brokers import Mosquitto
from tests.controller.wire.waiting import eventually
from tests.real.field import CLOCK, COMMUNE, Field

pytestmark = [pytest.mark.slow, pytest.mark.needs("mosquitto", "mosquitto_sub")]


class LightBox:
    """Says that it is there and how it is, signed; notes what it is told."""

    def __init__(self, number: int, broker: str) -> None:
        self.name = NodeId(f"n{number}")
        self.key = SigningKey(system_entropy(32))
        self.session = 0
        self.placed_in = 0
        """The session in which it was last told where it is."""
        self.orders: list[float] = []
        self.link = MqttLink(broker, f"node-{self.name}", CLOCK, system_entropy, backoff_s=(0.5, 10.0))
        self.link.listen(node_subscriptions(self.name, AreaPath(COMMUNE)))

    def link_up(self) -> None:
        self.session += 1
        now = CLOCK.now_ms()
        presence = Presence(node=self.name, session=self.session, state=PresenceState.ONLINE)
        health = Health(node=self.name, session=self.session, at=now, uptime_s=1, epoch=bytes(8), link_rate=50_000)
        self.link.publish(up_topic(self.name, UpChannel.PRESENCE), seal(presence, self.key), qos=1, retain=True)
        self.link.publish(up_topic(self.name, UpChannel.HEALTH), seal(health, self.key), qos=1)

    def link_down(self, reason: str) -> None:
        pass

    def delivered(self, delivery: Delivery) -> None:
        if delivery.topic.endswith("/ctl"):
            self.placed_in = self.session
        elif delivery.topic.endswith("/order"):
            self.orders.append(CLOCK.monotonic_s())


async def _enrol(folder: Path, broker: str, boxes: list[LightBox]) -> None:
    centre = await Centre.start(load_config(data=folder, broker=broker))
    await centre.add_area(COMMUNE, "Cô Tô", account="admin")

    def work(session: object, ctx: object) -> Changed[None]:
        for box in boxes:
            nodes.enrol_node(session, ctx, id=box.name, area=COMMUNE, public_key=box.key.public_key)  # type: ignore[arg-type]
        return Changed(None)

    await centre.do("admin", work)
    await centre.stop()


async def _ear(mosquitto: Mosquitto) -> asyncio.subprocess.Process:
    """A listener in a process of its own, since ours is busy with being all the boxes. It ends with the first order."""
    return await asyncio.create_subprocess_exec(
        *("mosquitto_sub", "-p", str(mosquitto.port), "-q", "1", "-C", "1", "-t", f"loa/1/a/{COMMUNE}/order"),
        stdout=asyncio.subprocess.DEVNULL,
    )


@pytest.mark.parametrize("count", [500, pytest.param(2000, marks=pytest.mark.soak)])
async def test_all_back_at_once(
    count: int, tmp_path: Path, field_on: Callable[..., Field], mosquitto: Mosquitto
) -> None:
    boxes = [LightBox(number, mosquitto.url) for number in range(count)]
    here = field_on(mosquitto.url)
    await _enrol(here.centre.data, mosquitto.url, boxes)
    await here.centre.start()
    bulletin = await here.centre.bulletin(60, "Ngay")
    try:
        await asyncio.gather(*(box.link.start(box) for box in boxes))
        await eventually(lambda: all(box.placed_in for box in boxes), within_s=120, every_s=0.2)
        mosquitto.restart()
        begun_s = CLOCK.monotonic_s()
        ear = await _ear(mosquitto)
        await eventually(lambda: sum(box.session > 1 for box in boxes) > count // 4, within_s=60)
        reached = [box for box in boxes if box.link.is_up]  # who comes later is given it when greeted
        said_s = CLOCK.monotonic_s()
        await here.centre.say(bulletin, "meanwhile", repeats=3)  # goes on until the last are back: it is for them too
        answer_s = CLOCK.monotonic_s() - said_s
        assert await asyncio.wait_for(ear.wait(), 30) == 0
        order_s = CLOCK.monotonic_s() - said_s
        await eventually(lambda: all(box.orders for box in reached), within_s=30)
        last_s = max(box.orders[0] for box in reached) - said_s
        await eventually(lambda: all(box.placed_in > 1 for box in boxes), within_s=120, every_s=0.1)
        all_s = CLOCK.monotonic_s() - begun_s
        await eventually(lambda: all(box.orders for box in boxes), within_s=30)
        print(
            f"{count} reconciled after {all_s:.1f} s; an order meanwhile was answered after {answer_s:.2f} s and heard "
            f"after {order_s:.2f} s, "
            f"by {len(reached)} boxes in this one process after {last_s:.2f} s"
        )
        assert all_s <= 120
        assert order_s <= 5
    finally:
        await asyncio.gather(*(box.link.stop() for box in boxes))
