"""Orders: at once to everybody they are for, then again to each node that has not confirmed."""

from collections.abc import Iterable

from sqlmodel import Session

from controller.deedlog import DeedLog
from controller.services.context import OutOrder
from controller.services.owed import OwedSend, due_orders, next_owed_at
from controller.services.routes import homes_of, note_routes
from controller.store import PATIENCE_S
from controller.wire.common import Waker, WireContext
from controller.wire.registry import Enrolled
from controller.wire.routes import Routes
from controller.wire.unwritten import UnwrittenOrders
from devices.protocol.topics import AreaChannel, DownChannel, area_topic
from loa.errors import LoaError
from loa.names import AreaPath
from loa.precedence import Precedence
from loa.units import InstantMs

MOST_A_TURN = 200
_IDLE_S = 1800.0
"""Whatever is owed anew wakes the desk."""
_UNNOTED_WAIT_MS = 10_000
_NOTED_AFTER_S = 1.0
BY_AREA_EVERY = 3
"""Each time that an emergency was sent to a node so often without a word, it is said again to its whole village."""


class OrderDesk:
    """Publishes orders and pursues those that are owed, from the tables, so that a restart forgets nothing; those of
    deeds that are not there yet from their log.
    """

    def __init__(self, wire: WireContext, log: DeedLog | None = None) -> None:
        self._wire = wire
        self._waker = Waker()
        self._unnoted: dict[tuple[str, str], int] = {}
        self._unwritten = UnwrittenOrders(log)
        self._routes = Routes()

    def publish(self, order: OutOrder) -> None:
        """At once, ahead of everything else that waits: on the topics of its areas, or to each of its nodes."""
        self._publish(order)
        self._waker.wake()

    def _publish(self, order: OutOrder) -> None:
        for area in order.areas:
            self._to_area(area, order.payload, order.id if order.precedence is Precedence.EMERGENCY else "")
        for node in order.nodes:
            handed = self._wire.to_node(node, order.payload, channel=DownChannel.ORDER, urgent=True)
            self._wire.counters.orders_sent += 1
            if handed and order.precedence is Precedence.EMERGENCY:
                self._routes.went(order.id, f"@{node}", self._wire.clock.now_ms())

    def send(self, owed: Iterable[OwedSend]) -> None:
        """To single nodes that have not confirmed; nothing that is cancelled, as far as we know."""
        ended = self._unwritten.ended()
        for one in owed:
            if one.order in ended:
                continue
            self._wire.to_node(one.node, one.payload, channel=DownChannel.ORDER, urgent=True)
            self._wire.counters.orders_sent += 1

    def send_unwritten(self, node: Enrolled) -> None:
        """What the node is owed and the tables do not say."""
        for order in self._unwritten.for_node(node, self._wire.clock.now_ms()):
            self._wire.to_node(node.id, order.payload, channel=DownChannel.ORDER, urgent=True)
            self._wire.counters.orders_sent += 1

    def _to_area(self, area: AreaPath, payload: bytes, noted: str) -> None:
        """noted: the order's id, where it is to be kept by which routes it went."""
        handed = self._wire.link.publish(area_topic(area, AreaChannel.ORDER), payload, qos=1, urgent=True)
        self._wire.counters.orders_sent += 1
        if noted and handed:
            self._routes.went(noted, area, self._wire.clock.now_ms())

    async def _by_area(self, owed: Iterable[OwedSend]) -> None:
        """What single nodes do not confirm on their own topics is said again on their villages' topic.

        Its signed target decides who obeys; at a station this goes to all of the line at once.
        """
        stuck = [one for one in owed if one.precedence is Precedence.EMERGENCY and one.attempts % BY_AREA_EVERY == 0]
        if not stuck:
            return
        names = sorted({one.node for one in stuck})
        homes = await self._wire.db.reading(lambda session: homes_of(session, names))
        said: set[tuple[str, str]] = set()
        for one in stuck:
            area = homes.get(one.node)
            if area is not None and (one.order, area) not in said:
                said.add((one.order, area))
                self._to_area(AreaPath(area), one.payload, one.order)

    async def _note(self) -> None:
        """Keep by which routes emergencies went, a moment after they did: what is to be sent again waits for that only
        as long as who can go on without the tables.
        """
        taken = self._routes.taken()
        try:
            await self._wire.db.unit_of_work(lambda session: note_routes(session, taken), patience_s=PATIENCE_S)
        except LoaError:
            self._routes.back(taken)
            self._wire.counters.faults["routes"] += 1

    def wake(self) -> None:
        """Something is owed, or the link is back."""
        self._waker.wake()

    async def turn(self) -> None:
        """Send what is due again, then wait for the next that will be. While the link is down nothing is put off."""
        if not self._wire.link.is_up:
            await self._waker.wait(self._wire.clock, _IDLE_S)
            return
        now = self._wire.clock.now_ms()
        again_at = self._again(now)
        next_at = await self._wire.db.reading(lambda session: next_owed_at(session, now))
        if next_at is not None and next_at <= now:
            next_at = await self._send_due(now)
            if next_at is not None and next_at <= self._wire.clock.now_ms():
                return
        if self._routes.older_than(self._wire.clock.now_ms() - _NOTED_AFTER_S * 1000):
            await self._note()
        now = self._wire.clock.now_ms()
        pause_s = min([_IDLE_S, *((at - now) / 1000 for at in (next_at, again_at) if at is not None)])
        if self._routes:
            pause_s = min(pause_s, _NOTED_AFTER_S)
        await self._waker.wait(self._wire.clock, pause_s)

    def _again(self, now: InstantMs) -> InstantMs | None:
        """What only the log holds goes to everybody it is for, again and again: who has it is not known."""
        due, next_at = self._unwritten.due(now)
        for order in due:
            self._publish(order)
        return next_at

    async def _send_due(self, now: InstantMs) -> InstantMs | None:
        """Send what is due now. Returns when the next will be."""

        def take(session: Session) -> tuple[tuple[OwedSend, ...], InstantMs | None]:
            return due_orders(session, now, limit=MOST_A_TURN), next_owed_at(session, now)

        try:
            due, next_at = await self._wire.db.unit_of_work(take, patience_s=PATIENCE_S)
        except LoaError:
            await self._send_unnoted(now)
            raise
        self._unnoted.clear()
        self.send(due)
        await self._by_area(due)
        await self._wire.link.drained()
        return next_at

    async def _send_unnoted(self, now: InstantMs) -> None:
        """The tables cannot be written now (locked, or the disk is full): what is owed goes out all the same.

        When it was sent last is kept here meanwhile.
        """
        looked = await self._wire.db.reading(lambda session: due_orders(session, now, limit=5000, put_off=False))
        due = [one for one in looked if self._unnoted.get((one.order, one.node), 0) <= now][:MOST_A_TURN]
        for one in due:
            self._unnoted[one.order, one.node] = now + _UNNOTED_WAIT_MS
        self.send(due)
        await self._wire.link.drained()
