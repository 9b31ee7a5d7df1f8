"""What the nodes' links can carry, as they reported it."""

from collections.abc import Sequence

from sqlmodel import Session, col, select

from controller.services.context import Context
from controller.services.nodes import is_silent
from controller.services.settings import settings_of
from controller.tables import NodeState
from devices.protocol.common import RenditionRef
from devices.protocol.envelope import decode
from devices.protocol.reports import Health
from loa.units import NodeId
from scheduler.rules.spread import DEFAULT_RATE


def slowest_transfer_s(session: Session, ctx: Context, nodes: Sequence[NodeId], refs: Sequence[RenditionRef]) -> float:
    """Seconds that the node which needs longest needs for what it lacks of the renditions.

    Silent nodes do not count: one that is not there would hold up all others for nothing.
    """
    wanted = {ref.digest: ref.length_bytes for ref in refs}
    query = select(NodeState).where(col(NodeState.node).in_(nodes), col(NodeState.health).is_not(None))
    interval_s = settings_of(session, ctx).health_interval_s
    slowest = 0.0
    for state in session.exec(query):
        if is_silent(state.health_at, ctx.now, interval_s):
            continue
        health = decode(state.health or b"")
        held = set(health.renditions) if isinstance(health, Health) else set()
        missing = sum(length for digest, length in wanted.items() if digest not in held)
        slowest = max(slowest, missing / (state.link_rate or DEFAULT_RATE))
    return slowest
