"""Notices on their way: one at a time, beside everything else, kept in the tables until they are delivered."""

from collections.abc import Callable
from functools import cached_property
from typing import Protocol, TypeVar

from sqlmodel import Session

from controller import courier
from controller.sealing import Sealing
from controller.services import escalation
from controller.services.context import Changed, Context
from controller.services.escalation import DueNotice
from controller.tables import NoticeAddress
from controller.wire.common import Waker
from loa.clock import Clock
from loa.errors import LoaError
from loa.units import InstantMs

T = TypeVar("T")
TEST_TITLE = "Loa: thử liên lạc / a test"
TEST_BODY = (
    "Đây là tin thử từ hệ thống truyền thanh. Không cần làm gì.\n"
    "This is a test from the broadcast controller. Nothing has to be done."
)
Deliver = Callable[[str, str, str], str]
"""Address, title, body → "" or what went wrong."""


class CentreWork(Protocol):
    """What the desk rests on; `controller.centre.Centre` is it."""

    @property
    def clock(self) -> Clock: ...
    @property
    def accounts_key(self) -> bytes: ...

    def context(self, account: str) -> Context: ...
    async def reading(self, work: Callable[[Session], T]) -> T: ...
    async def do(self, account: str, change: Callable[[Session, Context], Changed[T]]) -> T: ...
    async def aside(self, work: Callable[[], T]) -> T: ...


class NoticeDesk:
    """One a centre. deliver: does it; takes its time."""

    def __init__(self, centre: CentreWork, account: str, deliver: Deliver = courier.deliver) -> None:
        self._centre, self._account = centre, account
        self.deliver = deliver
        self._waker = Waker()

    def wake(self) -> None:
        """Somebody is to be told."""
        self._waker.wake()

    async def add_address(self, *, name: str, url: str, account: str) -> NoticeAddress:
        """Keep an address, sealed. Raises Refused(bad_notice_address, too_many, not_permitted)."""
        checked = await self._centre.aside(lambda: courier.checked_address(url))

        def change(session: Session, ctx: Context) -> Changed[NoticeAddress]:
            shown = courier.shown_of(checked)
            row = escalation.add_address(session, ctx, name=name, url=checked, shown=shown, sealing=self._sealing)
            session.expunge(row)
            return Changed(row)

        return await self._centre.do(account, change)

    async def test(self, address: str, *, account: str) -> str:
        """Send a test now, once; "" where it was taken, else what went wrong. It is in the record either way.

        Raises Refused(not_found).
        """

        def change(session: Session, ctx: Context) -> Changed[DueNotice]:
            row = escalation.address_named(session, address)
            made = escalation.queue(session, ctx, row.id, TEST_TITLE, TEST_BODY, alert=None, waits=False)
            return Changed(DueNotice(made, TEST_TITLE, TEST_BODY, row.sealed, row.id, 0))

        return await self._try(await self._centre.do(account, change), account)

    async def turn(self) -> None:
        """Deliver what is due, then wait for the next. What fails is put off by its back-off."""
        now = self._centre.clock.now_ms()
        due = await self._centre.reading(lambda session: escalation.due_notices(session, now))
        for one in due:
            await self._try(one, self._account)
        next_at = await self._centre.reading(escalation.next_notice_at)
        await self._waker.wait(self._centre.clock, self._pause_s(next_at))

    def _pause_s(self, next_at: InstantMs | None) -> float | None:
        return None if next_at is None else max(0.05, (next_at - self._centre.clock.now_ms()) / 1000)

    async def _try(self, notice: DueNotice, account: str) -> str:
        trouble = "" if notice.over else await self._centre.aside(lambda: self._deliver(notice))

        def change(session: Session, ctx: Context) -> Changed[None]:
            if notice.over:
                escalation.drop_notice(session, ctx, notice.id)
            else:
                escalation.note_delivery(session, ctx, notice.id, trouble)
            return Changed(None)

        await self._centre.do(account, change)
        return trouble

    def _deliver(self, notice: DueNotice) -> str:
        try:
            url = self._sealing.open(notice.sealed, f"notice {notice.address}").decode()
        except LoaError as error:
            return error.code
        return self.deliver(url, notice.title, notice.body)

    @cached_property
    def _sealing(self) -> Sealing:
        return Sealing(self._centre.accounts_key)
