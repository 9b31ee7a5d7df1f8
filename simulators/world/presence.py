"""When somebody was there, as the world knows it and they themselves may not."""

from collections.abc import Iterator

from loa.units import InstantMs

FOREVER = InstantMs(1 << 60)


class Presence:
    """Changes between there and away, in the order in which they came."""

    def __init__(self) -> None:
        self._changes: list[tuple[InstantMs, bool]] = []

    def note(self, at: InstantMs, there: bool) -> None:
        self._changes.append((at, there))

    def at(self, instant: InstantMs) -> bool:
        """Whether it was there then."""
        return next((there for at, there in reversed(self._changes) if at <= instant), False)

    def has_lasted(self, for_ms: int, now: InstantMs) -> bool:
        """Whether it is there, and has been for that long without a break."""
        return bool(self._changes) and self._changes[-1][1] and now - self._changes[-1][0] >= for_ms

    def spells(self, since: InstantMs, until: InstantMs) -> Iterator[tuple[InstantMs, InstantMs]]:
        """From when until when it was there, of whatever lies within this span."""
        for number, (at, there) in enumerate(self._changes):
            if not there or at > until:
                continue
            end = next((end for end, still in self._changes[number + 1 :] if not still), FOREVER)
            if end > since:
                yield max(at, since), min(end, until)


def together(
    one: Presence, other: Presence, since: InstantMs, until: InstantMs
) -> Iterator[tuple[InstantMs, InstantMs]]:
    """From when until when both were there, of whatever lies within this span."""
    theirs = list(other.spells(since, until))
    for begins, ends in one.spells(since, until):
        for at, end in theirs:
            if max(begins, at) < min(ends, end):
                yield max(begins, at), min(ends, end)
