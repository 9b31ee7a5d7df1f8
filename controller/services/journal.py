"""How much of each node's journal is held."""

from collections.abc import Iterable

from sqlmodel import Session, col, select

from controller.tables import NodeState, ReceiptRow
from loa.units import InstantMs, NodeId

GAP_PATIENCE_MS = 600_000
"""A gap in a journal's numbers is taken as lost when what follows it has been here for this long."""


def held_number(session: Session, node: NodeId, epoch: bytes, now: InstantMs) -> int:
    """Up to which number everything of this journal is held; 0 where nothing is."""
    state = session.get(NodeState, str(node))
    start = state.held_number if state is not None and state.epoch == epoch else 0
    query = select(ReceiptRow.number, ReceiptRow.received_at).where(
        ReceiptRow.node == str(node), ReceiptRow.epoch == epoch.hex(), ReceiptRow.number > start
    )
    return contiguous(start, session.exec(query.order_by(col(ReceiptRow.number))).all(), now)


def contiguous(held: int, later: Iterable[tuple[int, int]], now: int) -> int:
    """Up to which number everything is held, given what is held above it as (number, received at), ascending.

    A node sends again what is not acknowledged, in order; so where something after a gap has been here for ten
    minutes, what is missing is not coming (its journal was full, or another centre took it).
    """
    for number, received_at in later:
        if number > held + 1 and now - received_at < GAP_PATIENCE_MS:
            break
        held = max(held, number)
    return held
