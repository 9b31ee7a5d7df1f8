"""What an attacker tried, and what came of it, a line each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Tried:
    """One way of attacking, tried some number of times."""

    name: str
    hands: str
    """What the attacker holds: broker, network, time, media, node, neighbour, server, disk."""
    attempts: int
    counted: int
    """How often somebody counted a refusal meanwhile; at every box, so that it may be more than the attempts."""
    seen_as: str
    """Where a person sees it."""
    unauthorised_s: float
    """Seconds of sound that no order, timetable or approval explains, at all boxes but stolen ones."""
    heard: bool
    """The same with the right keys was heard."""


def table(tried: Sequence[Tried]) -> Iterator[str]:
    """Lines for people; none where nobody tried anything."""
    if not tried:
        return
    rows = [("attack", "in hands", "attempts", "counted", "unauthorised", "control", "seen as")]
    for one in tried:
        rows.append((
            one.name, one.hands, str(one.attempts), str(one.counted), f"{one.unauthorised_s:.1f} s",
            "heard" if one.heard else "NOT HEARD", one.seen_as,
        ))  # fmt: skip
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(
            cell.rjust(width) if at in (2, 3, 4) else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
    silent = sum(one.unauthorised_s for one in tried)
    yield f"{len(tried)} attacks, {sum(one.attempts for one in tried)} attempts: {silent:.1f} s of unauthorised sound"
