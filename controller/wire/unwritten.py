"""Orders that are out and that the tables do not know yet: sent again until the tables take over."""

from collections.abc import Iterator

from controller.deedlog import DeedLog
from controller.services.context import OutOrder
from controller.services.deeds import outgoing_of
from controller.services.owed import wait_ms
from controller.wire.registry import Enrolled
from devices.protocol.approval import counts_until
from devices.protocol.envelope import open_sealed
from devices.protocol.orders import Order, OrderAction
from loa.precedence import Precedence
from loa.units import InstantMs


class UnwrittenOrders:
    """What the log of deeds holds, as the order desk needs it."""

    def __init__(self, log: DeedLog | None) -> None:
        self._log = log
        self._sent: dict[bytes, tuple[int, InstantMs]] = {}
        """Payload → how often it was sent again, and when next."""
        self._read: dict[bytes, Order] = {}

    def due(self, now: InstantMs) -> tuple[list[OutOrder], InstantMs | None]:
        """Those to be sent again now, each put off by this; and when the next are due."""
        due: list[OutOrder] = []
        waiting: dict[bytes, tuple[int, InstantMs]] = {}
        for out, order in self._standing(now):
            attempts, at = self._sent.get(out.payload, (0, InstantMs(order.issued_at + wait_ms(0))))
            if at <= now:
                due.append(out)
                attempts, at = attempts + 1, InstantMs(now + wait_ms(attempts + 1, Precedence.EMERGENCY))
            waiting[out.payload] = (attempts, at)
        self._sent = waiting
        return due, min((at for _, at in waiting.values()), default=None)

    def for_node(self, node: Enrolled, now: InstantMs) -> list[OutOrder]:
        """Those that mean this node."""
        return [
            out
            for out, _ in self._standing(now)
            if node.id in out.nodes or any(area.covers(node.area) for area in out.areas)
        ]

    def ended(self) -> frozenset[str]:
        """Ids of what an order among them stops."""
        return frozenset(
            order.subject.hex()
            for _, order in self._all()
            if order.action is OrderAction.STOP and order.subject is not None
        )

    def _standing(self, now: InstantMs) -> Iterator[tuple[OutOrder, Order]]:
        ended = self.ended()
        for out, order in self._all():
            if counts_until(order) > now and order.id.hex() not in ended:
                yield out, order

    def _all(self) -> list[tuple[OutOrder, Order]]:
        if self._log is None or not self._log.deeds:
            self._read.clear()
            return []
        return [(out, self._order(out.payload)) for deed in self._log.deeds for out in outgoing_of(deed)]

    def _order(self, payload: bytes) -> Order:
        found = self._read.get(payload)
        if found is None:
            message = open_sealed(payload).message
            assert isinstance(message, Order)
            found = self._read[payload] = message
        return found
