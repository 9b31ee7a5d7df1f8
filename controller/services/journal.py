"""How much of each node's journal is held."""

from collections.abc import Collection, Iterable

from sqlmodel import Session, col, select

from controller.tables import NodeState, ReceiptRow
from devices.protocol.envelope import open_sealed
from devices.protocol.refusal import WireRefusal
from devices.protocol.reports import NumberRange, Receipt, ReceiptEvent
from loa.units import InstantMs, NodeId

GAP_PATIENCE_MS = 600_000
"""A gap in a journal's numbers is taken as lost when what follows it has been here for this long."""


def held_number(session: Session, node: NodeId, epoch: bytes, now: InstantMs) -> int:
    """Up to which number everything of this journal is held; 0 where nothing is."""
    state = session.get(NodeState, str(node))
    start = state.held_number if state is not None and state.epoch == epoch else 0
    query = select(ReceiptRow.number, ReceiptRow.received_at, ReceiptRow.event).where(
        ReceiptRow.node == str(node), ReceiptRow.epoch == epoch.hex(), ReceiptRow.number > start
    )
    later = session.exec(query.order_by(col(ReceiptRow.number))).all()
    gone = [
        span
        for number, _, event in later
        if event == ReceiptEvent.JOURNAL_DROPPED
        for span in _dropped(session, node, epoch, number)
    ]
    return contiguous(start, ((number, received_at) for number, received_at, _ in later), now, gone)


def _dropped(session: Session, node: NodeId, epoch: bytes, number: int) -> tuple[NumberRange, ...]:
    """The numbers that a receipt says are gone for want of room."""
    row = session.get_one(ReceiptRow, (str(node), epoch.hex(), number))
    try:
        message = open_sealed(row.payload).message
    except WireRefusal:
        return ()
    return message.dropped if isinstance(message, Receipt) else ()


def contiguous(held: int, later: Iterable[tuple[int, int]], now: int, gone: Collection[NumberRange] = ()) -> int:
    """Up to which number everything is held, given what is held above it as (number, received at), ascending.

    gone: numbers that the node itself says it no longer has.

    A node sends again what is not acknowledged, in order; so where something after a gap has been here for ten
    minutes, what is missing is not coming (its journal was full, or another centre took it).
    """
    for number, received_at in later:
        held = _past(held, gone)
        if number > held + 1 and now - received_at < GAP_PATIENCE_MS:
            break
        held = max(held, number)
    return _past(held, gone)


def _past(held: int, gone: Collection[NumberRange]) -> int:
    """Over what is gone for good and follows at once."""
    while spans := [one for one in gone if one.first <= held + 1 < one.first + one.count]:
        held = max(one.first + one.count - 1 for one in spans)
    return held
