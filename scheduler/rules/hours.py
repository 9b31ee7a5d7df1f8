"""Permitted hours: whether a broadcast lies within the spans of the local day that a commune set."""

from collections.abc import Sequence
from dataclasses import dataclass

from devices.protocol.documents import VIETNAM_UTC_OFFSET_MIN, Hours
from loa.units import DurationMs, InstantMs

_MINUTE_MS = 60_000
_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Span:
    """Instants from `start` up to but not including `end`."""

    start: InstantMs
    end: InstantMs

    def meets(self, other: "Span") -> bool:
        """Whether the two share an instant."""
        return self.start < other.end and other.start < self.end


def permits(
    hours: Sequence[Hours],
    start_at: InstantMs,
    duration_ms: DurationMs,
    utc_offset_min: int = VIETNAM_UTC_OFFSET_MIN,
) -> bool:
    """Whether the whole of a broadcast lies within permitted hours. No hours given: any hour is."""
    if not hours:
        return True
    end_at = start_at + duration_ms
    reached = int(start_at)
    for span in _permitted_spans(hours, start_at, end_at, utc_offset_min):
        if span.start <= reached < span.end:
            reached = span.end
            if reached >= end_at:
                return True
    return False


def _permitted_spans(hours: Sequence[Hours], start_at: int, end_at: int, utc_offset_min: int) -> list[Span]:
    """The spans of each local day that the broadcast touches, by their start."""
    offset_ms = utc_offset_min * _MINUTE_MS
    first, last = (start_at + offset_ms) // _DAY_MS, (end_at + offset_ms) // _DAY_MS
    found: list[Span] = []
    for day in range(first, last + 1):
        weekday = (day + 3) % 7  # 1970-01-01 was a Thursday
        midnight = day * _DAY_MS - offset_ms
        found += [
            Span(InstantMs(midnight + one.from_minute * _MINUTE_MS), InstantMs(midnight + one.to_minute * _MINUTE_MS))
            for one in hours
            if one.days >> weekday & 1
        ]
    return sorted(found, key=lambda span: (span.start, span.end))
