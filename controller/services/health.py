"""What nodes say of how they are, written in groups and never on the path of an order."""

from collections.abc import Iterable, Mapping

from sqlalchemy import BigInteger, Table, bindparam, case, func
from sqlmodel import Session, col, select

from controller.tables import Node, NodeState
from devices.protocol.envelope import decode
from devices.protocol.refusal import Malformed
from devices.protocol.reports import Health
from loa.units import InstantMs, NodeId

_STATES: Table = NodeState.__table__  # type: ignore[attr-defined]
_KEEP = (
    _STATES.update()
    .where(_STATES.c.node == bindparam("of"))
    .values(
        session=case((_STATES.c.session > bindparam("number"), _STATES.c.session), else_=bindparam("number")),
        online_hint=True,
        last_heard_at=bindparam("now"),
        health_at=bindparam("now"),
        health=bindparam("body"),
        link_rate=func.coalesce(bindparam("rate", type_=BigInteger), _STATES.c.link_rate),
    )
)


def store_health(session: Session, batch: Iterable[tuple[Health, bytes]], now: InstantMs) -> tuple[NodeId, ...]:
    """Keep the last health of each node, with its bytes as they were signed; returns the nodes it was kept for.

    batch: in the order in which they came, which counts within a session. Its `at` does not tell: a box that has just
    learned the time may say an earlier one than it did by its own clock. Signatures are checked before.
    """
    newest: dict[NodeId, tuple[Health, bytes]] = {}
    for health, body in batch:
        held = newest.get(health.node)
        if held is None or held[0].session <= health.session:
            newest[health.node] = health, body
    lines = [
        {"of": node, "number": one.session, "now": now, "body": body, "rate": one.link_rate}
        for node, (one, body) in sorted(newest.items())
    ]
    if not lines:
        return ()
    # By hand, not by objects: most of what nodes say is this, and hardly ever of a node without a row.
    if session.connection().execute(_KEEP, lines).rowcount == len(lines):
        session.expire_all()
        return tuple(sorted(newest))
    known = _states(session, newest)
    session.add_all(known.values())
    session.flush()
    if known:
        session.connection().execute(_KEEP, [line for line in lines if line["of"] in known])
        session.expire_all()
    return tuple(sorted(known))


def health_in(body: bytes | None) -> Health | None:
    """What is kept of a node, read again; None where it never said any, or in a way that this release cannot read."""
    try:
        said = decode(body) if body else None
    except Malformed:
        return None
    return said if isinstance(said, Health) else None


def store_presence(session: Session, hints: Mapping[NodeId, tuple[int, bool]], now: InstantMs) -> None:
    """Keep hints (session, online). One of an older session than the node's last says nothing."""
    for node, state in _states(session, hints).items():
        number, online = hints[node]
        if number < state.session:
            continue
        state.session, state.online_hint = number, online
        if online:
            state.last_heard_at = now
        session.add(state)
    session.flush()


def _states(session: Session, nodes: Iterable[NodeId]) -> dict[NodeId, NodeState]:
    """Rows of known nodes, made where they are missing."""
    wanted = sorted(nodes)
    known = set(session.exec(select(Node.id).where(col(Node.id).in_(wanted))))
    found = {NodeId(row.node): row for row in session.exec(select(NodeState).where(col(NodeState.node).in_(wanted)))}
    for node in wanted:
        if node in known and node not in found:
            found[node] = NodeState(node=node)
    return found
