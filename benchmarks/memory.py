"""Memory: a box that plays without pause, and a centre with 2,000 nodes that report.

The box is `loa node` with a sound card (PulseAudio's null sink) over a real broker. The centre is `loa serve`; nodes
sign health to it ten times as often as by default, so that an hour's reports come in six minutes.
LOA_BENCH_MINUTES says how long each is watched: 60 is the promise's hour; without it, 6.
"""

import asyncio
import os
import tempfile
import time
from pathlib import Path

from benchmarks import node_memory
from benchmarks.agents import SpeakingPart, Speaks
from benchmarks.bars import Bar
from benchmarks.crowd import ClientPlan, Crowd, raise_file_limit
from benchmarks.province import Served, area_of, make_province, node_name
from devices.protocol.topics import node_subscriptions
from loa.units import NodeId
from tests import tools

BARS = {
    "node_rss_mb": Bar("largest resident set of a box that plays all the time, MB", at_most=100),
    "controller_rss_mb_2000": Bar("largest resident set of a centre with 2,000 nodes that report, MB", at_most=400),
}
_HASTE = 10.0


def run(quick: bool) -> dict[str, float]:
    """Megabytes (10⁶ bytes); for how many minutes is printed with them."""
    raise_file_limit()
    minutes = 0.25 if quick else float(os.environ.get("LOA_BENCH_MINUTES", "6"))
    figures = _centre(50 if quick else 2000, minutes)
    if not tools.missing("pulseaudio"):
        with tempfile.TemporaryDirectory(prefix="loa-bench-") as folder:
            figures["node_rss_mb"] = asyncio.run(node_memory.measure(Path(folder), minutes, 30.0))
    return {**figures, "memory_minutes": minutes}


def _centre(nodes: int, minutes: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="loa-bench-") as folder:
        made = make_province(Path(folder), nodes, keys=True, health=False)
        with Served(made) as served:
            empty = served.rss_mb()
            plans = []
            for number in range(nodes):
                name = NodeId(node_name(number))
                topics = tuple(sorted(node_subscriptions(name, area_of(number))))
                speaks = Speaks(area_of(number), health_every_s=60 / _HASTE)
                plans.append(ClientPlan(name, topics, SpeakingPart, speaks))
            with Crowd(served.broker_port, plans) as crowd:
                crowd.connect()
                end = time.monotonic() + minutes * 60
                most = 0.0
                while time.monotonic() < end:
                    time.sleep(1.0)
                    most = max(most, served.rss_mb())
            return {"controller_rss_mb_2000": most, "controller_rss_mb_before": empty}
