"""A node is there (again): it is told what we hold, and given what it lacks and what it is still owed.

Spread out in time, so that 2,000 nodes at once do not stand in the way of an emergency.
"""

from collections import OrderedDict

from controller.wire.common import Waker, WireContext
from controller.wire.documents import DocumentDesk
from controller.wire.orders import OrderDesk
from controller.wire.registry import Enrolled, NodeRegistry
from controller.wire.statements import Statements
from devices.protocol.reports import Health

NODES_A_SECOND = 100.0
SETTLE_S = 3.0
"""A node that has just come gets the broker's retained documents by itself; what it lacks after this is sent."""


class Reconciliation:
    """Which nodes are to be brought up to date, in the order in which they came."""

    def __init__(
        self,
        wire: WireContext,
        registry: NodeRegistry,
        documents: DocumentDesk,
        orders: OrderDesk,
        statements: Statements,
    ) -> None:
        self._wire, self._registry = wire, registry
        self._documents, self._orders, self._statements = documents, orders, statements
        self._sessions: dict[str, int] = {}
        self._health: dict[str, Health] = {}
        self._came: OrderedDict[str, None] = OrderedDict()
        self._lagging: OrderedDict[str, float] = OrderedDict()
        self._waker = Waker()

    def heard_session(self, node: str, session: int) -> None:
        """A node spoke within a session; a new one means that it may have missed anything."""
        if self._sessions.get(node) == session:
            return
        self._sessions[node] = session
        self._documents.forget(node)
        self._came[node] = None
        self._waker.wake()

    def heard_health(self, node: Enrolled, health: Health) -> None:
        """What the node holds; it is sent what it lacks, at once where it lacks the trust to believe anything."""
        self._health[node.id] = health
        self.heard_session(node.id, health.session)
        if not self._documents.lagging(node, health):
            self._lagging.pop(node.id, None)
            return
        if health.trust_version == 0 or health.placement_version == 0:
            self._documents.bring_up(node, health)
        if node.id not in self._lagging:
            self._lagging[node.id] = self._wire.clock.monotonic_s() + SETTLE_S
            self._waker.wake()

    def newer_documents(self) -> None:
        """Documents were issued: look again at what every node said that it holds."""
        for node in self._registry.all():
            health = self._health.get(node.id)
            if health is not None and node.id not in self._lagging and self._documents.lagging(node, health):
                self._lagging[node.id] = self._wire.clock.monotonic_s() + SETTLE_S
        self._waker.wake()

    async def turn(self) -> None:
        """One node, or wait for one."""
        clock = self._wire.clock
        if not self._wire.link.is_up:
            await self._waker.wait(clock, 1.0)
            return
        if self._came:
            node, _ = self._came.popitem(last=False)
            await self._statements.state(node)
            await self._orders.send_owed(node)
            await clock.sleep(1 / NODES_A_SECOND)
            return
        now = clock.monotonic_s()
        if self._lagging:
            name, at = next(iter(self._lagging.items()))
            if at <= now:
                self._look_again(name, now)
                await clock.sleep(1 / NODES_A_SECOND)
                return
            await self._waker.wait(clock, at - now)
            return
        await self._waker.wait(clock, None)

    def _look_again(self, name: str, now: float) -> None:
        del self._lagging[name]
        node, health = self._registry.known(name), self._health.get(name)
        if node is None or health is None or not self._documents.lagging(node, health):
            return
        self._documents.bring_up(node, health)
        # It says what it holds after taking it; where it stays silent, it is sent again by and by.
        self._lagging[name] = now + 30.0
