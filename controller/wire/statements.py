"""Signed statements of which receipts we hold; made only of what is committed."""

from sqlmodel import Session

from controller.tables import NodeState
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

    async def state(self, node: str) -> None:
        """What the tables say. After a restored backup this is less than before, and the node sends the rest again."""

        def read(session: Session) -> tuple[bytes, int] | None:
            row = session.get(NodeState, node)
            return None if row is None or row.epoch is None else (row.epoch, row.held_number)

        held = await self._wire.db.reading(read)
        if held is not None:
            self.acknowledge(node, *held)
