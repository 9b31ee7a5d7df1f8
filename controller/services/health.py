"""What nodes say of how they are, written in groups and never on the path of an order."""

from collections.abc import Iterable, Mapping

from sqlmodel import Session, col, select

from controller.tables import Node, NodeState
from devices.protocol.envelope import encode
from devices.protocol.reports import Health
from loa.units import InstantMs, NodeId


def store_health(session: Session, batch: Iterable[Health], now: InstantMs) -> tuple[NodeId, ...]:
    """Keep the newest health of each node; returns the nodes it was kept for. Signatures are checked before."""
    newest: dict[NodeId, Health] = {}
    for health in batch:
        held = newest.get(health.node)
        if held is None or (held.session, held.at) <= (health.session, health.at):
            newest[health.node] = health
    states = _states(session, newest)
    kept: list[NodeId] = []
    for node, state in states.items():
        health = newest[node]
        state.session = max(state.session, health.session)
        state.online_hint = True
        state.last_heard_at = state.health_at = now
        state.health = encode(health)
        if health.link_rate is not None:
            state.link_rate = health.link_rate
        session.add(state)
        kept.append(node)
    session.flush()
    return tuple(kept)


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
