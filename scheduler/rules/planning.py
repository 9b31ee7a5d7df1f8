"""The rolling plan: which broadcasts are new, kept, withdrawn, moved or crowded out. Values in, values out.

Planning again with nothing changed changes nothing, at any instant and however often: a broadcast is known by its slot,
which is its programme and the local time that the programme asks for.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from loa.names import AreaPath
from loa.precedence import Precedence
from loa.units import DurationMs, Id16, InstantMs, NodeId

GAP_MS = 2000
"""Silence between two broadcasts of which one had to wait for the other."""
LONGEST_SHIFT_MS = 3_600_000
"""Moved later by at most this; where that is not enough it has no place."""
MOST_ANCESTORS = 16


@dataclass(frozen=True)
class Wanted:
    """One occurrence that a programme asks for."""

    slot: str
    programme: str
    day: str
    """Local date."""
    at: InstantMs
    duration_ms: DurationMs
    precedence: Precedence
    places: tuple[AreaPath, ...]
    """Where it sounds: target areas, and the areas of target nodes."""
    nodes: frozenset[NodeId]
    """Where not empty, only these."""
    content: tuple[object, ...]
    """Everything that makes it another broadcast when it changes, its instant apart."""
    seniority: tuple[int, str] = (0, "")
    """Between two at one instant the lower begins first."""


@dataclass(frozen=True)
class Planned:
    """A broadcast of an earlier plan. active: it will sound; crowded_out: it had no place."""

    id: Id16
    slot: str
    programme: str
    day: str
    start_at: InstantMs
    content: tuple[object, ...]
    active: bool
    crowded_out: bool = False
    recalled: bool = False
    """By a person: its slot stays empty."""
    ancestors: tuple[Id16, ...] = ()


@dataclass(frozen=True)
class Placed:
    """Where a wanted occurrence found its place: None where there is none. `note` says why it is not where asked."""

    wanted: Wanted
    start_at: InstantMs | None
    note: str = ""


@dataclass(frozen=True)
class NewBroadcast:
    """To be made. generation: how many broadcasts the slot had before; with the slot it determines the id."""

    placed: Placed
    generation: int
    replaces: tuple[Id16, ...]


@dataclass(frozen=True)
class Plan:
    """What changes; everything else stays as it is."""

    new: tuple[NewBroadcast, ...]
    withdrawn: tuple[Id16, ...]
    kept: int


Allowed = Callable[[Wanted, InstantMs], str]
"""Why an occurrence may not sound from that instant; empty where it may."""


def place(wanted: Iterable[Wanted], allowed: Allowed = lambda _wanted, _at: "") -> list[Placed]:
    """Resolve overlaps within one precedence: what comes later waits until the air is free where it sounds.

    A priority broadcast does not wait for an ordinary one: there the node decides, by precedence.
    """
    placed: list[Placed] = []
    busy: dict[Precedence, _Busy] = defaultdict(_Busy)
    for one in sorted(wanted, key=lambda w: (w.at, w.seniority, w.slot)):
        if why := allowed(one, one.at):
            placed.append(Placed(one, None, why))
            continue
        found = busy[one.precedence].find_room(one)
        if found.start_at is not None and found.start_at != one.at and (why := allowed(one, found.start_at)):
            found = Placed(one, None, f"{found.note}; {why}")
        if found.start_at is not None:
            busy[one.precedence].take(found, found.start_at)
        placed.append(found)
    return placed


def compare(placed: Sequence[Placed], planned: Iterable[Planned], now: InstantMs) -> Plan:
    """Set the wanted beside the planned. What has begun is never touched, and never made a second time."""
    by_slot: dict[str, list[Planned]] = defaultdict(list)
    for row in planned:
        by_slot[row.slot].append(row)
    keep: set[Id16] = set()
    fresh: list[Placed] = []
    for one in placed:
        rows = by_slot.get(one.wanted.slot, [])
        same = _already(one, rows, now)
        keep.update(row.id for row in same)
        if not same and (one.start_at or one.wanted.at) > now:
            fresh.append(one)
    gone = [
        row
        for rows in by_slot.values()
        for row in rows
        if row.id not in keep and row.start_at > now and (row.active or row.crowded_out)
    ]
    lost: dict[tuple[str, str], list[Planned]] = defaultdict(list)
    for row in gone:
        if row.active:
            lost[row.programme, row.day].append(row)
    new = tuple(
        NewBroadcast(one, len(by_slot.get(one.wanted.slot, [])), _ancestors(lost[one.wanted.programme, one.wanted.day]))
        for one in fresh
    )
    return Plan(new, tuple(row.id for row in gone), len(keep))


def _already(one: Placed, rows: Sequence[Planned], now: InstantMs) -> list[Planned]:
    """The rows of its slot that leave nothing to make: recalled, begun, or just what is wanted."""
    settled = [row for row in rows if row.recalled or (row.active and row.start_at <= now)]
    if settled:
        return settled
    if one.start_at is None:
        return [row for row in rows if row.crowded_out and row.content == one.wanted.content]
    return [row for row in rows if row.active and row.start_at == one.start_at and row.content == one.wanted.content]


def _ancestors(rows: Sequence[Planned]) -> tuple[Id16, ...]:
    found = dict.fromkeys(row.id for row in rows)
    found |= dict.fromkeys(ancestor for row in rows for ancestor in row.ancestors)
    return tuple(found)[:MOST_ANCESTORS]


@dataclass(frozen=True)
class _Claim:
    start: int
    end: int
    slot: str
    nodes: frozenset[NodeId]


@dataclass
class _Busy:
    """What is taken, found by place: at a place itself, and anywhere below it."""

    at: dict[str, list[_Claim]] = field(default_factory=lambda: defaultdict(list))
    below: dict[str, list[_Claim]] = field(default_factory=lambda: defaultdict(list))

    def find_room(self, one: Wanted) -> Placed:
        """The first start, not before the wanted one, at which nothing of its precedence is in the way."""
        start, note = int(one.at), ""
        while blockers := self._in_the_way(one, start, start + one.duration_ms):
            last = max(blockers, key=lambda claim: (claim.end, claim.slot))
            start, note = last.end + GAP_MS, f"overlap:{last.slot}"
            if start - one.at > LONGEST_SHIFT_MS:
                return Placed(one, None, note)
        return Placed(one, InstantMs(start), note)

    def take(self, placed: Placed, start: int) -> None:
        one = placed.wanted
        claim = _Claim(start, start + one.duration_ms, one.slot, one.nodes)
        for path in one.places:
            *above, own = _line(path)
            self.at[own].append(claim)
            for wider in above:
                self.below[wider].append(claim)

    def _in_the_way(self, one: Wanted, start: int, end: int) -> list[_Claim]:
        found: list[_Claim] = []
        for path in one.places:
            lists = [self.at[wider] for wider in _line(path)] + [self.below[path]]
            for claims in lists:
                # Asked in order of the wanted instant: what ended before it is of no more interest.
                if claims and claims[0].end <= one.at:
                    claims[:] = [claim for claim in claims if claim.end > one.at]
                found += [
                    claim
                    for claim in claims
                    if claim.start < end and start < claim.end and _share(claim.nodes, one.nodes)
                ]
        return found


@lru_cache(maxsize=8192)
def _line(path: AreaPath) -> tuple[AreaPath, ...]:
    return path.with_ancestors()


def _share(left: frozenset[NodeId], right: frozenset[NodeId]) -> bool:
    return not left or not right or not left.isdisjoint(right)
