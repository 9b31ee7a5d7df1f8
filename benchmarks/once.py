"""Audio goes out once: what a bulletin costs at the broker with few nodes and with many, and with some cut meanwhile.

The centre is the real one; the nodes are thin clients around the node's own intake, which checks every block and signs
what it asks for. Bytes are those that the broker says were published to it ($SYS), whoever published them.
"""

import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import update
from sqlmodel import Session, col

from benchmarks.agents import IntakePart, TakesIn, now_ms
from benchmarks.bars import Bar
from benchmarks.crowd import ClientPlan, Crowd, raise_file_limit
from benchmarks.province import PROVINCE, Made, make_province, new_bulletin, node_name
from controller.centre import Centre
from controller.config import CentreConfig
from controller.tables import Rendition
from devices.protocol.topics import DownChannel, down_topic, stream_topic
from loa.units import InstantMs, NodeId
from tests.brokers import Mosquitto

BARS = {
    "once_ratio": Bar("bytes published for one bulletin at 500 nodes over those at 10", at_most=1.05),
    "repair_ratio": Bar("bytes published because a fifth of the nodes was cut over what those missed", at_most=1.1),
}
_PUBLISHED = "$SYS/broker/publish/bytes/received"
_LEAD_MS = 3000
_PACE = 24_000
"""Bytes a second: 500 intakes check 12 MB a second between them, on the cores of one machine."""


@dataclass(frozen=True)
class _Cut:
    """A fifth of the nodes, in the middle of the stream."""

    after_s: float
    for_s: float


def run(quick: bool) -> dict[str, float]:
    """Medians; the curve is the bytes published for 10 to 500 nodes."""
    raise_file_limit()
    size, rounds = (128 * 1024, 1) if quick else (512 * 1024, 5)
    counts = (10, 50) if quick else (10, 100, 500)
    with tempfile.TemporaryDirectory(prefix="loa-bench-") as folder:
        made = make_province(Path(folder), counts[-1], audio_bytes=size, keys=True, health=False)
        return asyncio.run(_measure(made, counts, rounds, _Cut(1.0, 2.0) if quick else _Cut(6.0, 10.0)))


async def _measure(made: Made, counts: tuple[int, ...], rounds: int, cut: _Cut) -> dict[str, float]:
    broker = Mosquitto(made.data, more="sys_interval 1")
    broker.start()
    centre = await Centre.start(CentreConfig(data=made.data, province=PROVINCE, broker=broker.url))
    meter = _Meter(broker.port)
    bench = _Bench(centre, made, broker.port, meter)
    figures: dict[str, float] = {}
    repairs: list[float] = []
    missed: list[float] = []
    try:
        for nodes in counts:
            found = [(await bench.bulletin(nodes, None))[0] for _ in range(rounds)]
            figures[f"published_bytes_{nodes}"] = statistics.median(found)
        calm = figures[f"published_bytes_{counts[-1]}"]
        for _ in range(rounds):
            published, seen = await bench.bulletin(counts[-1], cut)
            repairs.append((published - calm) / seen["missed_bytes"])
            missed.append(seen["missed_bytes"] / 1e6)
    finally:
        meter.close()
        await centre.stop()
        broker.stop()
    first, last = figures[f"published_bytes_{counts[0]}"], figures[f"published_bytes_{counts[-1]}"]
    figures["missed_mb"] = statistics.median(missed)
    return {"once_ratio": last / first, "repair_ratio": statistics.median(repairs), **figures}


@dataclass(frozen=True)
class _Bench:
    """One centre, one broker, one rendition."""

    centre: Centre
    made: Made
    port: int
    meter: "_Meter"

    async def bulletin(self, nodes: int, cut: _Cut | None) -> tuple[float, dict[str, float]]:
        """Stream it once to so many nodes; bytes published until all have it, and what the nodes saw."""
        meter, ctx = self.meter, self.centre.context("bench")
        size = len(self.made.file)
        _, digest, file, manifest = await self.centre.unit_of_work(lambda session: new_bulletin(session, ctx, size))
        made = replace(self.made, digest=digest, file=file, manifest=manifest)
        plans = []
        for number in range(nodes):
            name = NodeId(node_name(number))
            topics = (stream_topic(made.digest), *(down_topic(name, channel) for channel in DownChannel))
            takes = TakesIn(made.digest, len(made.file), _PACE, _PACE / 0.5)
            plans.append(ClientPlan(name, topics, IntakePart, takes))
        with Crowd(self.port, plans) as crowd:
            await asyncio.to_thread(crowd.connect)
            before = await meter.settled()
            stream_at = InstantMs(now_ms() + _LEAD_MS)
            crowd.tell(stream_at)
            await _announce(self.centre, made, stream_at, _PACE)
            left_s = max(0.0, (stream_at - now_ms()) / 1000)
            if cut is not None:
                await asyncio.sleep(left_s + cut.after_s)
                await asyncio.to_thread(crowd.cut, 0.2, cut.for_s)
                left_s = -cut.after_s
            await asyncio.sleep(max(0.0, left_s + len(made.file) / _PACE))
            seen = await _until_complete(crowd, nodes)
            return await meter.settled() - before, seen


async def _until_complete(crowd: Crowd, nodes: int) -> dict[str, float]:
    end = time.monotonic() + 120
    while True:
        seen = await asyncio.to_thread(crowd.figures)
        if seen["complete"] == nodes:
            return seen
        if time.monotonic() > end:
            raise TimeoutError(f"{seen['complete']} of {nodes} nodes have the audio")
        await asyncio.sleep(0.25)


async def _announce(centre: Centre, made: Made, stream_at: InstantMs, pace: int) -> None:
    """As planning would."""

    def announce(session: Session) -> None:
        row = update(Rendition).where(col(Rendition.digest) == made.digest.hex())
        session.connection().execute(row.values(stream_at=stream_at, pace=pace, streamed_at=None))

    await centre.unit_of_work(announce)
    centre.transmitter.streams.plan_again()


class _Meter:
    """Listens to what the broker counts, once a second."""

    def __init__(self, port: int) -> None:
        self.bytes, self.ticks = 0.0, 0
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="meter", protocol=paho.MQTTv311)
        self._client.on_message = self._heard
        self._client.connect("127.0.0.1", port)
        self._client.subscribe(_PUBLISHED)
        self._client.loop_start()

    def _heard(self, _client: object, _data: Any, message: paho.MQTTMessage) -> None:
        self.bytes = float(message.payload)
        self.ticks += 1

    async def settled(self) -> float:
        """The count once it no longer grows: mosquitto tells a figure only when it has changed."""
        while True:
            before = self.bytes
            await asyncio.sleep(2.5)
            if self.bytes == before:
                return before

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
