"""Signed statements of which receipts we hold; made only of what is committed."""

from controller.wire.common import WireContext
from devices.protocol.envelope import seal
from devices.protocol.reports import Acknowledgement
from loa.units import NodeId


class Statements:
    """Tells nodes up to which number of their journal we hold everything."""

    def __init__(self, wire: WireContext) -> None:
        self._wire = wire

    def acknowledge(self, node: str, epoch: bytes, number: int) -> None:
        """Call after the commit."""
        statement = Acknowledgement(node=NodeId(node), epoch=epoch, number=number, issued_at=self._wire.clock.now_ms())
        self._wire.to_node(node, seal(statement, self._wire.key))
        self._wire.counters.acknowledged += 1
