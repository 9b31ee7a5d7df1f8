"""One loudspeaker box of a virtual world: real node software, given a simulated body."""

from collections.abc import Callable
from dataclasses import replace

from devices.node.config import NodeConfig
from devices.node.node import Node
from devices.protocol.identity import NodeIdentity
from loa.clock import Clock
from loa.units import InstantMs
from simulators.clocks import Skew, SkewedClock
from simulators.world.boxes import BoxStorage, Platter, PowerCut, Sounding, VirtualSpeaker
from simulators.world.chance import Chance
from simulators.world.owners import Process
from simulators.world.presence import Presence
from simulators.world.story import Story
from simulators.world.weather import CALM, Weather, WeatherLink
from simulators.world.wire import WiredLink

AnyLink = WeatherLink | WiredLink
MakeLink = Callable[[Chance, Weather, Clock], AnyLink]


class Box:
    """A box on its pole: it can lose its power at any moment and get it back, and its clock can be wrong."""

    def __init__(
        self, identity: NodeIdentity, true_clock: Clock, chance: Chance, story: Story, make_link: MakeLink
    ) -> None:
        self.identity = identity
        self.name = str(identity.node)
        self.chance = chance
        self.skew = Skew(0.0, 0.0)
        self.weather = CALM
        self.config = NodeConfig(time_wait_s=4 * 3600.0)
        self.platter = Platter(chance.named("disk"))
        self.platter.power_failed = self.power_cut
        self.soundings: list[Sounding] = []
        """What it sounded, in order, by the true clock; the last of them may go on."""
        self.node: Node | None = None
        self.link: AnyLink | None = None
        self.process: Process | None = None
        self.clock: SkewedClock | None = None
        self.is_measured = False
        """Whether it has a sensor at its loudspeaker; counts from the next boot."""
        self.boots = 0
        self.faults: list[BaseException] = []
        """What went wrong in earlier boots; a power cut is nothing of the kind."""
        self.journal_dropped = False
        self.enrolled_at = true_clock.now_ms()
        self._power = Presence()
        self.presence = Presence()
        """When it had both power and a link."""
        self._storage: BoxStorage | None = None
        self._speaker: VirtualSpeaker | None = None
        self._true, self._story, self._make_link = true_clock, story, make_link

    @property
    def air(self) -> WeatherLink:
        """The link of a wireless box that is on."""
        assert isinstance(self.link, WeatherLink)
        return self.link

    @property
    def on(self) -> bool:
        return self.process is not None

    async def power_on(self) -> None:
        """Boot. What is on the platter is found again."""
        if self.on:
            return
        self.boots += 1
        # The monotonic clock begins anew with each boot; the wall clock keeps its error.
        boot = self.chance.named(f"boot {self.boots}")
        self.clock = SkewedClock(self._true, self.skew)
        self.link = self._make_link(boot.named("link"), self.weather, self.clock)
        self._storage = BoxStorage(self.platter)
        self._speaker = VirtualSpeaker(self.name, self.clock, self._true, self._sounded)
        self.process = Process(f"{self.name} {self.boots}")
        self.node = Node(
            identity=self.identity,
            link=self.link,
            storage=self._storage,
            speaker=self._speaker,
            clock=self.clock,
            entropy=boot.named("node").entropy(),
            config=self.config,
            sensor=self._speaker if self.is_measured else None,
        )
        self._story.tell(self.name, f"is switched on (boot {self.boots})")
        self._power.note(self._true.now_ms(), True)
        self.link.reach_changed = self._note_reach
        try:
            await self.process.run(self.node.start())
        except PowerCut:
            return

    def power_cut(self) -> None:
        """Off, at once: nothing is finished, what was not on the disk is gone or torn."""
        if self.process is None or self.link is None or self._storage is None or self._speaker is None:
            return
        self._story.tell(self.name, "loses its power")
        self._power.note(self._true.now_ms(), False)
        self._storage.on = False
        self._speaker.on = False
        self._speaker.silence("power")
        self.link.kill()
        self.process.kill()
        self.faults += [fault for fault in self.process.faults if not isinstance(fault, PowerCut)]
        if self.node is not None and self.node.failure is not None and not isinstance(self.node.failure, PowerCut):
            self.faults.append(self.node.failure)
        self.platter.power_cut()
        self.process = self.node = self.link = None

    def in_reach(self, there: bool) -> None:
        """Say that hardly anything gets through to it, though its link is up; or that it does again."""
        self.presence.note(self._true.now_ms(), there)

    def _note_reach(self, there: bool) -> None:
        if there:
            self._story.tell(self.name, "is on the wire")
        self.presence.note(self._true.now_ms(), there)

    def settled(self, now: InstantMs, for_ms: int) -> bool:
        """Whether it has had power and a link for that long."""
        return self.presence.has_lasted(for_ms, now)

    def had_power(self, at: InstantMs) -> bool:
        return self._power.at(at)

    def was_there(self, since: InstantMs, until: InstantMs) -> bool:
        """Whether it had both power and a link at any moment of this span."""
        return any(self.presence.spells(since, until))

    def was_there_for(self, least_ms: int, since: InstantMs, until: InstantMs) -> bool:
        """Whether it had both power and a link for that long without a break in this span."""
        return any(end - at >= least_ms for at, end in self.presence.spells(since, until))

    @property
    def failure(self) -> BaseException | None:
        """Why its software gave up, if it did."""
        if self.node is not None and self.node.failure is not None:
            return self.node.failure
        return self.process.faults[0] if self.process is not None and self.process.faults else None

    def _sounded(self, sounding: Sounding) -> None:
        if sounding.ended_ms is None:
            self._story.tell(self.name, f"sounds {sounding.label[:8]} from {sounding.offset_ms} ms")
            self.soundings.append(sounding)
            return
        self._story.tell(self.name, f"is silent: {sounding.label[:8]} {sounding.how}")
        self.soundings[-1] = replace(self.soundings[-1], ended_ms=sounding.ended_ms, how=sounding.how)
