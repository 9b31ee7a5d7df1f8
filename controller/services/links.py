"""What the nodes' links can carry, as they reported it."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, LargeBinary, case, func, literal
from sqlmodel import Session, col, select

from controller.services.context import Context
from controller.services.nodes import SILENT_AFTER
from controller.services.settings import settings_of
from controller.tables import Node, NodeState
from devices.protocol.common import RenditionRef
from scheduler.rules.spread import DEFAULT_RATE


def slowest_transfer_s(
    session: Session, ctx: Context, meant: ColumnElement[bool], refs: Sequence[RenditionRef]
) -> float:
    """Seconds that the node which needs longest needs for what it lacks of the renditions.

    meant: SQL, which rows of Node count. Silent nodes do not: one that is not there would hold up all others for
    nothing. The database looks for the names of the renditions in what the nodes said, where the names stand as they
    are; taking ten thousand healths apart here would hold an order up by a second.
    """
    lengths = {ref.digest: ref.length_bytes for ref in refs}
    missing: ColumnElement[float] = literal(0.0)
    for digest, length in lengths.items():
        missing += case((_holds(session, digest), 0.0), else_=float(length))
    rate = func.coalesce(func.nullif(NodeState.link_rate, 0), float(DEFAULT_RATE))
    heard_since = ctx.now - SILENT_AFTER * settings_of(session, ctx).health_interval_s * 1000
    slowest = session.exec(
        select(func.max(missing / rate))
        .select_from(NodeState)
        .join(Node, col(Node.id) == col(NodeState.node))
        .where(meant, col(NodeState.health).is_not(None), col(NodeState.health_at) >= heard_since)
    ).one()
    return float(slowest or 0.0)


def _holds(session: Session, digest: bytes) -> ColumnElement[bool]:
    """SQL: the node's last health names this rendition."""
    name = literal(digest, LargeBinary())
    if session.get_bind().dialect.name == "postgresql":
        return func.position(name.op("IN")(col(NodeState.health))) > 0
    return func.instr(col(NodeState.health), name) > 0
