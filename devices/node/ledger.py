"""What this node did, on its storage: the journal of receipts, and which broadcasts it has begun and ended.

A broadcast is marked as begun before the amplifier is on; the receipt with the measured start follows the first
sample. After a power cut what was begun and not ended is unconfirmed, and is never played again.
"""

from collections.abc import Callable
from enum import IntEnum

from devices.node.ports import Storage
from devices.protocol import cbor
from devices.protocol.envelope import open_sealed, seal
from devices.protocol.identity import NodeIdentity
from devices.protocol.journal import Journal, Kept, framed, ranges, unframed
from devices.protocol.refusal import WireRefusal
from devices.protocol.reports import Receipt, ReceiptCause, ReceiptEvent
from loa.entropy import Entropy
from loa.units import Id16, InstantMs

JOURNAL, PLAYS = "journal", "plays"
JOURNAL_LIMIT_BYTES = 2 * 1024 * 1024
MAX_PLAYS = 5000
"""Broadcasts remembered as begun or ended: months of them, where a timetable reaches seven days ahead."""
_TERMINAL = {ReceiptEvent.FINISHED, ReceiptEvent.STOPPED, ReceiptEvent.SKIPPED, ReceiptEvent.UNCONFIRMED}


class Play(IntEnum):
    """How far a broadcast has come here; only ever rises, and of the two ends the first stays."""

    READY = 1
    BEGUN = 2
    OVER = 3
    MISSED = 4
    """Over, and nothing of it was heard, under this id or another: what it is moved to may still be."""


