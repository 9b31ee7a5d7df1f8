"""Receipts as the rest of the node writes them: an event and what belongs to it."""

from dataclasses import dataclass
from functools import partial

from devices.node.ledger import Ledger
from devices.node.timing import NodeTime
from devices.protocol.local import LocalMark
from devices.protocol.refusal import RefusalReason
from devices.protocol.reports import Receipt, ReceiptCause, ReceiptEvent
from loa.errors import Fault
from loa.precedence import Precedence
from loa.units import DurationMs, Id16, InstantMs, NodeId

_MOST_LATE_MS = (1 << 32) - 1


@dataclass(frozen=True)
class Moment:
    """When something happened, as well as the node knows the time."""

    at: InstantMs
    time_error_ms: int | None


class Notes:
    """Writes receipts with the node's name and time in them."""

    def __init__(self, node: NodeId, ledger: Ledger, time: NodeTime) -> None:
        self._node = node
        self._ledger = ledger
        self._time = time
        self.unwritten = 0
        """Receipts for which the storage had no room at all."""

    def moment(self) -> Moment:
        """Now: for a receipt that is written later."""
        return Moment(self._time.best_guess(), self._time.error_ms())

    def note(
        self,
        event: ReceiptEvent,
        *subjects: Id16 | None,
        cause: ReceiptCause = ReceiptCause.NONE,
        refusal: RefusalReason | None = None,
        precedence: Precedence | None = None,
        position_ms: DurationMs | None = None,
        late_ms: int | None = None,
        repeat: int = 0,
        local: LocalMark | None = None,
        evidence: bytes | None = None,
        moment: Moment | None = None,
    ) -> None:
        """One receipt a subject, of now where no moment is given. Durable on return; counted as unwritten where the
        storage is full to the last byte."""
        when = moment or self.moment()
        late = None if late_ms is None else max(-_MOST_LATE_MS, min(_MOST_LATE_MS, late_ms))

        def receipt(subject: Id16 | None, epoch: bytes, number: int) -> Receipt:
            return Receipt(
                node=self._node,
                epoch=epoch,
                number=number,
                at=when.at,
                time_error_ms=when.time_error_ms,
                event=event,
                subject=subject,
                cause=cause,
                refusal=refusal,
                position_ms=position_ms,
                late_ms=late,
                precedence=precedence,
                repeat=min(repeat, 65_535),
                local=local,
                evidence=evidence,
            )

        try:
            self._ledger.note(*(partial(receipt, subject) for subject in subjects or (None,)))
        except Fault:
            self.unwritten += 1
