"""People who compose, release, update and cancel alerts and drills in a virtual world, each in their own name.

Everything goes the way it goes over HTTP: the alert waits at the centre, each person approves the very bytes with a key
of their own, and the order goes out when enough have.
"""

from dataclasses import dataclass, field
from random import Random

from controller.alert_desk import Detached
from controller.centre import Centre
from controller.services import alerts
from controller.services.alert_bodies import AlertForm
from controller.services.alerts import Seen, digest_of_body
from controller.tables import Alert
from devices.protocol.approval import approve
from loa.cli.simulation.emergencies import DutyOfficers, Releaser
from loa.cli.simulation.province import PROVINCE, Province
from loa.names import AreaPath
from loa.precedence import Kind

LASTS_S = (120.0, 300.0, 900.0)
GAPS_MS = (0, 0, 10_000)
WARNING_SIREN = 1


@dataclass
class Standing:
    """An alert that somebody was told is out."""

    id: str
    area: str
    kind: Kind


@dataclass
class AlertPeople:
    """What they wish, drawn from the seed. `bulletins`: ids of what may be said in an alert."""

    province: Province
    officers: DutyOfficers
    random: Random
    bulletins: list[str] = field(default_factory=list)
    _standing: list[Standing] = field(default_factory=list)

    async def wish(self) -> None:
        """One thing that somebody does now."""
        chance = self.random.random()
        if self._standing and chance < 0.25:
            await self._cancel(self._some_standing())
        elif self._standing and chance < 0.45:
            await self._update(self._some_standing())
        else:
            kind = Kind.DRILL if self.random.random() < 0.35 else Kind.LIVE
            made = await self._release(kind, self._some_area(kind), ())
            if made is not None and self.random.random() < 0.3:  # a mistake, seen at once
                await self.province.pass_time(self.random.choice([3.0, 12.0]))
                await self._cancel(self._standing.pop())

    def _some_area(self, kind: Kind) -> str:
        local = self.officers.drills if kind is Kind.DRILL else self.officers.communes
        return str(PROVINCE) if self.random.random() < 0.4 else str(self.random.choice(sorted(local)))

    def _some_standing(self) -> Standing:
        """One of the newest; people forget about old ones, and what is over is refused."""
        return self._standing.pop(self.random.randrange(max(0, len(self._standing) - 4), len(self._standing)))

    def _signers(self, area: str, kind: Kind) -> tuple[Releaser, ...]:
        """Both of the province, or one of the commune."""
        local = self.officers.drills if kind is Kind.DRILL else self.officers.communes
        one = local.get(AreaPath(area))
        both = self.officers.drillers if kind is Kind.DRILL else self.officers.province
        return both if one is None else (one,)

    async def _release(self, kind: Kind, area: str, updates: tuple[str, ...]) -> str | None:
        """Composed by the first of them, approved by as many as it takes; its id once it is out."""
        form = AlertForm(
            target_areas=[area], bulletins=self.random.sample(self.bulletins, self.random.choice([0, 1])), kind=kind,
            siren=WARNING_SIREN, repeats=self.random.choice([0, 0, 1, 3]), gap_ms=self.random.choice(GAPS_MS),
            lasts_ms=round(self.random.choice(LASTS_S) * 1000), references=updates,
        )  # fmt: skip
        signers = self._signers(area, kind)
        word = kind.name.lower()
        made: str | None = await self.province.ask(
            f"composes a {word} alert for {area}",
            lambda centre: centre.alerts.compose(form, title=f"{word} for {area}", account=signers[0].holder),
        )
        if made is None:
            return None
        self.province.ledger.alerts[made] = "composed"
        for one in signers:
            if not await self._approve(made, kind, one):
                return None
        self.province.ledger.alerts[made] = "released"
        self.province.counted.broadcasts += 1
        for before in updates:
            self.province.ledger.alerts[before] = "updated"
        self._standing.append(Standing(made, area, kind))
        return made

    async def _approve(self, alert: str, kind: Kind, who: Releaser) -> bool:
        """They look at it, and sign what they saw. Where no answer comes they try again, twice."""

        async def work(centre: Centre) -> bool:
            body = (await centre.reading(lambda session: session.get_one(Alert, alert))).body
            hand = Detached(approve(body, who.key))
            await centre.alerts.approve(alert, Seen(kind, digest_of_body(body)), hand, account=who.holder)
            return True

        for _ in range(3):
            if await self.province.ask(f"approves {alert[:8]} ({kind.name.lower()}, {who.holder})", work):
                return True
            await self.province.pass_time(20)
        return False

    async def _cancel(self, standing: Standing) -> None:
        """By the last of those who could have released it."""
        who = self._signers(standing.area, standing.kind)[-1]

        async def work(centre: Centre) -> bool:
            ctx = centre.context(who.holder)
            _, data = await centre.reading(lambda session: alerts.cancel_to_sign(session, ctx, standing.id))
            await centre.alerts.cancel(standing.id, Detached(approve(data, who.key)), account=who.holder)
            return True

        if await self.province.ask(f"cancels {standing.id[:8]} ({who.holder})", work):
            self.province.ledger.alerts[standing.id] = "cancelled"

    async def _update(self, standing: Standing) -> None:
        await self._release(standing.kind, standing.area, (standing.id,))
