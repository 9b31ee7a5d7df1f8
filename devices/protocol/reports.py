"""What a node says of itself: receipts, health, presence; and the controller's acknowledgement of receipts."""

from dataclasses import dataclass
from enum import IntEnum

from devices.protocol import common
from devices.protocol.fields import blob, choice, flag, many, nested, sint, uint, wire
from devices.protocol.local import LocalMark
from devices.protocol.record import MARKS_TOLD, HeadMark
from devices.protocol.refusal import Malformed, RefusalReason
from loa.names import AreaPath
from loa.precedence import Precedence
from loa.units import ByteCount, Digest, DurationMs, Id16, InstantMs, NodeId, Percent


class ReceiptEvent(IntEnum):
    """What happened at a node."""

    RECEIVED = 1
    """An order was accepted."""
    READY = 2
    """All audio of a broadcast is here."""
    NOT_READY = 3
    """The start came and the audio was not here."""
    STARTED = 4
    FINISHED = 5
    STOPPED = 6
    SKIPPED = 7
    REFUSED = 8
    UNCONFIRMED = 9
    """Power failed between STARTED and FINISHED: nobody knows how much was heard."""
    SOUNDED = 10
    """With evidence: line current or microphone."""
    INTERRUPTED = 11
    RESUMED = 12
    BOOTED = 13
    JOURNAL_DROPPED = 14
    """Entries were dropped for want of room; `count` says how many."""
    SET = 15
    """A VOLUME order was carried out."""


class ReceiptCause(IntEnum):
    """Why, where an event has a reason of its own."""

    NONE = 0
    ORDERED = 1
    PRE_EMPTED = 2
    TOO_LATE = 3
    OUT_OF_HOURS = 4
    ALREADY_STARTED = 5
    NO_AUDIO = 6
    BAD_AUDIO = 7
    LONGEST_REACHED = 8
    POWER_FAILED = 9
    TIME_UNKNOWN = 10
    REVOKED = 11
    SPEAKER_FAILED = 12
    WITHDRAWN = 13
    EXPIRED = 14
    SHUTDOWN = 15
    NO_ANNOUNCEMENT = 16
    """A drill: the announcement that it is one is not here, so nothing of it sounds."""


@dataclass(frozen=True, kw_only=True)
class NumberRange:
    """A span of receipt numbers."""

    first: int = wire(1, uint())
    count: int = wire(2, uint(32))


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """One entry of a node's journal. (node, epoch, number) names it for ever."""

    node: NodeId = wire(3, common.node())
    epoch: bytes = wire(4, blob(8))
    """Drawn anew whenever the journal is started afresh."""
    number: int = wire(5, uint())
    """1, 2, 3 … within the epoch, without gaps."""
    at: InstantMs = wire(6, common.instant())
    """By the node's estimate of the controller's clock."""
    time_error_ms: int | None = wire(7, uint(32), default=None)
    """Bound of that estimate's error; none where the time is not trusted."""
    event: ReceiptEvent = wire(8, choice(ReceiptEvent))
    subject: Id16 | None = wire(9, common.id16(), default=None)
    """The broadcast, or the order where it is not about a broadcast."""
    cause: ReceiptCause = wire(10, choice(ReceiptCause), default=ReceiptCause.NONE)
    refusal: RefusalReason | None = wire(11, choice(RefusalReason), default=None)
    position_ms: DurationMs | None = wire(12, common.duration(), default=None)
    """How far into the broadcast."""
    late_ms: int | None = wire(13, sint(32), default=None)
    """STARTED: instant of the first sample minus the ordered start, as the node measures it."""
    precedence: Precedence | None = wire(14, common.precedence(), default=None)
    evidence: bytes | None = wire(15, blob(0, 64), default=None)
    """What SOUNDED rests on: levels at the sensor, as text."""
    count: int = wire(16, uint(32), default=0)
    repeat: int = wire(17, uint(16), default=0)
    """Which repeat, from 0."""
    dropped: tuple[NumberRange, ...] = wire(18, many(nested(NumberRange), 64), default=())
    """JOURNAL_DROPPED: the numbers that are gone, so that the controller does not wait for them."""
    local: LocalMark | None = wire(19, nested(LocalMark), default=None)
    """RECEIVED: the order was given by local input, and this is what it said."""

    def __post_init__(self) -> None:
        if self.number < 1:
            raise Malformed("receipts are numbered from 1")


