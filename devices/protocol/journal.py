"""A node's journal of receipts: what is kept, sent again and dropped, and the form of its append-only file.

No I/O: each change returns the bytes to append to the file; `Journal.read` makes the journal of what a file holds,
also after a power cut that tore its end.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from devices.protocol import cbor
from devices.protocol.refusal import Malformed
from devices.protocol.reports import NumberRange, Receipt
from loa.precedence import Precedence
from loa.units import DurationMs, InstantMs

KEPT_AFTER_ACK_MS = DurationMs(30 * 86_400_000)
MAX_RECORD_BYTES = 4096
MAX_RANGES = 64
"""At most so many spans of numbers are dropped at a time, since one receipt must name them."""
_EPOCH, _ENTRY, _ACK, _DROP = 0, 1, 2, 3
_HEAD = 8


@dataclass(frozen=True)
class Kept:
    """A receipt in the journal, as it was sealed."""

    number: int
    sealed: bytes
    precedence: Precedence | None
    acknowledged_at: InstantMs | None = None


def framed(body: bytes) -> bytes:
    """A record of the file: length and CRC-32 of the body, 4 bytes each, big-endian, then the body."""
    return len(body).to_bytes(4, "big") + zlib.crc32(body).to_bytes(4, "big") + body


def unframed(data: bytes) -> tuple[list[bytes], int]:
    """The bodies of all whole records from the start on, and where the first torn or spoiled one begins."""
    bodies: list[bytes] = []
    at = 0
    while at + _HEAD <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        body = data[at + _HEAD : at + _HEAD + length]
        if (
            length > MAX_RECORD_BYTES
            or len(body) != length
            or zlib.crc32(body) != int.from_bytes(data[at + 4 : at + 8], "big")
        ):
            break
        bodies.append(body)
        at += _HEAD + length
    return bodies, at


class Journal:
    """The receipts of one epoch. (node, epoch, number) names a receipt for ever; a number is never used twice."""

    def __init__(self, epoch: bytes) -> None:
        if len(epoch) != 8:
            raise ValueError("an epoch is 8 bytes")
        self.epoch = epoch
        self.last_number = 0
        self.acknowledged = 0
        """The controller's newest statement: it holds everything up to this number."""
        self.size = 0
        """Bytes of sealed receipts."""
        self._kept: dict[int, Kept] = {}

    def start(self) -> bytes:
        """The first record of a new file."""
        return framed(cbor.dumps([_EPOCH, self.epoch]))

    @property
    def next_number(self) -> int:
        """The number for the next receipt, to be written into it before it is sealed."""
        return self.last_number + 1

    @property
    def first_number(self) -> int:
        """Of the oldest receipt that is still here; 0 where there is none."""
        return min(self._kept, default=0)

    def __len__(self) -> int:
        return len(self._kept)

    def append(self, receipt: Receipt, sealed: bytes) -> bytes:
        """Take a receipt with `next_number` and this epoch. The bytes must be durable before it is sent.

        Raises ValueError where number or epoch are not the journal's.
        """
        if receipt.number != self.next_number or receipt.epoch != self.epoch:
            raise ValueError("not the next receipt of this journal")
        precedence = int(receipt.precedence) if receipt.precedence is not None else 0
        self._put(Kept(receipt.number, sealed, receipt.precedence))
        return framed(cbor.dumps([_ENTRY, receipt.number, precedence, sealed]))

    def unacknowledged(self, limit: int | None = None) -> tuple[Kept, ...]:
        """What the controller does not hold as far as it said, oldest first: send these."""
        numbers = sorted(number for number in self._kept if number > self.acknowledged)
        return tuple(self._kept[number] for number in numbers[:limit])

    def is_behind(self, number: int) -> bool:
        """Whether the controller holds numbers that this journal never gave: the store lost its end.

        Then begin a new epoch, so that no number names two receipts.
        """
        return number > self.last_number

    def acknowledge(self, number: int, now_ms: InstantMs) -> bytes:
        """Take a judged acknowledgement for this epoch. A lower number than before makes the rest unacknowledged.

        Raises ValueError where `is_behind(number)`.
        """
        if self.is_behind(number):
            raise ValueError("an acknowledgement of what was never written")
        if number == self.acknowledged:
            return b""
        self._acknowledge(number, now_ms)
        return framed(cbor.dumps([_ACK, number, now_ms]))

    def over_age(self, now_ms: InstantMs) -> tuple[int, ...]:
        """Numbers acknowledged for 30 days and more: drop them whenever convenient, without saying so."""
        return tuple(
            one.number
            for one in self._kept.values()
            if one.acknowledged_at is not None and now_ms - one.acknowledged_at >= KEPT_AFTER_ACK_MS
        )

    def for_want_of_room(self, bytes_needed: int) -> tuple[int, ...]:
        """Which to drop to free so many bytes: acknowledged ones first, then by precedence, the oldest first.

        What is dropped so must be told with a JOURNAL_DROPPED receipt carrying `ranges(...)`.
        """
        order = sorted(self._kept.values(), key=_worth)
        chosen: list[int] = []
        freed = 0
        for one in order:
            if freed >= bytes_needed:
                break
            chosen.append(one.number)
            freed += len(one.sealed)
            if len(chosen) >= MAX_RANGES and len(ranges(chosen)) >= MAX_RANGES:
                break
        return tuple(chosen)

    def drop(self, numbers: Iterable[int]) -> bytes:
        """Drop these."""
        chosen = tuple(numbers)
        self._drop(ranges(chosen))
        return b"".join(
            framed(cbor.dumps([_DROP, [[one.first, one.count] for one in ranges(chosen)[at : at + MAX_RANGES]]]))
            for at in range(0, len(ranges(chosen)), MAX_RANGES)
        )

    def to_bytes(self) -> bytes:
        """The whole journal as a fresh file, without what was dropped."""
        records = [self.start()]
        for number in sorted(self._kept):
            one = self._kept[number]
            records.append(framed(cbor.dumps([_ENTRY, number, int(one.precedence or 0), one.sealed])))
        if self.last_number and self.last_number not in self._kept:
            records.append(framed(cbor.dumps([_DROP, [[self.last_number, 1]]])))
        # The instants of acknowledgement, oldest last number first, so that 30 days are counted on.
        marks = {one.acknowledged_at: number for number, one in sorted(self._kept.items())}
        for at, number in sorted((at, number) for at, number in marks.items() if at is not None):
            records.append(framed(cbor.dumps([_ACK, number, at])))
        latest = max((at for at in marks if at is not None), default=InstantMs(0))
        if self.acknowledged:
            records.append(framed(cbor.dumps([_ACK, self.acknowledged, latest])))
        return b"".join(records)

    @classmethod
    def read(cls, data: bytes) -> "tuple[Journal | None, int]":
        """The journal of a file and how many of its bytes are good; cut the file there before appending.

        None where not even the first record is whole: begin a new epoch.
        """
        bodies, good = unframed(data)
        journal: Journal | None = None
        at = 0
        for body in bodies:
            try:
                journal = _replayed(journal, body)
            except Malformed:
                return journal, at
            at += _HEAD + len(body)
        return journal, good

    def _put(self, one: Kept) -> None:
        self._kept[one.number] = one
        self.size += len(one.sealed)
        self.last_number = max(self.last_number, one.number)

    def _acknowledge(self, number: int, now_ms: InstantMs) -> None:
        for key, one in self._kept.items():
            if key <= number and one.acknowledged_at is None:
                self._kept[key] = Kept(key, one.sealed, one.precedence, now_ms)
            elif key > number and one.acknowledged_at is not None:
                self._kept[key] = Kept(key, one.sealed, one.precedence)
        self.acknowledged = number

    def _drop(self, spans: Iterable[NumberRange]) -> None:
        for span in spans:
            self.last_number = max(self.last_number, span.first + span.count - 1)
            for number in [one for one in self._kept if span.first <= one < span.first + span.count]:
                self.size -= len(self._kept.pop(number).sealed)


