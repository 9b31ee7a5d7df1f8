"""Mixed weather: everything that can go wrong, at moments drawn from the seed, while people go on using the centre."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loa.cli.simulation.emergencies import DutyOfficers
from loa.cli.simulation.province import Bulletin, Province
from loa.names import AreaPath
from loa.precedence import Precedence
from simulators.clocks import Skew
from simulators.world.box import Box
from simulators.world.weather import Weather

HOUR_S, DAY_S = 3600.0, 86_400.0
COMMUNES = ("hoanh-mo", "co-to", "hong-gai")
CALM_S = 2 * HOUR_S
"""At the end: everything is mended, and this long nothing happens, so that all is told."""


@dataclass(frozen=True)
class StormPlan:
    """How large the world is, and how rough. Means are of exponential waits, over the whole province."""

    boxes: int = 12
    days: float = 1.0
    between_troubles_s: float = 900.0
    between_wishes_s: float = 3 * HOUR_S
    between_emergencies_s: float = 8 * HOUR_S
    wired: float = 0.06
    """Share of the boxes that hang on the wires of a station."""
    rough: bool = True
    """Links that are slow, far and lossy; clocks that are wrong."""
    calm_s: float = CALM_S
    health_interval_s: int = 900


class Storm:
    """Troubles and wishes over one province."""

    def __init__(self, province: Province, plan: StormPlan, progress: Callable[[str], None] = lambda _: None) -> None:
        self.province, self.plan = province, plan
        province.health_interval_s = plan.health_interval_s
        self._progress = progress
        self._chance = province.chance.named("storm")
        self._random = self._chance.random
        self._bulletins: list[Bulletin] = []
        self._issued: list[str] = []
        self._officers = DutyOfficers(province)
        self._alarmed = province.chance.named("storm's emergencies").random
        """Of its own, so that emergencies change nothing about when the rest happens."""
        self._over = False

    async def run(self) -> None:
        """From the first enrolment to the calm after the storm."""
        await self._settle_in()
        ends_s = self.province.loop.time() + self.plan.days * DAY_S
        running = [self._go(one(ends_s)) for one in self._goings_on()]
        for one in running:
            await one
        self._over = True
        await self._mend()
        await self.province.pass_time(self.plan.calm_s)

    def _goings_on(self) -> Sequence[Callable[[float], Coroutine[Any, Any, None]]]:
        """What happens side by side until the storm is over; each is told when that is."""
        return (self._troubles, self._wishes, self._emergencies, self._days)

    async def _days(self, ends_s: float) -> None:
        """Says how far it is."""
        day = 0
        while self.province.loop.time() + DAY_S < ends_s:
            await self.province.pass_time(DAY_S)
            day += 1
            self._progress(f"day {day} of {self.plan.days:g}")

    def _go(self, work: Coroutine[Any, Any, None]) -> Any:
        return self.province.loop.create_task(work)

    async def _settle_in(self) -> None:
        province = self.province
        await province.start_centre()
        await province.areas(*(f"quang-ninh/{commune}" for commune in COMMUNES))
        wired = max(2, round(self.plan.boxes * self.plan.wired)) if self.plan.wired else 0
        station = province.station("station") if wired else None
        for number in range(self.plan.boxes):
            area = AreaPath(f"quang-ninh/{COMMUNES[number % len(COMMUNES)]}")
            on_wires = number >= self.plan.boxes - wired
            box = await province.enrol(f"box-{number + 1:02d}", area, station if on_wires else None)
            if box is None:
                continue
            if station is not None and on_wires and len(station.drops) == wired:
                await station.power_on()
            if self.plan.rough:
                box.weather = self._weather()
                box.skew = Skew(self._random.uniform(-5000, 5000), self._random.uniform(-50, 50))
            await box.power_on()
        for title, seconds in (("news", 120.0), ("notice", 45.0), ("music", 180.0)):
            made = await province.bulletin(title, seconds)
            if made is not None:
                self._bulletins.append(made)
        await self._officers.appoint()
        await province.programme("quang-ninh", self._bulletins[0], hours="5,17")
        await province.programme("quang-ninh/co-to", self._bulletins[2], hours="11", minute=30)
        await province.programme("quang-ninh/hoanh-mo", self._bulletins[1], hours="6,12,18", minute=15)

    def _weather(self) -> Weather:
        rate = self._random.choice([4_000.0, 32_000.0, 250_000.0, 2_000_000.0])
        far = self._random.choice([0.02, 0.1, 0.4])
        return Weather(
            rate=rate,
            delay_up_s=far,
            delay_down_s=far * self._random.uniform(0.7, 1.3),
            jitter_s=far / 2,
            duplicate=self._random.choice([0.0, 0.02]),
            lost=self._random.choice([0.0, 0.005]),
        )

    # People

    async def _wishes(self, ends_s: float) -> None:
        while (wait_s := self._random.expovariate(1 / self.plan.between_wishes_s)) >= 0:
            if self.province.loop.time() + wait_s >= ends_s:
                return
            await self.province.pass_time(wait_s)
            self._maybe_kill_in_the_middle()
            await self._wish()

    async def _wish(self) -> None:
        if self._issued and self._random.random() < 0.25:
            await self.province.recall(self._issued.pop())
            return
        area = "quang-ninh" if self._random.random() < 0.3 else f"quang-ninh/{self._random.choice(COMMUNES)}"
        precedence = self._random.choice([Precedence.ORDINARY, Precedence.PRIORITY])
        issued = await self.province.say(area, self._random.choice(self._bulletins[:2]), precedence)
        if issued is not None:
            self._issued.append(issued)

    async def _emergencies(self, ends_s: float) -> None:
        """Now and then somebody releases one, alone or by two, and perhaps takes it back."""
        while True:
            wait_s = self._alarmed.expovariate(1 / self.plan.between_emergencies_s)
            if self.province.loop.time() + wait_s + HOUR_S >= ends_s:
                return
            await self.province.pass_time(wait_s)
            area = "quang-ninh" if self._alarmed.random() < 0.5 else f"quang-ninh/{self._alarmed.choice(COMMUNES)}"
            repeats = self._alarmed.choice([0, 3])
            released = await self._officers.release(area, self._bulletins[1], repeats=repeats)
            if released is not None and self._alarmed.random() < 0.5:
                await self.province.pass_time(self._alarmed.choice([5.0, 600.0]))
                await self._officers.cancel(released)

    def _maybe_kill_in_the_middle(self) -> None:
        """Now and then the centre dies a few awaits into what it was just asked."""
        if self._random.random() < 0.2:
            self.after_turns(self._random.randrange(1, 60), self._centre_dies)

    def after_turns(self, turns: int, act: Callable[[], None]) -> None:
        """Call `act` after so many turns of the loop: at any await of whoever runs."""
        if turns <= 0:
            act()
        else:
            self.province.loop.call_soon(self.after_turns, turns - 1, act)

    # Troubles

    async def _troubles(self, ends_s: float) -> None:
        troubles: list[tuple[int, Callable[[], None]]] = [
            (6, self._link_drops),
            (4, self._link_half_opens),
            (4, self._power_fails),
            (3, self._power_fails_in_a_write),
            (1, self._clock_jumps),
            (1, self._disk_fills),
            (2, self._centre_dies),
            (1, self._centre_link_drops),
            (1, self._broker_dies),
        ]
        if self.province.stations:
            troubles += [(1, self._station_fails), (1, self._station_link_drops), (1, self._wires_hum)]
        weights = [weight for weight, _ in troubles]
        while True:
            wait_s = self._random.expovariate(1 / self.plan.between_troubles_s)
            if self.province.loop.time() + wait_s >= ends_s:
                return
            await self.province.pass_time(wait_s)
            self._random.choices([act for _, act in troubles], weights)[0]()

    def _some_box(self) -> Box:
        return self._random.choice(list(self.province.boxes.values()))

    def _later(self, mean_s: float, act: Callable[[], object]) -> None:
        def unless_over() -> None:
            if not self._over:
                act()

        self.province.loop.call_later(self._random.expovariate(1 / mean_s), unless_over)

    def _link_drops(self) -> None:
        box = self._some_box()
        link = box.link
        if link is not None:
            self.province.trouble(box.name, "loses its link")
            link.drop("cut")
            self._later(self._random.choice([20.0, 600.0, 6 * HOUR_S]), link.restore)

    def _link_half_opens(self) -> None:
        box = self._some_box()
        if box.link is not None:
            self.province.trouble(box.name, "has a half-open link")
            box.link.half_open()

    def _power_fails(self) -> None:
        box = self._some_box()
        self.province.counted.troubles += 1
        box.power_cut()
        self._later(self._random.choice([2.0, 300.0, 4 * HOUR_S]), lambda: self._go(box.power_on()))

    def _power_fails_in_a_write(self) -> None:
        box = self._some_box()
        self.province.counted.troubles += 1
        box.platter.cut_in = self._random.randrange(1, 40)
        self._later(HOUR_S, lambda: self._go(box.power_on()))

    def _clock_jumps(self) -> None:
        box = self._some_box()
        self.province.trouble(box.name, "will have a clock wrong by years")
        box.skew = replace(box.skew, offset_ms=self._random.choice([-10, 10]) * 365 * DAY_S * 1000)

    def _disk_fills(self) -> None:
        box = self._some_box()
        memory = box.platter.memory
        whole, memory.capacity = memory.capacity, memory.capacity - memory.free_bytes() + 4096
        self.province.trouble(box.name, "has a full disk")
        self._later(2 * HOUR_S, lambda: setattr(memory, "capacity", whole))

    def _centre_dies(self) -> None:
        if self._over:  # decided while the storm went on: the calm is for all to be told, and for the rules to be held
            return
        self.province.kill_centre()
        self._later(120.0, lambda: self._go(self.province.start_centre()))

    def _centre_link_drops(self) -> None:
        link = self.province.centre_link
        if link is not None:
            self.province.trouble("centre", "loses its broker")
            link.drop("cut")
            self._later(60.0, link.restore)

    def _broker_dies(self) -> None:
        broker = self.province.broker
        if not broker.running:
            return
        forgets = self._random.random() < 0.5
        self.province.trouble("broker", "dies and will have forgotten everything" if forgets else "dies")
        broker.stop()
        if forgets:
            broker.forget()
        self._later(90.0, broker.start)

    def _station_fails(self) -> None:
        station = self._random.choice(list(self.province.stations.values()))
        self.province.counted.troubles += 1
        station.power_cut()
        self._later(self._random.choice([2.0, 300.0]), lambda: self._go(station.power_on()))

    def _station_link_drops(self) -> None:
        station = self._random.choice(list(self.province.stations.values()))
        link = station.link
        if link is not None:
            self.province.trouble(station.name, "loses its link")
            link.drop("cut")
            self._later(self._random.choice([20.0, 600.0]), link.restore)

    def _wires_hum(self) -> None:
        station = self._random.choice(list(self.province.stations.values()))
        self.province.trouble(station.name, "has noise on its wires")
        station.wires.bit_errors = 10 ** -self._random.uniform(4, 5)
        self._later(600.0, lambda: setattr(station.wires, "bit_errors", 0.0))

    async def _mend(self) -> None:
        """The storm is over: everything gets power, link, room and the centre back."""
        province = self.province
        province.story.tell("storm", "is over")
        province.broker.start()
        await province.start_centre()
        if province.centre_link is not None and not province.centre_link.is_up:
            province.centre_link.restore()
        for station in province.stations.values():
            station.wires.bit_errors = 0.0
            station.wires.cut.clear()
            if station.process is None:
                await station.power_on()
            elif station.link is not None and not station.link.is_up:
                station.link.restore()
        for box in province.boxes.values():
            box.platter.cut_in = None
            box.platter.memory.capacity = 64 * 1024 * 1024
            if not box.on:
                await box.power_on()
            elif box.link is not None and not box.link.is_up:
                box.link.restore()
