"""How much of each node's journal is held."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import and_, or_
from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

from controller.tables import NodeState, ReceiptRow
from devices.protocol.envelope import open_sealed
from devices.protocol.refusal import WireRefusal
from devices.protocol.reports import NumberRange, Receipt, ReceiptEvent
from loa.units import InstantMs, NodeId

GAP_PATIENCE_MS = 600_000
"""A gap in a journal's numbers is taken as lost when what follows it has been here for this long."""

_AT_ONCE = 50

Journal = tuple[NodeId, bytes]
"""A node and the epoch of its journal."""


def held_number(session: Session, node: NodeId, epoch: bytes, now: InstantMs) -> int:
    """Up to which number everything of this journal is held; 0 where nothing is."""
    return held_numbers(session, [(node, epoch)], now)[node, epoch]


def held_numbers(session: Session, journals: Sequence[Journal], now: InstantMs) -> dict[Journal, int]:
    """As `held_number`, for many journals in few queries."""
    nodes = sorted({node for node, _ in journals})
    states = {row.node: row for row in session.exec(select(NodeState).where(col(NodeState.node).in_(nodes)))}
    found: dict[Journal, int] = {}
    for node, epoch in journals:
        state = states.get(node)
        found[node, epoch] = state.held_number if state is not None and state.epoch == epoch else 0
    for at in range(0, len(journals), _AT_ONCE):
        some = journals[at : at + _AT_ONCE]
        later: dict[Journal, list[tuple[int, int]]] = {journal: [] for journal in some}
        gone: dict[Journal, list[NumberRange]] = {journal: [] for journal in some}
        for name, hexed, number, received_at, event in _later(session, some, found):
            journal = (NodeId(name), bytes.fromhex(hexed))
            later[journal].append((number, received_at))
            if event == ReceiptEvent.JOURNAL_DROPPED:
                gone[journal] += _dropped(session, *journal, number)
        for journal in some:
            found[journal] = contiguous(found[journal], later[journal], now, gone[journal])
    return found


def _later(
    session: Session, journals: Sequence[Journal], held: Mapping[Journal, int]
) -> Sequence[tuple[str, str, int, int, int]]:
    """What is here above the held numbers, ascending within each journal."""
    wanted = [
        and_(
            col(ReceiptRow.node) == node,
            col(ReceiptRow.epoch) == epoch.hex(),
            col(ReceiptRow.number) > held[node, epoch],
        )
        for node, epoch in journals
    ]
    query = sa_select(
        col(ReceiptRow.node),
        col(ReceiptRow.epoch),
        col(ReceiptRow.number),
        col(ReceiptRow.received_at),
        col(ReceiptRow.event),
    ).where(or_(*wanted))
    rows = session.connection().execute(query.order_by(col(ReceiptRow.number)))
    return [(row[0], row[1], row[2], row[3], row[4]) for row in rows]


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
