"""Orders: at once to everybody they are for, then again to each node that has not confirmed."""

from collections.abc import Iterable

from controller.services.context import OutOrder
from controller.services.owed import OwedSend, due_orders, next_owed_at
from controller.wire.common import Waker, WireContext
from devices.protocol.topics import AreaChannel, DownChannel, area_topic
from loa.errors import LoaError
from loa.units import InstantMs

MOST_A_TURN = 200
_IDLE_S = 1800.0
"""Whatever is owed anew wakes the desk."""
_UNNOTED_WAIT_MS = 10_000


class OrderDesk:
    """Publishes orders and pursues those that are owed, from the tables alone, so that a restart forgets nothing."""

    def __init__(self, wire: WireContext) -> None:
        self._wire = wire
        self._waker = Waker()
        self._unnoted: dict[tuple[str, str], int] = {}

    def publish(self, order: OutOrder) -> None:
        """At once, ahead of everything else that waits: on the topics of its areas, or to each of its nodes."""
        for area in order.areas:
            self._wire.link.publish(area_topic(area, AreaChannel.ORDER), order.payload, qos=1, urgent=True)
            self._wire.counters.orders_sent += 1
        for node in order.nodes:
            self._wire.to_node(node, order.payload, channel=DownChannel.ORDER, urgent=True)
            self._wire.counters.orders_sent += 1
        self._waker.wake()

    def send(self, owed: Iterable[OwedSend]) -> None:
        """To single nodes that have not confirmed."""
        for one in owed:
            self._wire.to_node(one.node, one.payload, channel=DownChannel.ORDER, urgent=True)
            self._wire.counters.orders_sent += 1

    def wake(self) -> None:
        """Something is owed, or the link is back."""
        self._waker.wake()

    async def turn(self) -> None:
        """Send what is due again, then wait for the next that will be. While the link is down nothing is put off."""
        if not self._wire.link.is_up:
            await self._waker.wait(self._wire.clock, _IDLE_S)
            return
        now = self._wire.clock.now_ms()
        next_at = await self._wire.db.reading(lambda session: next_owed_at(session, now))
        if next_at is not None and next_at <= now:
            try:
                due = await self._wire.db.unit_of_work(lambda session: due_orders(session, now, limit=MOST_A_TURN))
            except LoaError:
                await self._send_unnoted(now)
                raise
            self._unnoted.clear()
            self.send(due)
            await self._wire.link.drained()
            return
        pause_s = _IDLE_S if next_at is None else min(_IDLE_S, (next_at - now) / 1000)
        await self._waker.wait(self._wire.clock, pause_s)

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