@dataclass(frozen=True, kw_only=True)
class Acknowledgement:
    """The controller holds every receipt of this epoch up to and including `number`: they may be evicted.

    Also a statement: after a restored backup the number is lower than before, and the node sends the rest again.
    """

    node: NodeId = wire(3, common.node())
    epoch: bytes = wire(4, blob(8))
    number: int = wire(5, uint())
    issued_at: InstantMs = wire(6, common.instant())


@dataclass(frozen=True, kw_only=True)
class AreaVersion:
    """Which version of an area's document a node holds."""

    area: AreaPath = wire(1, common.area())
    version: int = wire(2, uint())


@dataclass(frozen=True, kw_only=True)
class RefusalCount:
    reason: RefusalReason = wire(1, choice(RefusalReason))
    count: int = wire(2, uint(32))


@dataclass(frozen=True, kw_only=True)
class Health:
    """How a node is: every minute by default, and on every change."""

    node: NodeId = wire(3, common.node())
    session: int = wire(4, uint(32))
    """Counts connections; the same as in presence."""
    at: InstantMs = wire(5, common.instant())
    uptime_s: int = wire(6, uint(32))
    trust_version: int = wire(7, uint(), default=0)
    placement_version: int = wire(8, uint(), default=0)
    settings: tuple[AreaVersion, ...] = wire(9, many(nested(AreaVersion), 3), default=())
    timetables: tuple[AreaVersion, ...] = wire(10, many(nested(AreaVersion), 3), default=())
    playing: Id16 | None = wire(11, common.id16(), default=None)
    precedence: Precedence | None = wire(12, common.precedence(), default=None)
    volume: Percent = wire(13, uint(7), default=Percent(100))
    free_bytes: ByteCount = wire(14, uint(), default=ByteCount(0))
    renditions: tuple[Digest, ...] = wire(15, many(blob(32), 64), default=())
    """Complete ones, those that are needed soonest first."""
    link_rate: int | None = wire(16, uint(32), default=None)
    """Measured, bytes a second."""
    time_offset_ms: int | None = wire(17, sint(), default=None)
    """Controller's clock minus the box's own, none before the first exchange."""
    time_error_ms: int | None = wire(18, uint(32), default=None)
    refusals: tuple[RefusalCount, ...] = wire(19, many(nested(RefusalCount), 32), default=())
    epoch: bytes = wire(20, blob(8))
    last_number: int = wire(21, uint(), default=0)
    """Of the newest receipt in the journal."""
    acknowledged: int = wire(22, uint(), default=0)
    muted: bool = wire(23, flag(), default=False)
    """The speaker cannot sound (no device, station lost)."""
    first_number: int = wire(24, uint(), default=0)
    """Of the oldest receipt in the journal; 0 where it is empty."""
    record: tuple[HeadMark, ...] = wire(30, many(nested(HeadMark), MARKS_TOLD), default=())
    """The newest head of the centre's record that it was told; after restores also the last of each branch before."""
    repeats: int = wire(31, uint(32), default=0)
    """Orders that came again to the byte since the node was started: ours sent again, or somebody playing them back."""

    def __post_init__(self) -> None:
        if self.volume > 100:
            raise Malformed("volume is 0 to 100")


class PresenceState(IntEnum):
    OFFLINE = 0
    ONLINE = 1


@dataclass(frozen=True, kw_only=True)
class Presence:
    """A hint that a node is there. ONLINE is signed; OFFLINE is the unsigned Last Will and proves nothing."""

    node: NodeId = wire(3, common.node())
    session: int = wire(4, uint(32))
    state: PresenceState = wire(5, choice(PresenceState))
