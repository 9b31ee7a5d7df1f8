"""A commune's station in a virtual world: the real relay, in a box that can lose its power."""

from devices.links.loopback import LoopbackBroker
from devices.station.config import DropEntry, StationConfig
from devices.station.relay import Station
from loa.clock import Clock
from loa.units import NodeId, StationId
from simulators.world.chance import Chance
from simulators.world.owners import Process
from simulators.world.story import Story
from simulators.world.weather import CALM, Weather, WeatherLink
from simulators.world.wire import BAUD, SLOWEST_POLL_S, STATION_PATH, WiredLink, Wires


class StationBox:
    """The station, its wires and its way to the broker."""

    def __init__(self, name: str, broker: LoopbackBroker, clock: Clock, chance: Chance, story: Story) -> None:
        self.name = name
        self.wires = Wires(chance.named("wires"))
        self.weather: Weather = CALM
        self.slowest_poll_s = SLOWEST_POLL_S
        self.drops: list[DropEntry] = []
        self.link: WeatherLink | None = None
        self.process: Process | None = None
        self.relay: Station | None = None
        self.faults: list[BaseException] = []
        self._broker, self._clock, self._chance, self._story = broker, clock, chance, story
        self._boots = 0
        self._links: dict[NodeId, WiredLink] = {}
        """Of each box as it was last switched on."""

    def wired(self, node: NodeId, address: int, clock: Clock, **options: float) -> WiredLink:
        """The drop of one box; `add` names it to the station first."""
        link = self._links[node] = WiredLink(self.wires, address, node, clock, **options)
        link.has_words = lambda: self._turn_of(address)
        return link

    def _turn_of(self, address: int) -> None:
        """At once: of the many questions of a real day, some fall right before a poll, and those tell the time."""
        if self.relay is not None:
            self.relay.bus.poll_next(address)

    def add(self, node: NodeId) -> int:
        """Give a node the next address; it counts from the station's next start on."""
        address = len(self.drops) + 1
        self.drops.append(DropEntry(address, node))
        return address

    async def power_on(self) -> None:
        if self.process is not None:
            return
        self._boots += 1
        self._story.tell(self.name, f"is switched on (boot {self._boots})")
        life = self._chance.named(f"boot {self._boots}")
        self.link = WeatherLink(self._broker, life.named("link"), self.weather)
        self.link.reach_changed = self._reach_changed
        self.process = Process(f"{self.name} {self._boots}")
        config = StationConfig(StationId(self.name), "virtual", STATION_PATH, BAUD, tuple(self.drops))
        self.relay = Station(
            config, self.link, self._clock, open_port=self.wires.open, slowest_poll_s=self.slowest_poll_s
        )
        await self.process.run(self.relay.start())

    def power_cut(self) -> None:
        process, link = self.process, self.link
        if process is None or link is None:
            return
        self._story.tell(self.name, "loses its power")
        link.kill()
        process.kill()
        self.faults += process.faults
        if self.relay is not None and self.relay.bus._port is not None:
            self.relay.bus._port.close()
        self.process = self.link = self.relay = None

    def _reach_changed(self, there: bool) -> None:
        """Whom it speaks for is cut off with it, long before any of them notices."""
        for link in self._links.values():
            link.beyond(there)
