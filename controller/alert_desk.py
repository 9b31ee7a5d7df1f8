"""What people ask of a centre about alerts: a unit of work, then the wire, then those who watch are told."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from sqlmodel import Session

from controller.events import Events
from controller.keyfiles import CentreKeys
from controller.services import alerts
from controller.services.alerts import Approved, Seen
from controller.services.context import Changed, Context
from controller.services.emergencies import AlertForm
from loa.errors import Refused
from loa.precedence import Kind

T = TypeVar("T")


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

    def context(self, account: str) -> Context: ...
    async def reading(self, work: Callable[[Session], T]) -> T: ...
    async def do(self, account: str, change: Callable[[Session, Context], Changed[T]]) -> T: ...
    async def approve_body(self, key: str, *, passphrase: str, body: bytes, account: str) -> bytes: ...


class AlertDesk:
    """One a centre. Errors are those of `controller.services.alerts` and, for a sealed key, `approve_body`."""

    def __init__(self, centre: CentreWork) -> None:
        self._centre = centre

    async def compose(self, form: AlertForm, *, title: str, account: str) -> str:
        """As `alerts.compose`: the alert's id. It waits for those who approve it; those who could are told."""
        made = await self._centre.do(
            account, lambda session, ctx: Changed(alerts.compose(session, ctx, form, title=title))
        )
        self._centre.events.publish("alert", made, status="composed", drill=form.kind is Kind.DRILL, title=title)
        return made

    async def approve(self, alert: str, seen: Seen, hand: Hand, *, account: str) -> Approved:
        """As `alerts.approve`. Where it is enough, the order is on its way when this returns."""
        try:
            ctx = self._centre.context(account)
            body = await self._centre.reading(lambda session: alerts.body_to_approve(session, ctx, alert, seen))
            approval = await self._signed(hand, body, seen.kind, account)
            roots = self._centre.keys.roots
            done = await self._centre.do(
                account, lambda session, ctx: alerts.approve(session, ctx, alert, seen, approval, roots=roots)
            )
        except Refused as error:
            if error.code == "alert_altered":
                await self._note_altered(alert, error.field or "", account)
            raise
        self._tell(alert, done, account)
        return done

    async def cancel(self, alert: str, hand: Hand, *, account: str) -> None:
        """As `alerts.cancel`: one person's word ends it everywhere."""
        ctx = self._centre.context(account)
        kind, data = await self._centre.reading(lambda session: alerts.cancel_to_sign(session, ctx, alert))
        approval = await self._signed(hand, data, kind, account)
        roots = self._centre.keys.roots
        await self._centre.do(
            account, lambda session, ctx: alerts.cancel(session, ctx, alert, data, approval, roots=roots)
        )
        self._centre.events.publish("alert", alert, status="cancelled", by=str(account))
        self._centre.events.publish("broadcast", alert, status="recalled")

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
            status = "released" if done.released else "composed"
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
