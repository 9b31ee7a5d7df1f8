"""Orders: at once to everybody they are for, then again to each node that has not confirmed."""

from dataclasses import dataclass

from sqlmodel import Session, col, select

from controller.services.context import OutOrder
from controller.tables import OwedOrder
from controller.wire.common import Waker, WireContext
from devices.protocol.topics import AreaChannel, DownChannel, area_topic
from loa.precedence import Precedence

FIRST_AGAIN_MS = 2_000
"""Time for the first receipts to come in, before anybody is sent an order again."""
LONGEST_AGAIN_MS = 60_000
EMERGENCY_AGAIN_MS = 10_000
MOST_A_TURN = 200
_IDLE_S = 30.0


@dataclass(frozen=True, slots=True)
class _Owed:
    order: str
    node: str
    payload: bytes
    attempts: int


def next_attempt_ms(attempts: int, precedence: int) -> int:
    """How long until an order that was sent `attempts` times goes out again: doubling, up to a bound."""
    longest = EMERGENCY_AGAIN_MS if precedence >= Precedence.EMERGENCY else LONGEST_AGAIN_MS
    return int(min(longest, FIRST_AGAIN_MS * 2 ** min(attempts, 8)))


class OrderDesk:
    """Publishes orders and pursues those that are owed, from the tables alone, so that a restart forgets nothing."""

    def __init__(self, wire: WireContext) -> None:
        self._wire = wire
        self._waker = Waker()

    def publish(self, order: OutOrder) -> None:
        """At once, ahead of everything else that waits: on the topics of its areas, or to each of its nodes."""
        for area in order.areas:
            self._wire.link.publish(area_topic(area, AreaChannel.ORDER), order.payload, qos=1, urgent=True)
            self._wire.counters.orders_sent += 1
        for node in order.nodes:
            self._wire.to_node(node, order.payload, channel=DownChannel.ORDER, urgent=True)
            self._wire.counters.orders_sent += 1
        self._waker.wake()

    def wake(self) -> None:
        """Something is owed, or the link is back."""
        self._waker.wake()

    async def turn(self) -> None:
        """Send what is due again, then wait for the next that will be."""
        if not self._wire.link.is_up:
            await self._waker.wait(self._wire.clock, _IDLE_S)
            return
        now = self._wire.clock.now_ms()
        due, next_at = await self._wire.db.reading(lambda session: _due(session, now))
        if due:
            await self._wire.db.unit_of_work(lambda session: _note_attempts(session, due, now))
            self._send(due)
            await self._wire.link.drained()
            if len(due) == MOST_A_TURN:
                return
        pause = _IDLE_S if next_at is None else max(0.05, min(_IDLE_S, (next_at - now) / 1000))
        await self._waker.wait(self._wire.clock, pause)

    async def send_owed(self, node: str) -> None:
        """A node is back: everything that it has not confirmed, at once."""
        now = self._wire.clock.now_ms()
        due = await self._wire.db.reading(lambda session: _owed_to(session, node, now))
        if due:
            await self._wire.db.unit_of_work(lambda session: _note_attempts(session, due, now))
            self._send(due)

    def _send(self, due: list[_Owed]) -> None:
        for owed in due:
            self._wire.to_node(owed.node, owed.payload, channel=DownChannel.ORDER, urgent=True)
            self._wire.counters.orders_sent += 1


def _open(now: int) -> list[object]:
    return [col(OwedOrder.confirmed_at).is_(None), col(OwedOrder.expires_at) > now]


def _due(session: Session, now: int) -> tuple[list[_Owed], int | None]:
    """What is due, most urgent first, and the instant at which more will be."""
    where = _open(now)
    rows = session.exec(
        select(OwedOrder)
        .where(*where, col(OwedOrder.next_at) <= now)  # type: ignore[arg-type]
        .order_by(col(OwedOrder.precedence).desc(), col(OwedOrder.next_at))
        .limit(MOST_A_TURN)
    ).all()
    later = session.exec(
        select(OwedOrder.next_at)
        .where(*where, col(OwedOrder.next_at) > now)  # type: ignore[arg-type]
        .order_by(col(OwedOrder.next_at))
        .limit(1)
    ).first()
    soonest = min((now + next_attempt_ms(row.attempts + 1, row.precedence) for row in rows), default=None)
    candidates = [instant for instant in (later, soonest) if instant is not None]
    return [_owed(row) for row in rows], min(candidates, default=None)


def _owed_to(session: Session, node: str, now: int) -> list[_Owed]:
    rows = session.exec(
        select(OwedOrder)
        .where(*_open(now), col(OwedOrder.node) == node)  # type: ignore[arg-type]
        .order_by(col(OwedOrder.precedence).desc(), col(OwedOrder.issued_at))
        .limit(MOST_A_TURN)
    ).all()
    return [_owed(row) for row in rows]


def _owed(row: OwedOrder) -> _Owed:
    return _Owed(row.order, row.node, row.payload, row.attempts)


def _note_attempts(session: Session, due: list[_Owed], now: int) -> None:
    for owed in due:
        row = session.get(OwedOrder, (owed.order, owed.node))
        if row is not None and row.confirmed_at is None:
            row.attempts += 1
            row.next_at = now + next_attempt_ms(row.attempts, row.precedence)
            session.add(row)
