"""When a rendition's shared stream starts, and how fast: one after another, ahead of their first use."""

from collections.abc import Iterable
from dataclasses import dataclass

from loa.units import ByteCount, BytesPerSecond, Digest, InstantMs

LEAD_MS = 500
"""From announcing a stream to its first piece, so that those who want it are listening."""
PREFETCH_LEAD_MS = 4_000
"""The same where there is time: over a station's bus the timetable and what its nodes listen to take this long."""
HURRY_MS = 15_000
"""Less than this between a stream's end and its first use leaves no time for that."""
BETWEEN_MS = 500
"""Between two streams that do not have to hurry."""
MARGIN_MS = 600_000
"""A stream ends this long before its first use where it can, so that repairs fit in."""
DEFAULT_RATE = BytesPerSecond(16_000.0)
"""Taken for a link until its node reports one."""
JOINABLE = 0.6
"""A node joins a stream whose pace is at most this share of its measured link rate."""
SLOWEST_PACE, FASTEST_PACE, FASTEST_PREFETCH = 4_000.0, 256_000.0, 16_000.0
EARLIEST_START_MS, LATEST_START_MS = 2_000, 60_000
_HASTE = 1.2


@dataclass(frozen=True)
class Need:
    """A rendition that must be at the nodes by `first_use`."""

    digest: Digest
    length_bytes: ByteCount
    first_use: InstantMs


@dataclass(frozen=True)
class StreamStart:
    """One shared stream: pace in whole bytes a second."""

    digest: Digest
    stream_at: InstantMs
    pace: int


def pace_for(slowest_rate: float | None, *, fastest: float = FASTEST_PACE) -> int:
    """A pace that the slowest link can join, but never slower than speech plays."""
    return int(max(SLOWEST_PACE, min(JOINABLE * (slowest_rate or DEFAULT_RATE), fastest)))


def stream_ms(length_bytes: int, pace: int) -> int:
    """How long a stream takes, in milliseconds."""
    return -(-length_bytes * 1000 // max(1, pace))


def spread(
    needs: Iterable[Need], now: InstantMs, *, busy_until: int = 0, slowest_rate: float | None = None
) -> list[StreamStart]:
    """Streams one after another in the order of their first use. One in a hurry does not wait its turn."""
    pace = pace_for(slowest_rate, fastest=FASTEST_PREFETCH)
    free = max(now + LEAD_MS, busy_until + BETWEEN_MS)
    found: list[StreamStart] = []
    for need in sorted(needs, key=lambda n: (n.first_use, n.digest)):
        takes = stream_ms(need.length_bytes, pace)
        lead = LEAD_MS if need.first_use - now < HURRY_MS + takes else PREFETCH_LEAD_MS
        soonest = now + lead
        start = min(max(free, soonest), max(soonest, need.first_use - MARGIN_MS - takes))
        found.append(StreamStart(need.digest, InstantMs(start), pace))
        free = max(free, start + takes + BETWEEN_MS)
    return found


def immediate_start(issued_at: InstantMs, slowest_s: float) -> InstantMs:
    """Start of an immediate ordinary broadcast: issue + max(2 s, 1.2 x the slowest transfer), at most 60 s later.

    slowest_s: bytes / link rate of the node that needs longest.
    """
    wait_ms = max(EARLIEST_START_MS, min(LATEST_START_MS, round(_HASTE * slowest_s * 1000)))
    return InstantMs(issued_at + wait_ms)
