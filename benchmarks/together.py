"""How far apart loudspeakers start: real nodes in virtual time, under a real centre, over links with real delays.

Each box's clock is wrong by up to ±5 s and gains or loses up to 50 ppm; each message takes 20 to 80 ms each way, drawn
anew. A virtual loudspeaker notes the true instant at which it was begun. Beside it: the same with 60 ms more on the way
down alone, which four timestamps cannot see; half of it is the error that must be expected.
"""

import statistics
import tempfile
from pathlib import Path

from benchmarks.bars import Bar
from benchmarks.province import PROVINCE, Made, area_of, make_province, node_key, node_name
from controller.centre import Centre
from controller.config import CentreConfig
from controller.services.broadcasts import IssueForm
from devices.links.loopback import LoopbackBroker, LoopbackLink
from devices.node.memory import MemoryStorage
from devices.node.node import Node
from devices.protocol.identity import NodeIdentity
from loa.clock import SystemClock
from loa.units import InstantMs, NodeId
from simulators.clocks import SkewedClock, random_skew
from simulators.world.boxes import Sounding, VirtualSpeaker
from simulators.world.chance import Chance
from simulators.world.loop import VirtualClock, VirtualLoop, run_virtually
from simulators.world.weather import Weather, WeatherLink

BARS = {"skew_p99_ms": Bar("start minus the ordered instant, 99th of 100", at_most=20)}
_SYMMETRIC = Weather(delay_up_s=0.020, delay_down_s=0.020, jitter_s=0.060)
_ASYMMETRIC = Weather(delay_up_s=0.020, delay_down_s=0.080, jitter_s=0.060)
_SETTLE_S = 60.0
_BETWEEN_S = 600.0


def run(quick: bool) -> dict[str, float]:
    """Milliseconds over all starts of all broadcasts, and of the first broadcast (after a minute) alone."""
    nodes, broadcasts = (20, 2) if quick else (300, 5)
    errors = _errors(_SYMMETRIC, nodes, broadcasts)
    lopsided = _errors(_ASYMMETRIC, nodes // 3, broadcasts)
    everything = [abs(error) for one in errors for error in one]
    return {
        "skew_p99_ms": _percentile(everything, 99),
        "skew_median_ms": statistics.median(everything),
        "skew_first_p99_ms": _percentile([abs(error) for error in errors[0]], 99),
        "skew_last_p99_ms": _percentile([abs(error) for error in errors[-1]], 99),
        "skew_asymmetric_p99_ms": _percentile([abs(error) for one in lopsided for error in one], 99),
        "skew_starts": len(everything),
    }


def _percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share / 100))]


def _errors(weather: Weather, nodes: int, broadcasts: int) -> list[list[float]]:
    """For each broadcast: every node's true start minus the ordered instant, in milliseconds."""
    with tempfile.TemporaryDirectory(prefix="loa-bench-") as folder:
        made = make_province(Path(folder), 0, audio_bytes=8000)
        loop = VirtualLoop()
        return run_virtually(_world(made, loop, weather, nodes, broadcasts), loop=loop)


async def _world(made: Made, loop: VirtualLoop, weather: Weather, nodes: int, broadcasts: int) -> list[list[float]]:
    begins_ms = SystemClock().now_ms()  # the keys were made by it
    clock, chance, broker = VirtualClock(loop, begins_ms), Chance(7), LoopbackBroker()
    centre = await Centre.start(
        CentreConfig(data=made.data, province=PROVINCE), clock, chance.named("centre").entropy(),
        link=LoopbackLink(broker),
    )  # fmt: skip
    starts: list[float] = []

    def note(sounding: Sounding) -> None:
        if sounding.ended_ms is None:
            starts.append(begins_ms + loop.time() * 1000)

    boxes = []
    for number in range(nodes):
        name = node_name(number)
        await centre.enrol_node(id=name, area=area_of(number), public_key=node_key(name).public_key, account="bench")
        mine = chance.named(name)
        own = SkewedClock(clock, random_skew(mine.entropy()))
        box = Node(
            identity=NodeIdentity(NodeId(name), node_key(name), centre.keys.roots),
            link=WeatherLink(broker, mine.named("link"), weather),
            storage=MemoryStorage(1_000_000),
            speaker=VirtualSpeaker(name, own, clock, note),
            clock=own,
            entropy=mine.named("node").entropy(),
        )
        await box.start()
        boxes.append(box)
    found = []
    await clock.sleep(_SETTLE_S)
    for _ in range(broadcasts):
        starts.clear()
        form = IssueForm(
            bulletins=[made.bulletin], target_areas=[PROVINCE], start_at=InstantMs(clock.now_ms() + 30_000)
        )
        issued = await centre.issue_now(form, account="bench")
        await clock.sleep(_BETWEEN_S)
        if len(starts) != nodes:
            raise RuntimeError(f"{len(starts)} of {nodes} nodes started: {boxes[0].status()}")
        found.append([start - issued.start_at for start in starts])
    for box in boxes:
        await box.stop()
    await centre.stop()
    return found
