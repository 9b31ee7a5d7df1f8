"""What people ask of a centre about alerts: a unit of work, then the wire, then those who watch are told.

Approvals and cancels do not wait for tables that cannot be written: they are kept in a log then, and count as well.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from sqlmodel import Session

from audio import shipped
from audio.render import RenditionFile
from audio.voices import Espeak, Voice
from controller.deedlog import DeedLog
from controller.events import Events
from controller.keyfiles import CentreKeys
from controller.permissions import Permission
from controller.services import alerts, deeds, direct
from controller.services.alert_bodies import AlertForm
from controller.services.alert_making import Draft, make_alert, new_rendition, plan_words, speak_words
from controller.services.alert_release import Approved
from controller.services.alerts import Seen
from controller.services.bulletins import NewRendition
from controller.services.context import CONTROLLER, Changed, Context, Outgoing
from controller.services.deeds import SEED_BYTES, Deed
from controller.services.direct_rules import Heard, meant_by
from controller.services.stored_sounds import ship_sounds
from controller.services.streams import LOOK_AHEAD_MS, DueStream
from controller.store import PATIENCE_S, Database
from devices.protocol.alerts import AlertAction
from devices.protocol.common import DRILL_ANNOUNCEMENT
from loa.errors import Fault, LoaError, OperatorNeeded, Refused
from loa.precedence import Kind
from loa.units import InstantMs

T = TypeVar("T")
log = logging.getLogger("loa.alerts")
_CANNOT_WRITE = frozenset({"database_busy", "storage_full"})


@dataclass(frozen=True)
class OwnKey:
    """A person's sealed key and its passphrase. `key`: its id; None for the newest of the alert's kind."""

    passphrase: str = field(repr=False)
    key: str | None = None


@dataclass(frozen=True)
class Detached:
    """An approval that was made on the person's own device."""

    approval: bytes


Hand = OwnKey | Detached
"""How a person signs."""


class CentreWork(Protocol):
    """What the desk rests on; `controller.centre.Centre` is it."""

    @property
    def events(self) -> Events: ...
    @property
    def keys(self) -> CentreKeys: ...
    @property
    def db(self) -> Database: ...

    def context(self, account: str) -> Context: ...
    async def reading(self, work: Callable[[Session], T]) -> T: ...
    async def do(self, account: str, change: Callable[[Session, Context], Changed[T]]) -> T: ...
    async def put_out(self, outgoing: Outgoing) -> None: ...
    async def stream(self, streams: Collection[DueStream]) -> None: ...
    async def aside(self, work: Callable[[], T]) -> T: ...
    async def approve_body(self, key: str, *, passphrase: str, body: bytes, account: str) -> bytes: ...


