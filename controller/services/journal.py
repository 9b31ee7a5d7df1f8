"""How much of each node's journal is held."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache

from sqlalchemy import TextClause, bindparam, text
from sqlmodel import Session, col, select

from controller.tables import NodeState, ReceiptRow
from devices.protocol.envelope import open_sealed
from devices.protocol.refusal import WireRefusal
from devices.protocol.reports import NumberRange, Receipt, ReceiptEvent
from loa.units import InstantMs, NodeId

GAP_PATIENCE_MS = 6 * 3_600_000
"""A gap in a journal's numbers is taken as lost when what follows it has been here for this long.

Long, because a noisy line may hold one receipt back for half an hour, and what is acknowledged is not sent again.
"""

_AT_ONCE = 200

_NOTED = select(NodeState.node, NodeState.epoch, NodeState.held_number).where(
    col(NodeState.node).in_(bindparam("nodes", expanding=True))
)

Journal = tuple[NodeId, bytes]
"""A node and the epoch of its journal."""


def held_number(session: Session, node: NodeId, epoch: bytes, now: InstantMs) -> int:
    """Up to which number everything of this journal is held; 0 where nothing is."""
    return held_numbers(session, [(node, epoch)], now)[node, epoch]


def held_numbers(
    session: Session, journals: Sequence[Journal], now: InstantMs, noted: Mapping[Journal, int] | None = None
) -> dict[Journal, int]:
    """As `held_number`, for many journals in few queries. noted: `noted_numbers`, where they are known already."""
    found = dict(noted_numbers(session, journals) if noted is None else noted)
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


def noted_numbers(session: Session, journals: Sequence[Journal]) -> dict[Journal, int]:
    """What was noted as held when these journals were last looked at; 0 for an epoch that is new."""
    nodes = sorted({node for node, _ in journals})
    noted: dict[str, tuple[bytes | None, int]] = {}
    for at in range(0, len(nodes), _AT_ONCE):
        rows = session.connection().execute(_NOTED, {"nodes": nodes[at : at + _AT_ONCE]})
        for name, epoch, number in rows:
            noted[name] = (epoch, number)
    found: dict[Journal, int] = {}
    for node, epoch in journals:
        of_epoch, number = noted.get(node, (None, 0))
        found[node, epoch] = number if of_epoch == epoch else 0
    return found


@lru_cache(maxsize=_AT_ONCE + 1)
def _later_query(count: int) -> TextClause:
    """For so many journals. Written out, since building it anew for each group of receipts took half of their time."""
    wanted = ", ".join(
        f"(CAST(:node{n} AS VARCHAR), CAST(:epoch{n} AS VARCHAR), CAST(:held{n} AS BIGINT))" for n in range(count)
    )
    return text(
        f"WITH wanted (node, epoch, held) AS (VALUES {wanted}) "  # noqa: S608 - names of parameters alone
        "SELECT receipt.node, receipt.epoch, receipt.number, receipt.received_at, receipt.event "
        "FROM wanted JOIN receipt ON receipt.node = wanted.node AND receipt.epoch = wanted.epoch "
        "AND receipt.number > wanted.held ORDER BY receipt.number"
    )


def _later(
    session: Session, journals: Sequence[Journal], held: Mapping[Journal, int]
) -> Sequence[tuple[str, str, int, int, int]]:
    """What is here above the held numbers, ascending within each journal."""
    values: dict[str, str | int] = {}
    for n, (node, epoch) in enumerate(journals):
        values |= {f"node{n}": node, f"epoch{n}": epoch.hex(), f"held{n}": held[node, epoch]}
    rows = session.connection().execute(_later_query(len(journals)), values)
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

    A node sends again what is not acknowledged, in order; so where something after a gap has been here for
    hours, what is missing is not coming (its journal was full, or another centre took it).
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
