"""One run of one scenario under one seed, and what came of it."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlmodel import func, select

from controller.tables import Broadcast
from loa.cli.simulation.invariants import breaches
from loa.cli.simulation.province import VIETNAM, Province
from loa.cli.simulation.scenarios import Scenario
from loa.cli.simulation.told import Breach
from loa.cli.simulation.tried import Tried
from loa.cli.simulation.world import World
from loa.clock import SystemClock
from simulators.world.loop import NothingLeft, VirtualLoop, run_virtually

AROUND_LINES = 40


@dataclass(frozen=True)
class Outcome:
    """What one seed gave."""

    scenario: str
    seed: int
    breaches: tuple[Breach, ...]
    story: tuple[str, ...]
    node_hours: float
    """Boxes times virtual hours, on or off."""
    broadcasts: int
    soundings: int
    troubles: int
    messages: int
    """That went through the broker."""
    centre_starts: int
    wall_s: float
    tried: tuple[Tried, ...] = ()
    """What attackers tried."""
    asked: str = ""
    """The options, beside the seed, that made it what it was."""

    @property
    def ok(self) -> bool:
        return not self.breaches

    def figures(self) -> str:
        return (
            f"{self.node_hours:.0f} node-hours, {self.broadcasts} broadcasts, {self.soundings} soundings, "
            f"{self.troubles} faults injected, {self.messages} messages, {self.wall_s:.1f} s"
        )

    def tale(self, *, lines: int = AROUND_LINES) -> list[str]:
        """The story around each breach's box, and the end of it all: enough to see how it came about."""
        told: list[str] = []
        for who in dict.fromkeys(breach.who for breach in self.breaches):
            of_it = [line for line in self.story if f"  {who} " in line or "  centre " in line or "  broker " in line]
            told += [f"-- {who}, with the centre and the broker:", *of_it[-lines:]]
        return told or list(self.story[-lines:])


def run_scenario(
    scenario: Scenario,
    seed: int,
    *,
    boxes: int | None = None,
    days: float | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Run it in virtual time, on its own folder, which is gone afterwards."""
    clock = SystemClock()
    began_s = clock.monotonic_s()
    memory = Path("/dev/shm")  # noqa: S108 - where there is no such place, any other serves
    folder = Path(tempfile.mkdtemp(prefix="loa-world-", dir=memory if memory.is_dir() else None))
    loop = VirtualLoop()
    try:
        starts = datetime.fromisoformat(scenario.starts).replace(tzinfo=VIETNAM)
        province = Province(loop, seed, starts, folder)
        world = World(
            province,
            scenario.boxes if boxes is None else boxes,
            scenario.days if days is None else days,
            progress=progress,
        )
        found, broadcasts, hours, story = run_virtually(_whole(scenario, world), loop=loop)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Outcome(
        scenario.name,
        seed,
        tuple(found),
        tuple(story),
        hours * len(province.boxes),
        broadcasts,
        sum(len(box.soundings) for box in province.boxes.values()),
        province.counted.troubles,
        province.broker.published,
        province.centre_starts,
        clock.monotonic_s() - began_s,
        tuple(world.tried),
        "".join(f" --{name} {value:g}" for name, value in (("boxes", boxes), ("days", days)) if value is not None),
    )


async def _whole(scenario: Scenario, world: World) -> tuple[list[Breach], int, float, list[str]]:
    province = world.province
    try:
        await scenario.run(world)
    except (AssertionError, NothingLeft) as error:
        world.missed.append(Breach("works", "scenario", f"could not be played: {error!r}"))
    found = [*world.missed, *breaches(province, settled=True)]
    for breach in found:
        province.story.tell(breach.who, f"BREACH: {breach}")
    centre = province.centre
    broadcasts = 0
    if centre is not None:
        now = province.clock.now_ms()
        count = select(func.count()).select_from(Broadcast).where(Broadcast.start_at <= now)
        broadcasts = centre.db.read(lambda session: session.exec(count).one())
    hours = province.loop.time() / 3600
    story = province.story.lines()
    await province.close()
    return found, broadcasts, hours, story
