"""A node is there (again): it is told what we hold, and given what it lacks and what it is still owed.

Spread out in time, so that 2,000 nodes at once do not stand in the way of an emergency.
"""

from collections import OrderedDict
from collections.abc import Callable

from controller.services.context import Context
from controller.services.owed import reconcile
from controller.store import PATIENCE_S
from controller.wire.common import Waker, WireContext
from controller.wire.documents import DocumentDesk
from controller.wire.orders import OrderDesk
from controller.wire.registry import Enrolled, NodeRegistry
from devices.protocol.reports import Health
from loa.errors import LoaError

NODES_A_SECOND = 100.0
_GREETED_AT_ONCE = 8
"""In one commit; more would keep an order waiting for the tables."""
SETTLE_S = 3.0
"""A node that has just come gets the broker's retained documents by itself; what it lacks after this is sent."""
FIRST_AGAIN_S, LAST_AGAIN_S = 30.0, 3600.0
"""Who stays silent is sent it again after this, then after twice as long, at last once an hour: it may be gone."""


class Reconciliation:
    """Which nodes are to be brought up to date, in the order in which they came."""

    def __init__(
        self,
        wire: WireContext,
        registry: NodeRegistry,
        documents: DocumentDesk,
        orders: OrderDesk,
        context: Callable[[], Context],
    ) -> None:
        self._wire, self._registry = wire, registry
        self._documents, self._orders, self._context = documents, orders, context
        self._sessions: dict[str, int] = {}
        self._health: dict[str, Health] = {}
        self._came: OrderedDict[str, None] = OrderedDict()
        self._lagging: dict[str, float] = {}
        """When to look again whether a node still lags, in monotonic seconds."""
        self._silent_s: dict[str, float] = {}
        """How long whoever lags was last waited for without a word."""
        self._waker = Waker()

    def heard_health(self, node: Enrolled, health: Health) -> None:
        """What the node holds. A new session means that it may have missed anything: it is brought up to date."""
        self._health[node.id] = health
        if self._silent_s.pop(node.id, 0.0) > FIRST_AGAIN_S:
            self._lagging.pop(node.id, None)  # it is there again: what it lacks does not wait for the hour
        if self._sessions.get(node.id) != health.session:
            self._sessions[node.id] = health.session
            self._documents.forget(node.id)
            self._came[node.id] = None
            self._waker.wake()
        if not self._documents.lagging(node, health):
            self._lagging.pop(node.id, None)
            return
        if health.trust_version == 0 or health.placement_version == 0:
            self._documents.bring_up(node, health)  # it can believe nothing, or hears no area, before it has these
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
        """A few nodes that came, or one that lags, or wait for one."""
        clock = self._wire.clock
        if not self._wire.link.is_up:
            await self._waker.wait(clock, 1.0)
            return
        if self._came:
            began_s = clock.monotonic_s()
            came = [self._came.popitem(last=False)[0] for _ in range(min(_GREETED_AT_ONCE, len(self._came)))]
            try:
                await self._greet([self._health[node] for node in came])
            except LoaError:
                self._came.update(dict.fromkeys(came))  # they are greeted once the tables are there
                raise
            await clock.sleep(max(0.0, began_s + len(came) / NODES_A_SECOND - clock.monotonic_s()))
            return
        now = clock.monotonic_s()
        if self._lagging:
            name, at = min(self._lagging.items(), key=lambda item: item[1])
            if at <= now:
                self._look_again(name, now)
                await clock.sleep(1 / NODES_A_SECOND)
                return
            await self._waker.wait(clock, at - now)
            return
        await self._waker.wait(clock, None)

    async def _greet(self, healths: list[Health]) -> None:
        """What they are owed, where they are, what we hold of their journals. Documents come by the broker or later."""
        ctx = self._context()
        try:
            found = await self._wire.db.unit_of_work(
                lambda session: [reconcile(session, ctx, one) for one in healths], patience_s=PATIENCE_S
            )
        except LoaError:
            # The tables cannot be written now; what they are owed does not wait for that.
            found = await self._wire.db.reading(
                lambda session: [reconcile(session, ctx, one, put_off=False) for one in healths]
            )
            self._wire.counters.faults["reconciliation"] += 1
        for health, due in zip(healths, found, strict=True):
            self._orders.send(due.orders)
            node = self._registry.known(health.node)
            if node is not None:
                self._orders.send_unwritten(node)
            for control in due.controls:
                self._wire.to_node(control.node, control.payload)

    def _look_again(self, name: str, now: float) -> None:
        del self._lagging[name]
        node, health = self._registry.known(name), self._health.get(name)
        if node is None or health is None or not self._documents.lagging(node, health):
            return
        self._documents.bring_up(node, health)
        # It says what it holds after taking it; where it stays silent, it is sent again by and by.
        wait_s = self._silent_s[name] = min(LAST_AGAIN_S, 2 * self._silent_s.get(name, FIRST_AGAIN_S / 2))
        self._lagging[name] = now + wait_s
