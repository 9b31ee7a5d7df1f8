"""Who has the air at one loudspeaker, and where in a broadcast it joins. Values and instants in, a decision out.

Emergency over priority over ordinary, at once; live over drill within one precedence. Between equals, what sounds
goes on and what was to start earlier comes first; emergencies that repeat take turns, so that none is kept off the air
by another that has been heard already. In the silence between two of its repeats an emergency lets nothing in that it
outranks: a drill's announcement there would be taken for a word about the alert.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from loa.precedence import Interruption, Kind, Precedence
from loa.units import DurationMs, Id16, InstantMs


@dataclass(frozen=True)
class Claim:
    """A broadcast that is due and could sound now."""

    id: Id16
    precedence: Precedence
    kind: Kind
    start_at: InstantMs
    """As ordered; not when it could begin here."""
    turns: int = 0
    """How often it has been played through here."""
    pause_ms: DurationMs = DurationMs(0)
    """Of silence between its repeats."""


def rank(claim: Claim) -> tuple[int, int]:
    """What pre-empts: greater beats less at once."""
    return int(claim.precedence), 1 if claim.kind is Kind.LIVE else 0


LONGEST_HELD_MS = 60_000
"""In a longer silence between two repeats ordinary broadcasts go on. Drills never do."""


def who_has_the_air(
    claims: Iterable[Claim], holder: Id16 | None = None, *, pausing: Iterable[Claim] = ()
) -> Id16 | None:
    """Which of the claims sounds. `holder` is the one that sounds already; it yields to a greater rank only.

    `pausing`: emergencies in the silence between two of their repeats.
    """
    held = list(pausing)
    waiting = [claim for claim in claims if not any(_keeps_off(one, claim) for one in held)]
    if not waiting:
        return None
    top = max(rank(claim) for claim in waiting)
    equals = [claim for claim in waiting if rank(claim) == top]
    if any(claim.id == holder for claim in equals):
        return holder
    return min(equals, key=lambda claim: (_turns(claim), claim.start_at, claim.id)).id


def _keeps_off(pausing: Claim, claim: Claim) -> bool:
    is_short = pausing.pause_ms <= LONGEST_HELD_MS
    return rank(claim) < rank(pausing) and (is_short or claim.kind is Kind.DRILL)


def _turns(claim: Claim) -> int:
    return claim.turns if claim.precedence is Precedence.EMERGENCY else 0


@dataclass(frozen=True)
class Resumption:
    """What an interrupted broadcast does when the air is free again: None of it, all of it, or the rest."""

    again: bool
    offset_ms: DurationMs = DurationMs(0)


def after_interruption(rule: Interruption, position_ms: DurationMs) -> Resumption:
    """By its own stated rule."""
    match rule:
        case Interruption.DROP:
            return Resumption(again=False)
        case Interruption.RESTART:
            return Resumption(again=True)
        case Interruption.RESUME:
            return Resumption(again=True, offset_ms=position_ms)


@dataclass(frozen=True)
class Run:
    """Repeats of one length from a start on, the same at every loudspeaker."""

    start_at: InstantMs
    length_ms: DurationMs
    repeats: int = 1
    """0: without end."""
    gap_ms: DurationMs = DurationMs(0)

    @property
    def end_at(self) -> InstantMs | None:
        """Where the last repeat ends; None where there is no last."""
        if self.repeats == 0:
            return None
        return InstantMs(self.start_at + self.repeats * (self.length_ms + self.gap_ms) - self.gap_ms)


@dataclass(frozen=True)
class Place:
    """Where in a run to sound, and when: at `at` the sound at `offset_ms` of this repeat is due."""

    repeat: int
    offset_ms: DurationMs
    at: InstantMs


LEAST_JOIN_MS = 300
"""Joining for less than this gives a click, not speech: wait for the next repeat."""


def join_in_phase(run: Run, now: InstantMs) -> Place | None:
    """Where a loudspeaker that is free at `now` joins the others; None where the run is over."""
    if now <= run.start_at:
        return Place(0, DurationMs(0), run.start_at)
    cycle = run.length_ms + run.gap_ms
    if cycle <= 0:
        return None
    repeat, into = divmod(now - run.start_at, cycle)
    if into > run.length_ms - LEAST_JOIN_MS and into > 0:
        repeat, into = repeat + 1, 0
    if run.repeats and repeat >= run.repeats:
        return None
    at = run.start_at + repeat * cycle + into
    return Place(int(repeat), DurationMs(int(into)), InstantMs(int(at)))
