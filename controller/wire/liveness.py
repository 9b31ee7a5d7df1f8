"""Which nodes are silent. Health alone counts; presence is a hint that is only passed on."""

from sqlmodel import Session, col, select

from controller.services.nodes import SILENT_AFTER, is_silent
from controller.tables import Node, NodeState
from controller.wire.common import WireContext
from devices.protocol.reports import Health, Presence, PresenceState


class Liveness:
    """Tells watchers when a node falls silent and when it is back."""

    def __init__(self, wire: WireContext, interval_s: int) -> None:
        self._wire, self.interval_s = wire, interval_s
        self._health_at: dict[str, int] = {}
        self._silent: set[str] = set()

    async def load(self) -> None:
        self._health_at = await self._wire.db.reading(_health_instants)
        now = self._wire.clock.now_ms()
        self._silent = {node for node, at in self._health_at.items() if is_silent(at, now, self.interval_s)}

    def heard(self, node: str, health: Health) -> None:
        """A node's health, committed."""
        fresh = node not in self._health_at
        self._health_at[node] = self._wire.clock.now_ms()
        back = node in self._silent
        self._silent.discard(node)
        values = {
            "playing": None if health.playing is None else health.playing.hex(),
            "volume": health.volume,
            "muted": health.muted,
        }
        self._wire.events.publish("node", node, state="online", back=back or fresh, **values)

    def hinted(self, node: str, presence: Presence) -> None:
        self._wire.events.publish("node", node, hint=presence.state is PresenceState.ONLINE)

    async def turn(self) -> None:
        now = self._wire.clock.now_ms()
        for node, at in self._health_at.items():
            if node not in self._silent and is_silent(at, now, self.interval_s):
                self._silent.add(node)
                self._wire.events.publish("node", node, state="silent")
        oldest = min((at for node, at in self._health_at.items() if node not in self._silent), default=now)
        # A node heard in the meantime only falls silent later than this.
        due_s = (oldest - now) / 1000 + self.interval_s * SILENT_AFTER
        await self._wire.clock.sleep(max(1.0, due_s + 0.001))


def _health_instants(session: Session) -> dict[str, int]:
    rows = session.exec(
        select(NodeState.node, NodeState.health_at)
        .join(Node, col(Node.id) == col(NodeState.node))
        .where(col(Node.retired_at).is_(None), col(NodeState.health_at).is_not(None))
    )
    return {node: at for node, at in rows if at is not None}
