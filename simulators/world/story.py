"""What happened in a world, in order, in words."""

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from loa.clock import Clock
from loa.units import InstantMs

VIETNAM = timedelta(hours=7)
MOST_LINES = 20_000


@dataclass(frozen=True)
class Line:
    at: InstantMs
    who: str
    what: str

    def __str__(self) -> str:
        local = datetime.fromtimestamp(self.at / 1000, UTC) + VIETNAM
        return f"{local:%a %d %b %H:%M:%S}.{self.at % 1000:03d}  {self.who:<16} {self.what}"


class Story:
    """Collects lines; the oldest are forgotten when there are too many."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lines: deque[Line] = deque(maxlen=MOST_LINES)
        self.told = 0

    def tell(self, who: str, what: str) -> None:
        self._lines.append(Line(self._clock.now_ms(), who, what))
        self.told += 1

    def lines(self, *, about: str | None = None, last: int | None = None) -> list[str]:
        """The story, or the part of it that names somebody, or its end."""
        found = [str(line) for line in self._lines if about is None or about in (line.who, *line.what.split())]
        return found if last is None else found[-last:]
