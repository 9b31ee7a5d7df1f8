"""What is written down about an emergency once it sounds: a slow card must keep no warning waiting."""

from collections import deque
from collections.abc import Callable

from devices.node.crew import Alarm, Crew
from loa.clock import Clock

SOUND_FIRST_S = 0.5
"""How long writing leaves the box to the sound that begins. A power cut within it forgets the order, which then comes
again as to a box that was away: what has sounded may sound once more, and nothing is lost."""


class Afterwards:
    """Acts in their order, a moment after the first of them was left to it."""

    def __init__(self, clock: Clock, crew: Crew) -> None:
        self._clock, self._crew = clock, crew
        self._acts: deque[Callable[[], None]] = deque()
        self._due_s: float | None = None
        self._alarm = Alarm(clock, crew, self.now)

    def leave(self, act: Callable[[], None], *, wait_s: float = SOUND_FIRST_S) -> None:
        """Done with all that was left before it, at the earliest of their instants; 0: in the loop's next turn."""
        self._acts.append(self._crew.guarded(act))
        due_s = self._clock.monotonic_s() + wait_s
        self._due_s = due_s if self._due_s is None else min(self._due_s, due_s)
        self._alarm.set(self._due_s)

    def soon(self, act: Callable[[], None]) -> None:
        """In the loop's next turn: for what is not written, and costs a moment all the same."""
        self._crew.soon(act)

    def now(self) -> None:
        """Do all that waits: before something that must be written after it, or at the end."""
        self._alarm.set(None)
        self._due_s = None
        while self._acts:
            self._acts.popleft()()
