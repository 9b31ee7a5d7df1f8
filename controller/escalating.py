"""Who is told as time goes by, and how what could not be delivered is tried again. Values in, values out."""

from collections.abc import Iterable
from dataclasses import dataclass

from controller.ladder import Place, Totals
from loa.units import InstantMs

LONGEST_AFTER_S = 86_400
MOST_STEPS = 16
MOST_ADDRESSES = 64
GIVE_UP_AFTER = 12
"""Attempts: the last about an hour after the first."""
_FIRST_WAIT_MS, _LONGEST_WAIT_MS = 5000, 600_000
MOST_VILLAGES_TOLD = 20


@dataclass(frozen=True, kw_only=True)
class StepRule:
    """After so long: told where fewer than `below_percent` of the nodes were reached, or nobody in some village."""

    after_s: int
    below_percent: int | None = None
    village_unreached: bool = False
    drills: bool = False

    def applies(self, *, drill: bool) -> bool:
        return self.drills or not drill

    def due_at(self, released_at: int) -> InstantMs:
        return InstantMs(released_at + self.after_s * 1000)

    def wanted(self, totals: Totals, places: Iterable[Place]) -> bool:
        """Whether somebody is to be told now. Villages without a loudspeaker are known beforehand, and not counted."""
        few = self.below_percent is not None and totals.percent < self.below_percent
        return few or (self.village_unreached and bool(unreached(places)))


def unreached(places: Iterable[Place]) -> list[Place]:
    """Those that have loudspeakers of which none was reached, by people and then by nodes."""
    return sorted((one for one in places if one.lines and not one.reached), key=lambda one: one.order)


def wait_ms(attempts: int) -> int:
    """After the n-th failure: 5, 10, 20 … at most 600 s."""
    return int(min(_LONGEST_WAIT_MS, _FIRST_WAIT_MS << min(attempts - 1, 10)))