class AlertDesk:
    """One a centre. Errors are those of `controller.services.alerts` and, for a sealed key, `approve_body`."""

    def __init__(self, centre: CentreWork, waiting: DeedLog, voice: Voice | None = None) -> None:
        self._centre, self._log = centre, waiting
        self._one = asyncio.Lock()
        self._doing: set[asyncio.Task[Approved | LoaError]] = set()
        self.voice: Voice = voice or Espeak()
        """What speaks the words of alerts."""

    async def compose(self, form: AlertForm, *, title: str, account: str) -> str:
        """As `alerts.compose`: the alert's id. It waits for those who approve it; those who could are told."""
        made = await self._centre.do(
            account, lambda session, ctx: Changed(alerts.compose(session, ctx, form, title=title))
        )
        self._centre.events.publish("alert", made, status="composed", drill=form.kind is Kind.DRILL, title=title)
        return made

    async def compose_words(self, draft: Draft, *, account: str) -> str:
        """Speak the draft's words in each language, and compose an alert that sounds as the table says; its id.

        Raises what `alert_making` does: Refused for the draft, OperatorNeeded(voice_unavailable) where no voice works.
        """
        ctx, voice = self._centre.context(account), self.voice
        plan = await self._centre.reading(lambda session: plan_words(session, ctx, draft, voices=voice.languages))
        said = await self._centre.aside(lambda: speak_words(plan, voice))
        made = await self._centre.do(account, lambda session, ctx: Changed(make_alert(session, ctx, draft, plan, said)))
        self._centre.events.publish(
            "alert", made, status="composed", drill=draft.kind is Kind.DRILL, title=draft.title.strip()[:200]
        )
        return made

    async def install_sounds(self, *, account: str, anew: bool = False) -> tuple[int, ...]:
        """Make the sounds that come with the program, and have every node keep them; the codes that got one.

        anew: also in the place of the province's own. Raises Refused(not_permitted), OperatorNeeded(voice_unavailable)
        once the sirens are kept: they need no voice.
        """
        ctx = self._centre.context(account)
        ctx.demand(Permission.SETTINGS_MANAGE, ctx.province)

        async def kept(files: Callable[[], dict[int, tuple[str, RenditionFile]]]) -> tuple[int, ...]:
            def work() -> dict[int, tuple[str, NewRendition]]:
                return {code: (title, new_rendition(made, "vi")) for code, (title, made) in files().items()}

            made = await self._centre.aside(work)
            return await self._centre.do(account, lambda session, ctx: ship_sounds(session, ctx, made, anew=anew))

        sirens = await kept(shipped.siren_files)
        return sirens + await kept(lambda: {DRILL_ANNOUNCEMENT: shipped.drill_announcement(self.voice)})

    async def approve(self, alert: str, seen: Seen, hand: Hand, *, account: str) -> Approved:
        """As `alerts.approve`. Where it is enough, the order is on its way when this returns."""
        try:
            ctx = self._centre.context(account)
            body = await self.look(alert, lambda session: alerts.body_to_approve(session, ctx, alert, seen))
            approval = await self._signed(hand, body, seen.kind, account)
            deed = self._deed(AlertAction.RELEASE, ctx, alert=alert, kind=seen.kind, body=body, approval=approval)
            done = await self._to_the_end(self._done(deed, account))
        except Refused as error:
            if error.code == "alert_altered":
                await self._note_altered(alert, error.field or "", account)
            raise
        self._tell(alert, done, account)
        return done

    @property
    def is_written(self) -> bool:
        """Whether all that people did is in the tables."""
        return not self._log.deeds

    async def put_out_armed(self, heard: Heard) -> None:
        """What was approved beforehand and waits for this alert of a source goes out."""
        ctx = self._centre.context(CONTROLLER)
        meant = await self._centre.reading(lambda session: meant_by(session, heard, ctx.now))
        for name in meant:
            await self._put_out_one(name, heard)

    async def _put_out_one(self, name: str, heard: Heard) -> None:
        roots = self._centre.keys.roots

        def work(session: Session, ctx: Context) -> Changed[Approved | None]:
            return direct.put_out_armed(session, ctx, name, heard, roots=roots)

        def note(session: Session, ctx: Context, code: str) -> Changed[None]:
            direct.note_silent(session, ctx, name, heard, code)
            return Changed(None)

        try:
            async with self._one:
                done = await self._centre.do(CONTROLLER, work)
        except Refused as error:
            code = error.code
            await self._centre.do(CONTROLLER, lambda session, ctx: note(session, ctx, code))
            self._centre.events.publish("alert", name, status="armed", direct_refused=code, cap=heard.cap)
            return
        if done is not None:
            self._tell(name, done, CONTROLLER)
            self._centre.events.publish("direct_release", name, cap=heard.cap, sender=heard.sender)

    async def cancel(self, alert: str, hand: Hand, *, account: str) -> None:
        """As `alerts.cancel`: one person's word ends it everywhere."""
        ctx = self._centre.context(account)
        kind, data = await self.look(alert, lambda session: alerts.cancel_to_sign(session, ctx, alert))
        approval = await self._signed(hand, data, kind, account)
        deed = self._deed(AlertAction.CANCEL, ctx, alert=alert, kind=kind, body=data, approval=approval)
        await self._to_the_end(self._done(deed, account))
        self._centre.events.publish("alert", alert, status="cancelled", by=str(account))
        self._centre.events.publish("broadcast", alert, status="recalled")

    async def look(self, alert: str, look: Callable[[Session], T]) -> T:
        """Look at an alert as it stands, whether or not the tables hold it yet."""
        waiting = self._log.deeds
        if not waiting:
            return await self._centre.reading(look)
        ctx, roots = self._centre.context(CONTROLLER), self._centre.keys.roots

        def staged(session: Session) -> T:
            deeds.stage(session, ctx, alert, waiting, roots=roots)
            return look(session)

        return await self._centre.db.rehearsing(staged)

    @staticmethod
    def _deed(
        action: AlertAction, ctx: Context, *, alert: str, kind: Kind, body: bytes, approval: bytes
    ) -> Deed:  # fmt: skip
        return Deed(
            action=action, alert=alert, kind=kind, body=body, approval=approval, account=ctx.account,
            origin=ctx.origin, at=ctx.now, seed=ctx.entropy(SEED_BYTES),
        )  # fmt: skip

    async def _to_the_end(self, doing: Coroutine[Any, Any, Approved]) -> Approved:
        """What is kept goes out, also where whoever asked is gone meanwhile."""

        async def told() -> Approved | LoaError:
            try:
                return await doing
            except LoaError as error:  # for whoever asked, and no fault of a task's
                return error

        task = asyncio.create_task(told())
        self._doing.add(task)
        task.add_done_callback(self._doing.discard)
        done = await asyncio.shield(task)
        if isinstance(done, LoaError):
            raise done
        return done

    async def _done(self, deed: Deed, account: str) -> Approved:
        """In the tables; where they cannot be written soon, in the log, and then it goes out all the same.

        One after another: whoever is second sees what the first did.
        """
        ctx, roots = self._centre.context(account), self._centre.keys.roots
        async with self._one:
            try:
                changed = await self._centre.db.unit_of_work(
                    lambda session: deeds.do(session, ctx, deed, roots=roots),
                    patience_s=PATIENCE_S if self._centre.db.trouble is None else 0.0,
                    hurry=True,
                )
            except (OperatorNeeded, Fault) as error:
                if error.code not in _CANNOT_WRITE:
                    raise
                return await self._done_without_tables(ctx, replace(deed, at=ctx.now))
            await self._centre.put_out(changed.outgoing)
            return changed.value

    async def _done_without_tables(self, ctx: Context, deed: Deed) -> Approved:
        waiting, roots = self._log.deeds, self._centre.keys.roots
        until = InstantMs(ctx.now + LOOK_AHEAD_MS)
        found = await self._centre.db.rehearsing(
            lambda session: deeds.rehearse(session, ctx, deed, waiting, roots=roots, until=until)
        )
        await self._centre.aside(lambda: self._log.add(found.deed))
        log.error("%s of %s is not in the tables yet: they cannot be written", deed.action.name.lower(), deed.alert)
        await self._centre.put_out(Outgoing(orders=deeds.outgoing_of(found.deed)))
        await self._centre.stream(found.streams)
        return found.value

    async def withdraw(self, alert: str, *, account: str) -> None:
        """As `alerts.withdraw`."""
        await self._centre.do(account, lambda session, ctx: Changed(alerts.withdraw(session, ctx, alert)))
        self._centre.events.publish("alert", alert, status="withdrawn", by=str(account))

    async def _signed(self, hand: Hand, body: bytes, kind: Kind, account: str) -> bytes:
        if isinstance(hand, Detached):
            return hand.approval
        ctx, key = self._centre.context(account), hand.key
        if key is None:
            key = await self._centre.reading(
                lambda session: alerts.key_to_use(session, ctx, kind, self._centre.keys.roots)
            )
        return await self._centre.approve_body(key, passphrase=hand.passphrase, body=body, account=account)

    def _tell(self, alert: str, done: Approved, account: str) -> None:
        events = self._centre.events
        if not done.now:
            status = "released" if done.released else "armed" if done.armed else "composed"
            events.publish("alert", alert, status=status, approved_by=str(account))
            return
        events.publish("alert", alert, status="released", approved_by=str(account))
        events.publish("broadcast", alert, status="issued")
        if done.sole:
            events.publish("sole_release", alert, by=done.sole)

    async def _note_altered(self, alert: str, field: str, account: str) -> None:
        def note(session: Session, ctx: Context) -> Changed[None]:
            alerts.note_altered(session, ctx, alert, field)
            return Changed(None)

        await self._centre.do(account, note)
