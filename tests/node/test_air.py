"""Who has the air: a pure rule, so over all of its inputs."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from loa.precedence import Interruption, Kind, Precedence
from loa.units import DurationMs, Id16, InstantMs
from scheduler.rules.air import (
    LEAST_JOIN_MS,
    LONGEST_HELD_MS,
    Claim,
    Place,
    Run,
    after_interruption,
    join_in_phase,
    rank,
    who_has_the_air,
)


def claim(
    number: int, precedence: Precedence = Precedence.ORDINARY, start: int = 0, kind: Kind = Kind.LIVE, turns: int = 0
) -> Claim:
    return Claim(Id16(bytes([number]) * 16), precedence, kind, InstantMs(start), turns)


def test_nobody_wants_it() -> None:
    assert who_has_the_air([]) is None


def test_emergency_over_priority_over_ordinary() -> None:
    ordinary, priority, emergency = claim(1), claim(2, Precedence.PRIORITY), claim(3, Precedence.EMERGENCY)
    assert who_has_the_air([ordinary, priority], ordinary.id) == priority.id
    assert who_has_the_air([ordinary, emergency, priority], priority.id) == emergency.id


def test_live_beats_drill() -> None:
    drill, live = claim(1, Precedence.EMERGENCY, kind=Kind.DRILL), claim(2, Precedence.EMERGENCY, 9)
    assert who_has_the_air([drill, live], drill.id) == live.id


def test_equals_do_not_cut_each_other() -> None:
    early, late = claim(1, start=1), claim(2, start=2)
    assert who_has_the_air([early, late]) == early.id
    assert who_has_the_air([early, late], late.id) == late.id


def test_repeating_emergencies_take_turns() -> None:
    old, new = claim(1, Precedence.EMERGENCY, 1, turns=3), claim(2, Precedence.EMERGENCY, 50)
    assert who_has_the_air([old, new], old.id) == old.id
    assert who_has_the_air([old, new]) == new.id


CLAIMS = st.lists(
    st.builds(
        Claim,
        id=st.binary(min_size=16, max_size=16).map(Id16),
        precedence=st.sampled_from(Precedence),
        kind=st.sampled_from(Kind),
        start_at=st.integers(0, 10**13).map(InstantMs),
        turns=st.integers(0, 5),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda c: c.id,
)


@given(CLAIMS, st.integers(0, 7))
def test_never_one_of_lower_rank(claims: list[Claim], index: int) -> None:
    holder = claims[index % len(claims)]
    winner = next(c for c in claims if c.id == who_has_the_air(claims, holder.id))
    assert rank(winner) == max(rank(c) for c in claims)
    if rank(holder) == rank(winner):
        assert winner == holder


@given(CLAIMS, st.integers(0, 7), st.integers(0, 2 * LONGEST_HELD_MS))
def test_in_the_silence_between_two_repeats_nothing_below_it_sounds(
    claims: list[Claim], index: int, pause_ms: int
) -> None:
    pausing = replace(claims[index % len(claims)], pause_ms=DurationMs(pause_ms))
    winner = next((c for c in claims if c.id == who_has_the_air(claims, pausing=[pausing])), None)
    if winner is not None and rank(winner) < rank(pausing):
        assert pause_ms > LONGEST_HELD_MS
        assert winner.kind is Kind.LIVE
    alike = [c for c in claims if rank(c) >= rank(pausing)]
    assert winner is None or not alike or winner in alike


@given(CLAIMS)
def test_the_order_of_asking_does_not_matter(claims: list[Claim]) -> None:
    assert who_has_the_air(claims) == who_has_the_air(reversed(claims))


def test_interruption_by_its_own_rule() -> None:
    assert not after_interruption(Interruption.DROP, DurationMs(5)).again
    assert after_interruption(Interruption.RESTART, DurationMs(5)).offset_ms == 0
    assert after_interruption(Interruption.RESUME, DurationMs(5)).offset_ms == 5


def test_joining_in_phase() -> None:
    run = Run(InstantMs(1000), DurationMs(5000), repeats=2, gap_ms=DurationMs(1000))
    assert run.end_at == 12_000
    assert join_in_phase(run, InstantMs(0)) == Place(0, DurationMs(0), InstantMs(1000))
    assert join_in_phase(run, InstantMs(3000)) == Place(0, DurationMs(2000), InstantMs(3000))
    assert join_in_phase(run, InstantMs(6500)) == Place(1, DurationMs(0), InstantMs(7000))
    assert join_in_phase(run, InstantMs(8000)) == Place(1, DurationMs(1000), InstantMs(8000))
    assert join_in_phase(run, InstantMs(11_900)) is None
    endless = Run(InstantMs(0), DurationMs(1000), repeats=0)
    assert join_in_phase(endless, InstantMs(10**9 + 100)) == Place(10**6, DurationMs(100), InstantMs(10**9 + 100))


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**5), st.integers(0, 9), st.integers(0, 10**8))
def test_everyone_in_a_run_is_at_the_same_place(start: int, length: int, gap: int, repeats: int, now: int) -> None:
    run = Run(InstantMs(start), DurationMs(length), repeats, DurationMs(gap))
    place = join_in_phase(run, InstantMs(now))
    if place is None:
        assert repeats or length + gap == 0
        return
    assert place.at - place.offset_ms == start + place.repeat * (length + gap)
    assert place.at >= now or place.at == start
    assert place.offset_ms == 0 or place.offset_ms <= length - LEAST_JOIN_MS
    assert not repeats or place.repeat < repeats
