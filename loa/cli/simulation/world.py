"""What scenarios are written with: a small province, what is to hold in it, and words for what does not."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel import select

from controller.tables import Broadcast, BroadcastNode
from loa.cli.simulation.emergencies import DutyOfficers
from loa.cli.simulation.province import VIETNAM, Bulletin, Province
from loa.cli.simulation.told import Breach
from loa.cli.simulation.tried import Tried
from loa.names import AreaPath
from loa.precedence import Precedence
from loa.units import InstantMs
from simulators.world.box import Box
from simulators.world.boxes import Sounding

MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86_400.0
COMMUNE = "quang-ninh/co-to"


@dataclass
class World:
    """A province with a stated size, given to a scenario. What does not hold is collected, not raised."""

    province: Province
    boxes: int
    days: float
    missed: list[Breach] = field(default_factory=list)
    tried: list[Tried] = field(default_factory=list)
    """What attackers tried, and what came of it."""
    progress: Callable[[str], None] = lambda _: None
    """Told where a long run is, in words."""

    def must(self, rule: str, who: str, holds: bool, otherwise: str) -> None:
        """`rule` is an invariant's number, or "control" for what shows that the fault was really there."""
        if not holds:
            self.province.story.tell(who, f"MUST NOT BE ({rule}): {otherwise}")
            self.missed.append(Breach(rule, who, otherwise))

    # Making a commune.

    async def commune(self, *, area: str = COMMUNE, boxes: int | None = None, on: bool = True) -> list[Box]:
        """A centre, where there is none yet, and boxes in one area; their clocks are known when this ends."""
        province = self.province
        await province.start_centre()
        await province.areas(area)
        made = []
        for number in range(self.boxes if boxes is None else boxes):
            box = await province.enrol(f"{area.rpartition('/')[2]}-{number + 1:02d}", AreaPath(area))
            assert box is not None
            if on:
                await box.power_on()
            made.append(box)
        await self.passes(MINUTE_S)
        return made

    async def officers(self, *, drills: bool = False) -> DutyOfficers:
        """Those who may release emergencies here, known to every node that listens."""
        officers = DutyOfficers(self.province)
        await officers.appoint(drills=drills)
        await self.passes(MINUTE_S)
        return officers

    async def bulletin(self, title: str, seconds: float) -> Bulletin:
        made = await self.province.bulletin(title, seconds)
        assert made is not None
        return made

    async def say(self, bulletin: Bulletin, precedence: Precedence = Precedence.ORDINARY, area: str = COMMUNE) -> str:
        """An immediate broadcast, which the centre has taken."""
        issued = await self.province.say(area, bulletin, precedence)
        assert issued is not None
        return issued

    async def passes(self, seconds: float) -> None:
        await self.province.pass_time(seconds)

    async def until(self, holds: Callable[[], bool], *, within_s: float, step_s: float = 1.0) -> bool:
        """Let time pass until something holds; False where it does not come about."""
        for _ in range(round(within_s / step_s)):
            if holds():
                return True
            await self.passes(step_s)
        return holds()

    def in_a_moment(self, turns: int, act: Callable[[], None]) -> None:
        """Do something after so many turns of the loop: at any await of whoever runs."""
        if turns <= 0:
            act()
        else:
            self.province.loop.call_soon(self.in_a_moment, turns - 1, act)

    def later(self, seconds: float, act: Callable[[], object]) -> None:
        self.province.loop.call_later(seconds, act)

    def spawn(self, work: object) -> "asyncio.Task[object]":
        return self.province.loop.create_task(work)  # type: ignore[arg-type]

    # Looking.

    def heard(self, box: Box, broadcast: str) -> list[Sounding]:
        return [one for one in box.soundings if one.label == broadcast]

    def now(self) -> InstantMs:
        return self.province.clock.now_ms()

    def local(self, instant: int) -> datetime:
        return datetime.fromtimestamp(instant / 1000, VIETNAM)

    def outcome(self, broadcast: str, box: Box) -> str:
        """What the centre says that became of a broadcast there."""
        centre = self.province.centre
        assert centre is not None
        row = centre.db.read(lambda session: session.get(BroadcastNode, (broadcast, box.name)))
        return "not a word" if row is None else row.outcome

    def planned(self) -> Sequence[Broadcast]:
        """Broadcasts of programmes whose time has come, by their start."""
        centre = self.province.centre
        assert centre is not None
        now = self.now()
        rows = centre.db.read(lambda session: list(session.exec(select(Broadcast).where(Broadcast.scheduled))))
        return sorted(
            (row for row in rows if row.start_at <= now and row.status != "withdrawn"), key=lambda r: r.start_at
        )

    def all_heard(self, boxes: Sequence[Box], broadcast: str, *, once: bool = True) -> None:
        """Each of these boxes sounded it to its end, exactly once unless it may repeat."""
        for box in boxes:
            ends = [one for one in self.heard(box, broadcast) if one.how == "finished"]
            self.must("control", box.name, bool(ends), f"did not sound {broadcast[:8]} to its end")
            if once:
                self.must("I3", box.name, len(ends) <= 1, f"sounded {broadcast[:8]} {len(ends)} times")
