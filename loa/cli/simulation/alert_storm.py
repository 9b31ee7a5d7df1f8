"""Alerts and drills over a whole province in mixed weather: composed, released, updated and taken back at random.

54 communes with a box or two each, a few of them on the wires of stations. Besides the troubles of every storm the
broker now and then keeps an order back for minutes, so that a cancel comes before its alert.
"""

from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from controller.services.settings_changes import store_siren
from devices.protocol.common import DRILL_ANNOUNCEMENT
from loa.cli.simulation.alert_people import WARNING_SIREN, AlertPeople
from loa.cli.simulation.province import PERSON, Province
from loa.cli.simulation.storm import Storm, StormPlan
from loa.names import AreaPath
from simulators.clocks import Skew
from simulators.world.held import Published

COMMUNES = tuple(f"quang-ninh/xa-{number:02d}" for number in range(1, 55))
STATIONS, DROPS = 1, 3
APPOINTED = 8
"""Communes whose own people may release for them."""
ANNOUNCEMENT_S, SIREN_S = 6.1, 20.0
RESERVE_BYTES = 128 * 1024
"""Kept from audio on a full disk, so that a box can still write what it was told and did. A real one keeps 1 MiB."""
CALM_S = 2400.0


@dataclass(frozen=True)
class AlertStormPlan(StormPlan):
    """See `StormPlan`."""

    boxes: int = 72
    days: float = 0.125
    between_troubles_s: float = 60.0
    between_alerts_s: float = 420.0
    between_kept_back_s: float = 300.0
    calm_s: float = CALM_S
    health_interval_s: int = 3600


class AlertStorm(Storm):
    """The storm's troubles, and people who do nothing but warn."""

    plan: AlertStormPlan

    def __init__(
        self, province: Province, plan: AlertStormPlan, progress: Callable[[str], None] = lambda _: None
    ) -> None:
        super().__init__(province, plan, progress)
        self.people = AlertPeople(province, self._officers, province.chance.named("alert people").random)
        self._broker_random = province.chance.named("withholding broker").random

    def _goings_on(self) -> Sequence[Callable[[float], Coroutine[Any, Any, None]]]:
        return (self._troubles, self._alerts, self._kept_back)

    async def _settle_in(self) -> None:
        province = self.province
        await province.start_centre()
        await province.areas(*COMMUNES)
        await self._appoint()
        await self._enrol()
        await province.pass_time(600)  # for trust, sirens and clocks to be everywhere before it begins

    async def _appoint(self) -> None:
        province = self.province
        await self._officers.appoint(drills=True, communes=COMMUNES[:APPOINTED])
        made = {
            title: await province.bulletin(title, seconds)
            for title, seconds in (("announcement", ANNOUNCEMENT_S), ("siren", SIREN_S), ("words", 15.0))
        }
        province.ledger.announcement_ms = round(ANNOUNCEMENT_S * 1000)
        for code, title in ((DRILL_ANNOUNCEMENT, "announcement"), (WARNING_SIREN, "siren")):
            bulletin = made[title]
            assert bulletin is not None
            await self._store(code, bulletin.id)
        words = made["words"]
        assert words is not None
        self.people.bulletins.append(words.id)

    async def _store(self, code: int, bulletin: str) -> None:
        await self.province.ask(
            f"has every box keep the sound {code}",
            lambda centre: centre.do(
                PERSON,
                lambda session, ctx: store_siren(session, ctx, area="quang-ninh", code=code, bulletin=bulletin),
            ),
        )

    async def _enrol(self) -> None:
        """One box a commune and more in some; the last ones on wires, a commune's station for three of them."""
        wired = min(STATIONS * DROPS, self.plan.boxes // 2)
        for number in range(self.plan.boxes - wired):
            await self._box(f"box-{number + 1:03d}", COMMUNES[number % len(COMMUNES)])
        for number in range(wired):
            name = f"station-{number // DROPS + 1}"
            station = self.province.stations.get(name) or self.province.station(name)
            await self._box(f"drop-{number + 1:02d}", COMMUNES[number // DROPS], name)
            if number % DROPS == DROPS - 1 or number == wired - 1:
                await station.power_on()

    async def _box(self, name: str, area: str, station: str | None = None) -> None:
        province = self.province
        box = await province.enrol(name, AreaPath(area), None if station is None else province.stations[station])
        assert box is not None
        box.weather = self._weather()
        box.skew = Skew(self._random.uniform(-5000, 5000), self._random.uniform(-50, 50))
        await box.power_on()

    def _disk_fills(self) -> None:
        box = self._some_box()
        memory = box.platter.memory
        whole, memory.capacity = memory.capacity, memory.capacity - memory.free_bytes() + RESERVE_BYTES
        self.province.trouble(box.name, "has a disk that is full but for its reserve")
        self._later(3600.0, lambda: setattr(memory, "capacity", whole))

    async def _alerts(self, ends_s: float) -> None:
        while True:
            wait_s = self.people.random.expovariate(1 / self.plan.between_alerts_s)
            if self.province.loop.time() + wait_s >= ends_s:
                return
            await self.province.pass_time(wait_s)
            await self.people.wish()

    async def _kept_back(self, ends_s: float) -> None:
        """The broker keeps what comes for some topics and says it minutes later: orders overtake each other."""
        while True:
            wait_s = self._broker_random.expovariate(1 / self.plan.between_kept_back_s)
            for_s = self._broker_random.choice([30.0, 60.0])
            if self.province.loop.time() + wait_s + for_s >= ends_s:
                return
            await self.province.pass_time(wait_s)
            await self._keep_back(for_s)

    async def _keep_back(self, for_s: float) -> None:
        """For the first half everything that is an order and misses the dice; said at the end of the second."""
        broker, kept = self.province.broker, list[Published]()

        def grip(one: Published) -> Iterable[Published]:
            if one.topic.endswith("/order") and self._broker_random.random() < 0.5:
                kept.append(one)
                return ()
            return (one,)

        self.province.trouble("broker", f"keeps some orders back for {for_s:g} s")
        broker.grip = grip
        await self.province.pass_time(for_s / 2)
        broker.grip = None
        await self.province.pass_time(for_s / 2)
        self.province.story.tell("broker", f"says {len(kept)} orders late")
        for one in kept:
            broker.slip(one)
