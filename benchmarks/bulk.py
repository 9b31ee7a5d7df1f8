"""A rendition of 1 MiB to many thin clients with pacing off, against bare publishes of the same pieces.

The centre reads blocks from its media folder, wraps them and publishes them on the rendition's shared topic, waiting
for its link to drain; the bare client hands its connection all pieces at once.
"""

import asyncio
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from sqlalchemy import update
from sqlmodel import Session, col

from benchmarks.bars import Bar
from benchmarks.crowd import ClientPlan, Crowd, raise_file_limit
from benchmarks.fanout import BareClient
from benchmarks.province import PROVINCE, Made, make_province, new_bulletin, node_name
from controller.centre import Centre
from controller.config import CentreConfig
from controller.tables import Rendition
from devices.protocol.common import BLOCK_BYTES
from devices.protocol.envelope import encode
from devices.protocol.media import Piece
from devices.protocol.topics import stream_topic
from loa.units import ByteCount, InstantMs
from tests.brokers import free_port

BARS = {"bulk_ratio": Bar("1 MiB to 1,000 clients with pacing off: bare publishes' seconds over ours", at_least=0.5)}
_UNPACED = 1 << 30
_TIMEOUT_S = 300.0


def run(quick: bool) -> dict[str, float]:
    """Medians over rounds in turns."""
    raise_file_limit()
    size, clients, rounds = (64 * 1024, 50, 2) if quick else (1024 * 1024, 1000, 5)
    with tempfile.TemporaryDirectory(prefix="loa-bench-") as folder:
        made = make_province(Path(folder), 10, audio_bytes=size)
        ours_s, bare_s = asyncio.run(_measure(made, clients, rounds))
    ours, bare = statistics.median(ours_s), statistics.median(bare_s)
    carried = size * clients / 1e6
    return {"bulk_ratio": bare / ours, "bulk_mb_per_s": carried / ours, "bulk_bare_mb_per_s": carried / bare}


async def _measure(made: Made, clients: int, rounds: int) -> tuple[list[float], list[float]]:
    port = free_port()
    config = CentreConfig(data=made.data, province=PROVINCE, broker="mosquitto", broker_port=port)
    centre = await Centre.start(config)
    ctx = centre.context("bench")
    fresh = [
        await centre.unit_of_work(lambda session: new_bulletin(session, ctx, len(made.file))) for _ in range(rounds)
    ]
    bulletins = [
        replace(made, digest=digest, file=file, manifest=manifest) for _, digest, file, manifest in fresh
    ]  # each is streamed once, as always
    topics = tuple(stream_topic(one.digest) for one in bulletins)
    plans = [ClientPlan(node_name(number), topics) for number in range(clients)]
    ours_s: list[float] = []
    bare_s: list[float] = []
    try:
        with Crowd(port, plans) as crowd:
            await asyncio.to_thread(crowd.connect)
            bare = await asyncio.to_thread(BareClient, port)
            for one, topic in zip(bulletins, topics, strict=True):
                payloads = _payloads(one)
                each = len(payloads)
                began = time.monotonic()
                for payload in payloads:
                    bare.publish(topic, payload, qos=0)
                bare_s.append(await asyncio.to_thread(crowd.await_count, topic, each, _TIMEOUT_S) - began)
                began = time.monotonic()
                await _stream(centre, one)
                ours_s.append(await asyncio.to_thread(crowd.await_count, topic, 2 * each, _TIMEOUT_S) - began)
            bare.close()
    finally:
        await centre.stop()
    return ours_s, bare_s


def _payloads(made: Made) -> list[bytes]:
    """What the centre publishes for it, manifest first."""
    pieces = [
        Piece(rendition=made.digest, offset=ByteCount(at), data=made.file[at : at + BLOCK_BYTES])
        for at in range(0, len(made.file), BLOCK_BYTES)
    ]
    return [made.manifest, *(encode(piece) for piece in pieces)]


async def _stream(centre: Centre, made: Made) -> None:
    """As if a broadcast had announced the stream for now, at a pace that nothing reaches."""

    def announce(session: Session, now: InstantMs) -> None:
        row = update(Rendition).where(col(Rendition.digest) == made.digest.hex())
        session.connection().execute(row.values(stream_at=now, pace=_UNPACED, streamed_at=None))

    now = centre.clock.now_ms()
    await centre.unit_of_work(lambda session: announce(session, now))
    centre.transmitter.streams.plan_again()