def ranges(numbers: Iterable[int]) -> tuple[NumberRange, ...]:
    """Numbers as spans, ascending."""
    spans: list[list[int]] = []
    for number in sorted(set(numbers)):
        if spans and number == spans[-1][0] + spans[-1][1]:
            spans[-1][1] += 1
        else:
            spans.append([number, 1])
    return tuple(NumberRange(first=first, count=count) for first, count in spans)


def _worth(one: Kept) -> tuple[int, int]:
    """What is dropped first sorts first."""
    if one.acknowledged_at is not None:
        return 0, one.number
    return 1 + int(one.precedence or 0), one.number


def _replayed(journal: Journal | None, body: bytes) -> Journal:
    """The journal after one record of its file. Raises Malformed."""
    match cbor.loads(body, max_bytes=MAX_RECORD_BYTES), journal:
        case [0, bytes(epoch)], None if len(epoch) == 8:
            return Journal(epoch)
        case [1, int(number), int(precedence), bytes(sealed)], Journal() as known if 0 <= precedence <= 3:
            known._put(Kept(number, sealed, Precedence(precedence) if precedence else None))
            return known
        case [2, int(number), int(at)], Journal() as known:
            known._acknowledge(number, InstantMs(at))
            return known
        case [3, list(spans)], Journal() as known:
            known._drop(_read_span(span) for span in spans)
            return known
    raise Malformed("not a record of a journal")


def _read_span(raw: object) -> NumberRange:
    match raw:
        case [int(first), int(count)] if first > 0 and 0 < count <= 1 << 32:
            return NumberRange(first=first, count=count)
    raise Malformed("not a span of numbers")