class Ledger:
    """Receipts are durable when `note` returns. Raises Fault(storage_full) where even the journal has no room."""

    def __init__(
        self, storage: Storage, identity: NodeIdentity, entropy: Entropy, *, limit_bytes: int = JOURNAL_LIMIT_BYTES
    ) -> None:
        self._storage = storage
        self._identity = identity
        self._entropy = entropy
        self._limit = limit_bytes
        self._journal = Journal(bytes(8))
        self._file_bytes = 0
        self._plays: dict[Id16, Play] = {}
        self._play_records = 0
        self.written: Callable[[Kept], None] = lambda _kept: None
        """Told of each receipt once it is durable."""
        self.newest_statement = InstantMs(0)
        """Instant of the newest acknowledgement taken."""

    def recover(self) -> None:
        """Read what survived; cut off a torn end; begin a new epoch where there is no journal."""
        data = self._storage.read(JOURNAL) or b""
        journal, good = Journal.read(data)
        if journal is None:
            self._begin_epoch()
        else:
            self._journal, self._file_bytes = journal, good
            if good != len(data):
                self._storage.write(JOURNAL, data[:good])
        self._recover_plays()

    def _begin_epoch(self) -> None:
        self._journal = Journal(self._entropy(8))
        start = self._journal.start()
        self._storage.write(JOURNAL, start)
        self._file_bytes = len(start)

    def _recover_plays(self) -> None:
        data = self._storage.read(PLAYS) or b""
        bodies, good = unframed(data)
        self._plays.clear()
        for body in bodies:
            match cbor.loads(body, max_bytes=64):
                case [bytes(subject), int(play)] if len(subject) == 16 and play in list(Play):
                    self._plays[Id16(subject)] = Play(play)
        self._play_records = len(bodies)
        for one in self._journal.unacknowledged():
            self._fold(one)
        if good != len(data):
            self._rewrite_plays()

    def _fold(self, one: Kept) -> None:
        """A receipt may have become durable without its mark."""
        try:
            receipt = open_sealed(one.sealed).message
        except WireRefusal:
            return
        if isinstance(receipt, Receipt) and receipt.subject in self._plays and receipt.event in _TERMINAL:
            self._plays[receipt.subject] = self._end_of(receipt.subject, receipt.cause)

    def unfinished(self) -> tuple[Id16, ...]:
        """Begun and not ended: after a restart, nobody knows how much of them was heard."""
        return tuple(subject for subject, play in self._plays.items() if play is Play.BEGUN)

    def play(self, subject: Id16) -> Play | None:
        return self._plays.get(subject)

    def begun(self, subject: Id16) -> bool:
        """Whether it has begun here, ever, or what it replaces has."""
        return self.play(subject) in (Play.BEGUN, Play.OVER)

    def over(self, subject: Id16) -> bool:
        """Whether it has come to its end here, heard or not."""
        return self._plays.get(subject, Play.READY) >= Play.OVER

    def done(self, subject: Id16) -> bool:
        """Whether it has begun or come to its end here: it does not begin any more."""
        return self._plays.get(subject, Play.READY) >= Play.BEGUN

    def mark_over(self, subject: Id16, cause: ReceiptCause) -> None:
        """As `mark`, with what it comes to. `cause`: of its end."""
        self.mark(self._end_of(subject, cause), subject)

    def _end_of(self, subject: Id16, cause: ReceiptCause) -> Play:
        heard = self.begun(subject) or cause is ReceiptCause.ALREADY_STARTED
        return Play.OVER if heard else Play.MISSED

    def mark(self, play: Play, *subjects: Id16) -> None:
        """Durable on return. Raises Fault(storage_full); an end is then remembered until the next start at least."""
        rising = [one for one in subjects if self._plays.get(one, 0) < min(play, Play.OVER)]
        if not rising:
            return
        if play >= Play.OVER:
            self._plays.update(dict.fromkeys(rising, play))
        self._storage.append(PLAYS, b"".join(framed(cbor.dumps([one, int(play)])) for one in rising))
        for one in rising:
            self._plays.pop(one, None)
            self._plays[one] = play
        self._play_records += len(rising)
        if self._play_records > 2 * MAX_PLAYS:
            self._rewrite_plays()

    def _rewrite_plays(self) -> None:
        for subject in list(self._plays)[: max(0, len(self._plays) - MAX_PLAYS)]:
            del self._plays[subject]
        self._storage.write(
            PLAYS, b"".join(framed(cbor.dumps([subject, int(play)])) for subject, play in self._plays.items())
        )
        self._play_records = len(self._plays)

    def note(self, *receipts_of: Callable[[bytes, int], Receipt]) -> None:
        """Write receipts, each given its epoch and number: durable together, then told."""
        self._make_room()
        self._append(*receipts_of)

    def _append(self, *receipts_of: Callable[[bytes, int], Receipt]) -> None:
        records, kept = [], []
        before = self._journal.last_number
        for receipt_of in receipts_of:
            receipt = receipt_of(self._journal.epoch, self._journal.next_number)
            sealed = seal(receipt, self._identity.key)
            records.append(self._journal.append(receipt, sealed))
            kept.append(Kept(receipt.number, sealed, receipt.precedence))
        try:
            self._storage.append(JOURNAL, b"".join(records))
        except Exception:
            journal, _ = Journal.read(self._storage.read(JOURNAL) or b"")
            if journal is not None and journal.last_number == before:
                self._journal = journal
            raise
        self._file_bytes += sum(len(record) for record in records)
        for one in kept:
            self.written(one)

    def _make_room(self) -> None:
        journal = self._journal
        if journal.size <= self._limit:
            return
        acknowledged = journal.acknowledged
        dropped = journal.for_want_of_room(self._limit // 4)
        lost = tuple(number for number in dropped if number > acknowledged)
        journal.drop(dropped)
        self._compact()
        if lost:
            self._append(
                lambda epoch, number: Receipt(
                    node=self._identity.node,
                    epoch=epoch,
                    number=number,
                    at=self.newest_statement,
                    event=ReceiptEvent.JOURNAL_DROPPED,
                    cause=ReceiptCause.NONE,
                    count=len(lost),
                    dropped=ranges(lost),
                )
            )

    def _compact(self) -> None:
        fresh = self._journal.to_bytes()
        self._storage.write(JOURNAL, fresh)
        self._file_bytes = len(fresh)

    def acknowledge(self, number: int, issued_at: InstantMs, now: InstantMs) -> bool:
        """Take the controller's statement. True where receipts must be sent again that it held before."""
        self.newest_statement = max(self.newest_statement, issued_at)
        if self._journal.is_behind(number):
            # Our storage lost the journal's end: a new epoch, so that no number names two receipts.
            self._begin_epoch()
            return True
        fewer = number < self._journal.acknowledged
        record = self._journal.acknowledge(number, now)
        if record:
            self._storage.append(JOURNAL, record)
            self._file_bytes += len(record)
        old = self._journal.over_age(now)
        if old:
            self._journal.drop(old)
        if old or self._file_bytes > 2 * self._journal.size + 65_536:
            self._compact()
        return fewer

    def unacknowledged(self, limit: int | None = None) -> tuple[Kept, ...]:
        return self._journal.unacknowledged(limit)

    @property
    def epoch(self) -> bytes:
        return self._journal.epoch

    @property
    def last_number(self) -> int:
        return self._journal.last_number

    @property
    def acknowledged(self) -> int:
        return self._journal.acknowledged
