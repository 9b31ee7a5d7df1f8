"""Boards of alerts as they change: looked at again when something came in, told to those who watch, closed by rule.

It stands beside the way of an alert, never in it: what fails here is tried again, and nothing waits for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sqlmodel import Session

from controller import ladder
from controller.events import Change, Events
from controller.services import alerts, boards, escalation
from controller.services.boards import Wire
from controller.services.context import Changed, Context
from controller.tables import Alert
from controller.wire.common import Waker
from controller.wire.transmitter import Transmitter
from loa.clock import Clock
from loa.units import InstantMs

T = TypeVar("T")
APART_S = 1.0
"""A board is looked at no oftener: what came in meanwhile is one change."""
_AT_MOST_OF_TIME = 5
"""Looking takes no more than one part in so many of the time."""


class CentreWork(Protocol):
    """What the desk rests on; `controller.centre.Centre` is it."""

    @property
    def events(self) -> Events: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def transmitter(self) -> Transmitter: ...
    @property
    def broker_connected(self) -> bool: ...

    def context(self, account: str) -> Context: ...
    async def reading(self, work: Callable[[Session], T]) -> T: ...
    async def do(self, account: str, change: Callable[[Session, Context], Changed[T]]) -> T: ...


@dataclass(frozen=True)
class _Looked:
    """What one look at all open boards found."""

    told: tuple[tuple[str, dict[str, object]], ...]
    to_write: bool
    """Something is to be closed, or somebody told."""
    next_at: InstantMs | None


class BoardDesk:
    """One a centre."""

    def __init__(self, centre: CentreWork, account: str) -> None:
        self._centre, self._account = centre, account
        self._waker = Waker()
        self._open: frozenset[str] = frozenset()
        self._told: dict[str, dict[str, object]] = {}
        self.noticed: Callable[[], None] = lambda: None
        """Told when somebody is to be told."""

    def wire(self) -> Wire:
        """What the wire alone knows now."""
        centre = self._centre
        names = frozenset(centre.transmitter.contested.names(centre.clock.now_ms()))
        return Wire(centre.broker_connected, names)

    async def send_again(self, alert: str, area: str | None, *, account: str) -> int:
        """What is not confirmed goes out now: on each node's own topic, and to all of its village. How many nodes.

        Raises Refused(not_found, not_permitted, alert_not_released, alert_over).
        """
        wire = self.wire()

        def change(session: Session, ctx: Context) -> Changed[int]:
            return boards.send_again(session, ctx, alert, wire, area=area)

        count = await self._centre.do(account, change)
        self._centre.transmitter.orders.wake()
        self._waker.wake()
        return count

    async def close(self, alert: str, *, account: str) -> None:
        """A person closes a board. Raises Refused(not_found, not_permitted, alert_not_released, board_open)."""
        wire = self.wire()

        def change(session: Session, ctx: Context) -> Changed[bool]:
            row = alerts.alert_row(session, ctx, alert, alerts.P.ALERT_CANCEL)
            board = boards.board_of(session, ctx, row, wire, all_nodes=True)
            return Changed(boards.close_board(session, ctx, board, by_itself=False))

        if await self._centre.do(account, change):
            self._centre.events.publish("board", alert, closed=True, by=str(account))
            self._waker.wake()

    # By itself

    async def listen(self) -> None:
        """Wake the desk for what changes a board. Runs as long as the centre."""
        with self._centre.events.subscribed() as subscription:
            async for change in subscription:
                if self._matters(change):
                    self._waker.wake()

    def _matters(self, change: Change) -> bool:
        match change.kind:
            case "alert" | "resync":
                return True
            case "coverage":
                return change.id in self._open
            case "node":
                data = change.data
                return bool(self._open) and (
                    data.get("state") == "silent" or bool(data.get("back")) or "contested" in data
                )
            case "air":
                return bool(self._open) and change.id == "broker"
        return False

    async def turn(self) -> None:
        """Look at what is open; tell, close, escalate; wait for the next change or instant."""
        clock = self._centre.clock
        began_s = clock.monotonic_s()
        ctx, wire = self._centre.context(self._account), self.wire()
        looked = await self._centre.reading(lambda session: self._look(session, ctx, wire))
        for alert, told in looked.told:
            if self._told.get(alert) != told:
                self._told[alert] = told
                self._centre.events.publish("board", alert, **told)
        if looked.to_write:
            await self._write(wire)
            self._waker.wake()  # to see what is due next
        took_s = clock.monotonic_s() - began_s
        wait_s = None if looked.next_at is None else max(0.0, (looked.next_at - clock.now_ms()) / 1000)
        await self._waker.wait(clock, wait_s)
        # Not at once: what a release sets going comes first, and what comes in within a second is one change.
        await clock.sleep(max(APART_S, _AT_MOST_OF_TIME * took_s))

    def _look(self, session: Session, ctx: Context, wire: Wire) -> _Looked:
        names = boards.open_boards(session)
        self._open = frozenset(names)
        self._told = {name: told for name, told in self._told.items() if name in self._open}
        told, instants, to_write = [], [], False
        for name in names:
            board = boards.board_of(session, ctx, session.get_one(Alert, name), wire, all_nodes=True)
            told.append((name, {"closed": False, **boards.totals_told(board.totals)}))
            step_at = escalation.next_step_at(session, board)
            is_due = step_at is not None and step_at <= ctx.now
            to_write = to_write or is_due or ladder.closes_by_itself(board.totals)
            instants += [step_at, InstantMs(board.facts.expires_at + ladder.SETTLE_MS)]
        coming = [at for at in instants if at is not None and at > ctx.now]
        return _Looked(tuple(told), to_write, min(coming, default=None))

    async def _write(self, wire: Wire) -> None:
        def change(session: Session, ctx: Context) -> Changed[tuple[list[str], int]]:
            closed, told = [], 0
            for name in boards.open_boards(session):
                board = boards.board_of(session, ctx, session.get_one(Alert, name), wire, all_nodes=True)
                told += escalation.escalate(session, ctx, board)
                if ladder.closes_by_itself(board.totals) and boards.close_board(session, ctx, board, by_itself=True):
                    closed.append(name)
            return Changed((closed, told))

        closed, told = await self._centre.do(self._account, change)
        for name in closed:
            self._centre.events.publish("board", name, closed=True, by=self._account)
        if told:
            self.noticed()
