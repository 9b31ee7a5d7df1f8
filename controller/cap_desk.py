"""What comes to a centre of alerts of others: judged, kept, and made into alerts of ours that wait for people.

Nothing here can release anything that people have not approved: what is composed waits like what a person composed, and
says where it came from. What was approved beforehand for such an alert goes out by it (`services.direct_rules`).
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlmodel import Session

from controller.alert_desk import AlertDesk, CentreWork
from controller.cap.areas import KnownAreas, match
from controller.cap.drafting import Drafted, drafted, targets
from controller.cap.judgement import DEFAULT_LIFE_MS, Kind, Terms, Verdict, judge_alone
from controller.cap.model import Alert as CapMessage
from controller.services import cap_alerts, cap_sources
from controller.services.alert_making import Draft, Words
from controller.services.cap_alerts import Kept, Origin
from controller.services.cap_places import place_rows, places_of
from controller.services.context import CONTROLLER, Changed, Context
from controller.services.direct_rules import heard_from
from controller.tables import CapAlert
from devices.protocol.alerts import LONGEST_ALERT_MS
from loa import precedence
from loa.errors import Fault, LoaError, OperatorNeeded, Refused
from loa.names import AreaPath
from loa.units import InstantMs

MOST_AT_ONCE = 20
"""Alerts that are composed before others have their turn; a voice takes a second or two for each."""


@dataclass(frozen=True)
class Known:
    """What alerts are held against, now."""

    terms: Terms
    at: InstantMs

    @property
    def places(self) -> KnownAreas:
        return self.terms.known or KnownAreas(())


class CapDesk:
    """One a centre."""

    def __init__(
        self, centre: CentreWork, alerts: AlertDesk, province: AreaPath, *, own: str, schemes: frozenset[str]
    ) -> None:
        """own: our own sender, whose alerts that come back are kept and make nothing. schemes: of our places' codes."""
        self._schemes = schemes
        self._centre, self._alerts, self._province, self._own = centre, alerts, province, own
        self._composing: set[str] = set()
        self._told: set[str] = set()
        """Alerts of others by which was put out what had been approved for such: asked once a process."""

    async def known(self) -> Known:
        """Our places and the pinned keys as they are now."""
        now = self._centre.context(CONTROLLER).now
        rows, pinned = await self._centre.reading(lambda session: (place_rows(session), cap_sources.pinned(session)))
        places = await self._centre.aside(lambda: places_of(rows, self._province, self._schemes))
        return Known(Terms(at=now, known=places, pinned=pinned, default_life_ms=DEFAULT_LIFE_MS), now)

    async def submit(
        self, data: bytes, *, account: str, source: str = "", fetched: bool = False, known: Known | None = None
    ) -> tuple[Kept, ...]:
        """Judge all alerts in these bytes, keep what is new, compose what is to be; one answer an alert.

        Raises Refused(not_found) for a source that is not there.
        """
        known = known or await self.known()
        terms = known.terms
        alone = await self._centre.aside(lambda: judge_alone(data, terms))
        return await self.take(alone, account=account, source=source, fetched=fetched, known=known)

    async def take(
        self, alone: Sequence[Verdict], *, account: str, source: str, fetched: bool, known: Known
    ) -> tuple[Kept, ...]:
        """As `submit`, of alerts that were judged already."""

        def work(session: Session, ctx: Context) -> Changed[tuple[Kept, ...]]:
            origin: Origin = cap_sources.origin_of(session, source, fetched=fetched)
            return Changed(cap_alerts.keep(session, ctx, alone, origin, own=self._own))

        kept = await self._centre.do(account, work)
        for one in kept:
            self._tell(one)
        for one in kept:
            if one.waits and one.id is not None:
                with contextlib.suppress(Fault, OperatorNeeded):  # tables that cannot be written: with the composing
                    await self._put_out_armed(one.id, one.verdict, known.places)
        first = [one.id for one in kept if one.waits and one.id is not None][:MOST_AT_ONCE]
        return tuple([await self._composed(one, known) if one.waits and one.id in first else one for one in kept])

    async def _put_out_armed(self, cap: str, verdict: Verdict, places: KnownAreas) -> None:
        """First what was approved beforehand for such an alert, before anything is spoken."""
        if cap in self._told:
            return

        def where(alert: CapMessage) -> tuple[AreaPath, ...]:
            return targets(match(alert, places).matched)

        heard = heard_from(verdict, cap, where=where, default_life_ms=DEFAULT_LIFE_MS)
        if heard is not None:
            await self._alerts.put_out_armed(heard)
        if self._alerts.is_written:  # what was armed while the tables were locked is asked of once more
            self._told.add(cap)

    async def compose(self, cap: str, areas: Sequence[str], *, account: str) -> str:
        """A person chooses where somebody else's alert is for; the id of the alert of ours, which waits for people.

        Raises Refused(not_found, cap_not_composable), what judging it now says, and as `compose_words`.
        """
        row = await self._centre.reading(lambda session: cap_alerts.cap_row(session, cap))
        if row.state not in ("needs_area", "not_composed"):
            raise Refused("cap_not_composable", field="cap", value=row.state)
        return await self._compose(row, await self.known(), tuple(areas), account)

    async def refusal_of(self, row: CapAlert) -> Refused | None:
        """Why an alert was refused, in full, where judging it as of then says the same again: only the code is kept."""
        if not row.is_refused or row.trouble:
            return None
        terms = replace((await self.known()).terms, at=InstantMs(row.received_at))
        again = await self._centre.aside(lambda: judge_alone(row.xml, terms))
        return next((one.problem for one in again if one.problem is not None and one.code == row.code), None)

    async def finish(self) -> bool:
        """Compose what was accepted and is not composed yet: there was more, the process ended, a voice was missing.

        Whether there is more that was never tried.
        """
        left = await self._centre.reading(cap_alerts.waiting)
        if left:
            known = await self.known()
            for name in left[:MOST_AT_ONCE]:
                await self._compose_waiting(name, known)
        return len(left) > MOST_AT_ONCE and await self._centre.reading(cap_alerts.is_untried)

    async def _composed(self, kept: Kept, known: Known) -> Kept:
        made, withdrawn = await self._compose_waiting(kept.id or "", known)
        return Kept(kept.verdict, kept.id, is_new=True, waits=not made, alert=made, withdrawn=withdrawn)

    async def _compose_waiting(self, name: str, known: Known) -> tuple[str | None, tuple[str, ...]]:
        """The alert's id and what it withdrew; None where it could not be made now: that is noted."""
        row = await self._centre.reading(lambda session: cap_alerts.cap_row(session, name))
        if row.state != "waiting" or name in self._composing:
            return row.alert, ()
        areas = targets(AreaPath(path) for path in row.areas.get("matched", ()))
        try:
            await self._compose(row, known, tuple(areas), CONTROLLER)
        except LoaError as error:
            # What a person has to change stays so; what the machine lacks may come back.
            state = "not_composed" if isinstance(error, Refused) else "waiting"
            if (state, error.code) != (row.state, row.trouble):
                note = partial(_not_composed, name=name, state=state, trouble=error.code)
                await self._centre.do(CONTROLLER, note)
                self._centre.events.publish("cap", name, state=state, trouble=error.code)
            return None, ()
        row = await self._centre.reading(lambda session: cap_alerts.cap_row(session, name))
        return row.alert, tuple(row.withdrew)

    async def _compose(self, row: CapAlert, known: Known, areas: tuple[str, ...], account: str) -> str:
        """One at a time of each, for speaking takes its time. Raises Refused(cap_not_composable) for the second."""
        if row.id in self._composing:
            raise Refused("cap_not_composable", field="cap", value="waiting")
        self._composing.add(row.id)
        try:
            return await self._composed_of(row, known, areas, account)
        finally:
            self._composing.discard(row.id)

    async def _composed_of(self, row: CapAlert, known: Known, areas: tuple[str, ...], account: str) -> str:
        draft = await self._draft(row, known, areas)
        before = await self._centre.reading(lambda session: cap_alerts.made_of(session, draft.source or ""))
        made = before or await self._alerts.compose_words(draft, account=account)

        def note(session: Session, ctx: Context) -> Changed[tuple[str, ...]]:
            return Changed(cap_alerts.was_composed(session, ctx, row.id, made))

        withdrawn = await self._centre.do(CONTROLLER, note)
        events = self._centre.events
        events.publish("cap", row.id, alert=made)
        for one in withdrawn:
            events.publish("alert", one, status="withdrawn", by=CONTROLLER)
        return made

    async def _draft(self, row: CapAlert, known: Known, areas: tuple[str, ...]) -> Draft:
        """From its XML, judged once more: what is stored beside it is for finding it. Raises Refused."""
        terms = known.terms
        verdict = (await self._centre.aside(lambda: judge_alone(row.xml, terms)))[0]
        if verdict.problem is not None and verdict.code != "area_unknown":
            raise verdict.problem
        await self._put_out_armed(row.id, verdict, known.places)  # once more, where the process ended before it could
        if verdict.alert is None or verdict.kind not in (Kind.LIVE, Kind.EXERCISE):
            raise Refused("cap_not_composable", field="cap", value=row.status)
        said = drafted(verdict.alert, known.places, known.at, DEFAULT_LIFE_MS)
        if said is None:
            raise Refused("cap_not_composable", field="cap", value=row.msg_type)
        updates = await self._centre.reading(
            lambda session: cap_alerts.updates_of(session, cap_alerts.cap_row(session, row.id))
        )
        latest = known.at + LONGEST_ALERT_MS
        return Draft(
            title=said.title,
            kind=precedence.Kind.LIVE if verdict.kind is Kind.LIVE else precedence.Kind.DRILL,
            event=said.event,
            severity=said.severity,
            urgency=said.urgency,
            target_areas=areas,
            target_nodes=(),
            words=self._words(said),
            expires_at=None if said.expires_at is None else InstantMs(min(said.expires_at, latest)),
            references=tuple(updates),
            source=source_of(row),
            template=None,
        )

    def _words(self, said: Drafted) -> tuple[Words, ...]:
        """In the languages that are spoken here; none where none is: then siren and standing recordings sound."""
        spoken = self._alerts.voice.languages
        return tuple(Words(one.language, one.text) for one in said.sayings if one.language in spoken)

    def _tell(self, kept: Kept) -> None:
        events = self._centre.events
        if kept.is_new and not kept.verdict.refused:
            events.publish("cap", kept.id or "", code=kept.verdict.code)
        for one in kept.withdrawn:
            events.publish("alert", one, status="withdrawn", by=CONTROLLER)
        for one in kept.asked:
            events.publish("alert", one, cancel_asked_by=kept.verdict.sketch.sender, cap=kept.id)

    def _context(self, account: str) -> Context:
        return self._centre.context(account)


def source_of(row: CapAlert) -> str:
    """As the alert of ours names it to those who approve it: whose, which, and how far that is sure."""
    sent = "" if row.sent is None else (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=row.sent)).isoformat()
    return f"CAP {row.sender[:120]} {row.identifier[:160]} {sent} {row.signature} {row.id}"


def _not_composed(session: Session, _: Context, *, name: str, state: str, trouble: str) -> Changed[None]:
    cap_alerts.was_not_composed(session, name, state, trouble)
    return Changed(None)
