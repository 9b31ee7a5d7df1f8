"""Forms and parts that several messages share."""

from dataclasses import dataclass
from enum import IntEnum

from devices.protocol.fields import Form, blob, choice, text, uint, wire, worded
from loa.names import AreaPath, node_id
from loa.precedence import Interruption, Kind, Precedence
from loa.units import ByteCount, BytesPerSecond, Digest, DurationMs, InstantMs

BLOCK_BYTES = 4096
MAX_ORDER_NODES = 32
MAX_RENDITIONS = 8
MAX_RENDITION_BYTES = 64 * 1024 * 1024
DRILL_ANNOUNCEMENT = 255
"""The siren code that settings reserve for the announcement which a node itself plays first in every drill."""


class MessageType(IntEnum):
    """Under key 0 of every message, inside the signature where there is one."""

    ORDER = 1
    TIMETABLE = 2
    SETTINGS = 3
    TRUST = 4
    PLACEMENT = 5
    RECEIPT = 6
    ACKNOWLEDGEMENT = 7
    HEALTH = 8
    PRESENCE = 9
    TIME_REQUEST = 10
    TIME_REPLY = 11
    WANT = 12
    PIECE = 13
    MANIFEST = 14
    LIVE_SEGMENT = 15
    MANDATE = 16
    ROOT_SET = 17
    APPOINTMENT = 18
    REVOCATION = 19
    ALERT_BODY = 20
    RECORD_HEAD = 21
    STATION_MANDATE = 22


def instant() -> Form:
    """Milliseconds since 1970-01-01T00:00:00Z."""
    return worded(uint(), "instant: uint, 53 bits, ms since 1970 UTC")


def duration() -> Form:
    """Milliseconds, at most about 49 days."""
    return worded(uint(32), "duration: uint, 32 bits, ms")


def area() -> Form:
    return worded(text(98, AreaPath), "area path: text, at most 98")


def node() -> Form:
    return worded(text(32, node_id), "node name: text, at most 32")


def id16() -> Form:
    return blob(16)


def digest() -> Form:
    return blob(32)


def precedence() -> Form:
    return choice(Precedence)


def kind() -> Form:
    return choice(Kind)


def interruption() -> Form:
    return choice(Interruption)


@dataclass(frozen=True, kw_only=True)
class RenditionRef:
    """A rendition to be played, and when its shared stream starts. Several are played one after another."""

    digest: Digest = wire(1, digest())
    language: str = wire(2, text(35), default="vi")
    """BCP 47 tag."""
    length_bytes: ByteCount = wire(3, uint(32))
    """Of the Ogg Opus file."""
    duration_ms: DurationMs = wire(4, duration())
    stream_at: InstantMs | None = wire(5, instant(), default=None)
    """Start of its shared stream; none where no stream is announced (already streamed, or wanted by ranges)."""
    pace: BytesPerSecond | None = wire(6, uint(32), default=None)
    """Pace of its shared stream, bytes a second."""
