"""An order to a node on a 32 kB/s link while it takes in audio: a real centre, a real node, a slow road between.

The raw baseline is the same road with the audio pushed at it unpaced, which is what most systems do.
"""

import asyncio
import tempfile
import time
from pathlib import Path

from sqlmodel import Session

from benchmarks.bars import Bar
from benchmarks.fanout import BareClient
from benchmarks.province import PROVINCE, Made, make_province
from controller.centre import Centre
from controller.config import CentreConfig
from controller.services.broadcasts import IssueForm
from devices.links.mqtt import MqttLink
from devices.links.port import Delivery
from devices.node.memory import MemoryStorage
from devices.node.node import Node
from devices.node.recording import RecordingSpeaker
from devices.protocol.identity import NodeIdentity
from devices.protocol.keys import SigningKey
from devices.protocol.topics import DownChannel, down_topic
from loa.clock import SystemClock
from loa.entropy import system_entropy
from loa.units import InstantMs, NodeId
from simulators.slow_link import SlowLink

BARS = {"order_behind_audio_s": Bar("an order on a 32 kB/s link while audio comes in, worst of 20", at_most=0.5)}
_RATE, _DELAY_S = 32_000, 0.1
_NODE = NodeId("slow")
_ORDER, _PIECE = (down_topic(_NODE, channel) for channel in (DownChannel.ORDER, DownChannel.PIECE))


def run(quick: bool) -> dict[str, float]:
    """Seconds from asking the centre until the order is at the node: worst, and median of the idle link beside it."""
    orders, size = (5, 400_000) if quick else (20, 1_000_000)
    with tempfile.TemporaryDirectory(prefix="loa-bench-") as folder:
        made = make_province(Path(folder) / "centre", 1, audio_bytes=size)
        return asyncio.run(_measure(Path(folder), made, orders))


class _Ears:
    """Notes when orders and pieces came, on their way into the node."""

    def __init__(self, node: Node) -> None:
        self.orders: list[float] = []
        self.pieces = 0
        self._deliver = node.delivered
        node.delivered = self.delivered  # type: ignore[method-assign]

    def delivered(self, delivery: Delivery) -> None:
        if delivery.topic == _ORDER:
            self.orders.append(time.monotonic())
        self.pieces += delivery.topic == _PIECE
        self._deliver(delivery)


async def _until(condition: object, seconds: float = 60.0) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("it did not come about in time")
        await asyncio.sleep(0.01)


async def _measure(folder: Path, made: Made, orders: int) -> dict[str, float]:
    clock = SystemClock()
    centre = await Centre.start(
        CentreConfig(data=made.data, province=PROVINCE, broker="mosquitto", broker_port=0), clock
    )
    assert centre.broker is not None
    port = int(centre.broker.url.rpartition(":")[2])
    road = SlowLink(clock, "127.0.0.1", port, rate=_RATE, delay_s=_DELAY_S)
    await road.start()
    key = SigningKey(system_entropy(32))
    node = Node(
        identity=NodeIdentity(_NODE, key, centre.keys.roots),
        link=MqttLink(f"mqtt://127.0.0.1:{road.port}", _NODE, clock, system_entropy),
        storage=MemoryStorage(8_000_000),
        speaker=RecordingSpeaker(folder / "heard", clock, _NODE),
        clock=clock,
        entropy=system_entropy,
    )
    ears = _Ears(node)
    try:
        await centre.enrol_node(id=_NODE, area=f"{PROVINCE}/xa-1", public_key=key.public_key, account="bench")
        await node.start()
        await _until(lambda: node.status().now_ms is not None and node.status().area is not None)
        await asyncio.sleep(2.0)
        idle = await _orders(centre, ears, 5)

        def forget_rate(session: Session) -> None:
            """So that the node pulls for itself: a stream that it joins is paced at 0.6 of its rate."""
            session.connection().exec_driver_sql("UPDATE rendition SET stream_at = 1, pace = 1000000, streamed_at = 1")

        await centre.unit_of_work(forget_rate)
        await centre.issue_now(
            IssueForm(bulletins=[made.bulletin], target_nodes=[_NODE], start_at=InstantMs(clock.now_ms() + 600_000)),
            account="bench",
        )
        await _until(lambda: ears.pieces > 10)
        behind = await _orders(centre, ears, orders)
        still = not node.status().renditions
        pushed = await _behind_a_push(centre, ears, port, 128_000)
    finally:
        await node.stop()
        await centre.stop()
        await road.stop()
    if not still:
        raise RuntimeError("the audio was there before the last order: nothing was measured")
    return {
        "order_behind_audio_s": max(behind),
        "order_on_idle_link_s": sorted(idle)[len(idle) // 2],
        "order_behind_bare_push_s": pushed,
    }


async def _orders(centre: Centre, ears: _Ears, count: int) -> list[float]:
    """Seconds of each, one after another."""
    took = []
    for number in range(count):
        before, began = len(ears.orders), time.monotonic()
        await centre.set_volume(_NODE, 50 + number, account="bench")
        await _until(lambda known=before: len(ears.orders) > known)
        took.append(ears.orders[before] - began)
        await asyncio.sleep(0.37)
    return took


async def _behind_a_push(centre: Centre, ears: _Ears, port: int, size: int) -> float:
    """The same order after so many bytes were published to the node at once."""
    bare = await asyncio.to_thread(BareClient, port)
    for _ in range(size // 4096):
        bare.publish(_PIECE, bytes(4096), qos=0)
    await asyncio.sleep(0.5)
    took = (await _orders(centre, ears, 1))[0]
    bare.close()
    return took
