"""The rolling plan as a rule: planning again changes nothing; overlaps end; nothing that began is touched."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from loa.names import AreaPath
from loa.precedence import Precedence
from loa.units import ByteCount, Digest, DurationMs, Id16, InstantMs
from scheduler.rules.planning import LONGEST_SHIFT_MS, Placed, Plan, Planned, Wanted, compare, place
from scheduler.rules.spread import Need, immediate_start, spread, stream_ms

PLACES = [AreaPath(path) for path in ("qn", "qn/a", "qn/a/x", "qn/a/y", "qn/b")]


@st.composite
def wanted(draw: st.DrawFn) -> list[Wanted]:
    found = []
    for number in range(draw(st.integers(0, 12))):
        at = InstantMs(draw(st.integers(0, 4_000)) * 1000)
        found.append(
            Wanted(
                f"p{number}@1", f"p{number}", "1", at, DurationMs(draw(st.integers(1, 1200)) * 1000),
                draw(st.sampled_from([Precedence.ORDINARY, Precedence.PRIORITY])),
                (draw(st.sampled_from(PLACES)),), frozenset(), (draw(st.integers(0, 1)),), (number, f"p{number}"),
            )
        )  # fmt: skip
    return found


def meets(one: Placed, other: Placed) -> bool:
    left, right = one.wanted.places[0], other.wanted.places[0]
    assert one.start_at is not None
    assert other.start_at is not None
    together = left.covers(right) or right.covers(left)
    return (
        together
        and one.wanted.precedence is other.wanted.precedence
        and one.start_at < other.start_at + other.wanted.duration_ms
        and other.start_at < one.start_at + one.wanted.duration_ms
    )


@given(wanted())
def test_placed_ones_of_one_precedence_never_overlap(asked: list[Wanted]) -> None:
    placed = place(asked)
    assert sorted(one.wanted.slot for one in placed) == sorted(one.slot for one in asked)
    sounding = [one for one in placed if one.start_at is not None]
    for number, one in enumerate(sounding):
        assert one.start_at is not None
        assert 0 <= one.start_at - one.wanted.at <= LONGEST_SHIFT_MS
        assert bool(one.note) == (one.start_at != one.wanted.at)
        assert not any(meets(one, other) for other in sounding[number + 1 :])
    assert all(one.note for one in placed if one.start_at is None)


def applied(plan: Plan, rows: list[Planned]) -> list[Planned]:
    kept = [
        row if row.id not in plan.withdrawn else
        Planned(row.id, row.slot, row.programme, row.day, row.start_at, row.content, active=False)
        for row in rows
    ]  # fmt: skip
    for new in plan.new:
        one = new.placed
        name = Id16(f"{one.wanted.slot}#{new.generation}".encode().ljust(16)[:16])
        at = one.wanted.at if one.start_at is None else one.start_at
        kept.append(
            Planned(
                name, one.wanted.slot, one.wanted.programme, one.wanted.day, at, one.wanted.content,
                active=one.start_at is not None, crowded_out=one.start_at is None, ancestors=new.replaces,
            )
        )  # fmt: skip
    return kept


@settings(max_examples=80)
@given(st.lists(st.tuples(wanted(), st.integers(0, 5_000)), min_size=1, max_size=4))
def test_planning_again_changes_nothing_and_what_began_stays(steps: list[tuple[list[Wanted], int]]) -> None:
    rows: list[Planned] = []
    now = 0
    for asked, pause in steps:
        begun = {row.id for row in rows if row.active and row.start_at <= now}
        placed = place(asked)
        plan = compare(placed, rows, InstantMs(now))
        assert begun.isdisjoint(plan.withdrawn)
        rows = applied(plan, rows)
        assert len({row.id for row in rows}) == len(rows)
        again = compare(placed, rows, InstantMs(now))
        assert again.new == ()
        assert again.withdrawn == ()
        active = [row.slot for row in rows if row.active]
        assert len(active) == len(set(active))  # one broadcast a slot at most
        now += pause * 1000


@given(
    st.lists(st.tuples(st.integers(1, 2_000_000), st.integers(0, 7 * 86_400_000)), max_size=20, unique=True),
    st.one_of(st.none(), st.floats(100, 1e7)),
)
def test_streams_one_after_another_ahead_of_use(items: list[tuple[int, int]], rate: float | None) -> None:
    needs = [
        Need(Digest(number.to_bytes(32, "big")), ByteCount(length), InstantMs(use))
        for number, (length, use) in enumerate(items)
    ]
    starts = spread(needs, InstantMs(0), slowest_rate=rate)
    assert {one.digest for one in starts} == {need.digest for need in needs}
    by_digest = {need.digest: need for need in needs}
    assert all(one.stream_at > 0 and one.pace >= 4000 for one in starts)
    for earlier, later in pairwise(starts):
        ends = earlier.stream_at + stream_ms(by_digest[earlier.digest].length_bytes, earlier.pace)
        need = by_digest[later.digest]
        hurried = need.first_use - 600_000 - stream_ms(need.length_bytes, later.pace)
        assert later.stream_at >= min(ends, max(500, hurried))


def test_start_of_an_immediate_broadcast() -> None:
    now = InstantMs(1_000_000)
    assert immediate_start(now, 0.1) == now + 2_000
    assert immediate_start(now, 10) == now + 12_000
    assert immediate_start(now, 1e9) == now + 60_000
