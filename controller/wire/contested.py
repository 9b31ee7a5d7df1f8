"""Nodes whose connection begins anew again and again: a second one under their name, or a very bad link.

A broker that gives each name one connection lets two of one name push each other aside for ever. An honest box's
sessions only rise; where an earlier one speaks again, there are two boxes with one key, or somebody plays it back.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from devices.protocol.reports import Presence, PresenceState
from loa.units import InstantMs

WINDOW_MS = 180_000
MOST_COMINGS = 5
"""Within the window. A box that lost its link waits 1 to 30 s before it connects again."""
MOST_STEPS_BACK = 2
_REMEMBERED = 32


@dataclass
class _Comings:
    """When a node came, and under which session."""

    last: deque[tuple[InstantMs, int]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    told: bool = False

    def contested(self, now: InstantMs) -> bool:
        recent = [session for at, session in self.last if now - at < WINDOW_MS]
        back = sum(later <= earlier for earlier, later in pairwise(recent))
        return len(recent) >= MOST_COMINGS or back >= MOST_STEPS_BACK


class Contested:
    """Fed with every signed presence that was not retained."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Comings] = {}

    def heard(self, node: str, presence: Presence, now: InstantMs) -> bool:
        """True where the node has become contested by this."""
        if presence.state is not PresenceState.ONLINE:
            return False
        comings = self._nodes.setdefault(node, _Comings())
        if not comings.contested(now):
            comings.told = False
        comings.last.append((now, presence.session))
        if comings.told or not comings.contested(now):
            return False
        comings.told = True
        return True

    def names(self, now: InstantMs) -> Iterator[str]:
        """The nodes that are contested now."""
        return (name for name, comings in self._nodes.items() if comings.contested(now))

    def is_contested(self, node: str, now: InstantMs) -> bool:
        comings = self._nodes.get(node)
        return comings is not None and comings.contested(now)
