"""Emergencies in a virtual world: people whom the roots appointed approve them; everything else is the centre's.

Two persons of the province, each one half, and one of each commune, who is enough there. The order goes the way of
every order: rows of what is owed, one commit, the wire, and again until it is confirmed.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from controller import keyfiles
from controller.centre import Centre
from controller.services.alert_bodies import AlertForm, compose_alert, compose_cancel
from controller.services.areas import list_areas
from controller.services.context import Changed
from controller.services.emergencies import START_AFTER_MS, cancel_alerts, release_alert
from devices.protocol.approval import approve
from devices.protocol.keys import SigningKey
from devices.protocol.trust import Appointment, Power
from loa.cli.simulation.province import PERSON, PROVINCE, Bulletin, Province
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from loa.units import InstantMs


@dataclass(frozen=True)
class Releaser:
    """Somebody who may approve emergencies in an area."""

    holder: str
    key: SigningKey
    area: AreaPath
    appointment: Appointment


class DutyOfficers:
    """Those of a province who may release emergencies."""

    def __init__(self, province: Province) -> None:
        self._province = province
        self._chance = province.chance.named("duty officer")
        self.province: tuple[Releaser, ...] = ()
        self.communes: dict[AreaPath, Releaser] = {}
        self.drills: dict[AreaPath, Releaser] = {}
        """One of each commune with a key for drills alone."""
        self.drillers: tuple[Releaser, ...] = ()
        """Two of the province with keys for drills alone."""
        self._released: dict[str, AreaPath] = {}

    async def appoint(self, *, drills: bool = False, communes: Collection[str] | None = None) -> None:
        """The roots sign; the centre renews the mandates and sends them to every node.

        communes: paths of those that get one; all where it is None. With drills, the province gets two more for them.
        """

        async def work(centre: Centre) -> bool:
            areas = [view.path for view in await centre.reading(list_areas)]
            self.province = tuple(self._appoint(centre, f"{rank} officer", PROVINCE) for rank in ("first", "second"))
            if drills:
                self.drillers = tuple(
                    self._appoint(centre, f"{rank} driller", PROVINCE, Kind.DRILL) for rank in ("first", "second")
                )
            for area in areas:
                if len(area.codes) == 2 and (communes is None or area in communes):
                    self.communes[area] = self._appoint(centre, f"operator of {area.codes[1]}", area)
                    if drills:
                        self.drills[area] = self._appoint(centre, f"driller of {area.codes[1]}", area, Kind.DRILL)
            centre.look_again()
            return True

        await self._province.ask("has the roots appoint duty officers", work)

    def _appoint(self, centre: Centre, holder: str, area: AreaPath, kind: Kind = Kind.LIVE) -> Releaser:
        chance = self._chance.named(holder)
        key = SigningKey(chance.key_seed())
        made = keyfiles.appoint(
            centre.keys_folder,
            holder=holder,
            public_key=key.public_key,
            area=area,
            ceiling=Precedence.EMERGENCY,
            powers=Power.APPROVE,
            kind=kind,
            now_ms=self._province.clock.now_ms(),
            entropy=chance.entropy(),
        )
        return Releaser(holder, key, area, made)

    def for_area(self, area: str) -> tuple[Releaser, ...]:
        """Who has to approve an alert there: one of the commune, or two of the province."""
        commune = next((one for place, one in self.communes.items() if place.covers(area)), None)
        return self.province if commune is None else (commune,)

    async def revoke(self, who: Releaser) -> None:
        """The roots take an appointment back."""

        async def work(centre: Centre) -> bool:
            keyfiles.revoke(
                centre.keys_folder, [who.appointment.id], now_ms=self._province.clock.now_ms(), reason="left"
            )
            centre.look_again()
            return True

        await self._province.ask(f"has the roots revoke the {who.holder}", work)

    async def release(
        self,
        area: str,
        bulletin: Bulletin,
        *,
        lasts_s: float = 1800.0,
        repeats: int = 3,
        people: Sequence[Releaser] | None = None,
        kind: Kind = Kind.LIVE,
    ) -> str | None:
        """Compose, approve and send an emergency; its id, or None where the centre could not take it.

        people: who approves, instead of those who have to.
        """
        form = AlertForm(
            target_areas=[area],
            bulletins=[bulletin.id],
            repeats=repeats,
            lasts_ms=round(lasts_s * 1000),
            kind=kind,
        )
        signers = self.for_area(area) if people is None else people

        async def work(centre: Centre) -> str:
            ctx = centre.context(PERSON)
            body = await centre.reading(lambda session: compose_alert(session, ctx, form))
            approvals = [approve(body, one.key) for one in signers]
            return await centre.do(
                PERSON,
                lambda session, ctx: release_alert(
                    session, ctx, body, approvals, roots=centre.keys.roots, title=f"alert for {area}",
                    bulletins=[bulletin.id],
                ),
            )  # fmt: skip

        names = " and ".join(one.holder for one in signers)
        made: str | None = await self._province.ask(f"releases an emergency for {area} ({names})", work)
        if made is not None:
            now = self._province.clock.now_ms()
            self._released[made] = AreaPath(area)
            self._province.ledger.issued[made] = InstantMs(now + START_AFTER_MS)
            self._province.ledger.emergencies[made] = now
            self._province.counted.broadcasts += 1
        return made

    async def cancel(self, emergency: str, who: Releaser | None = None) -> bool:
        """Take it back: one person, appointed over all of its target, unless another tries. Whether it was taken."""
        canceller = who or self.for_area(self._released[emergency])[0]

        async def work(centre: Centre) -> bool:
            ctx = centre.context(PERSON)
            body = await centre.reading(lambda session: compose_cancel(session, ctx, [emergency]))
            approvals = [approve(body, canceller.key)]

            def change(session, ctx):  # type: ignore[no-untyped-def]
                done = cancel_alerts(session, ctx, body, approvals, roots=centre.keys.roots)
                return Changed(True, done.outgoing)

            return await centre.do(PERSON, change)

        what = f"cancels the emergency {emergency[:8]} ({canceller.holder})"
        done = await self._province.ask(what, work)
        if done is not None:
            self._province.ledger.recalled[emergency] = self._province.clock.now_ms()
        return done is not None
