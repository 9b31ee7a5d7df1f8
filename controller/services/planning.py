"""The rolling plan: from programmes to broadcasts of at least the next seven days, and their timetables."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, update
from sqlmodel import Session, col, select

from controller.services.context import Context, Outgoing, widest
from controller.services.settings import SettingsInForce
from controller.services.streams import plan_streams
from controller.services.timetables import issue_timetables
from controller.tables import Broadcast, Bulletin, Node, PlanMark, Programme, Rendition
from devices.protocol.common import MAX_RENDITIONS
from devices.protocol.documents import DEFAULT_GRACE_MS, Settings
from loa.names import AreaPath
from loa.precedence import Precedence
from loa.units import DurationMs, Id16, InstantMs, NodeId
from scheduler.rules.hours import permits
from scheduler.rules.planning import LONGEST_SHIFT_MS, Allowed, NewBroadcast, Planned, Wanted, compare, place
from scheduler.rules.recurrence import expand, local_midnight

PLANNED_DAYS = 8
"""Up to the midnight that ends the eighth day: at least seven days at any time of the first."""
_LOOK_BACK_MS = 6 * 3_600_000
_ROWS_AT_ONCE = 500


@dataclass(frozen=True)
class _Rundown:
    """What a programme plays."""

    bulletins: tuple[str, ...]
    renditions: tuple[str, ...]
    duration_ms: DurationMs


def plan_week(session: Session, ctx: Context) -> Outgoing:
    """Bring broadcasts and timetables in line with the programmes. Doing it again changes nothing.

    All in the caller's transaction: a stop in the middle leaves the plan as it was before.
    """
    now = ctx.now
    until = local_midnight(now, days=PLANNED_DAYS)
    since = InstantMs(now - _LOOK_BACK_MS - LONGEST_SHIFT_MS)
    programmes = {row.id: row for row in session.exec(select(Programme).where(col(Programme.stopped_at).is_(None)))}
    rundowns = _rundowns(session, programmes.values())
    planned, recalled = _planned(session, since)
    wanted = list(_wanted(session, programmes, rundowns, (since, until), recalled))
    plan = compare(place(wanted, _permission(session)), planned, now)
    _withdraw(session, plan.withdrawn)
    rows = [_row(ctx, one, programmes[one.placed.wanted.programme], rundowns) for one in plan.new]
    for at in range(0, len(rows), _ROWS_AT_ONCE):
        session.execute(insert(Broadcast), rows[at : at + _ROWS_AT_ONCE])
    _mark(session, ctx, until)
    session.expire_all()
    plan_streams(session, ctx, _first_uses(session, now))
    return issue_timetables(session, ctx)


def plan_due(session: Session, ctx: Context) -> InstantMs:
    """When the plan must be rolled on: at the next local midnight; at once where there is none yet."""
    mark = session.get(PlanMark, str(ctx.province))
    return ctx.now if mark is None else local_midnight(InstantMs(mark.planned_until), days=1 - PLANNED_DAYS)


def broadcast_id(slot: str, generation: int) -> Id16:
    """A scheduled broadcast's id comes from its slot, so that a restored backup plans the same ids again."""
    return Id16(hashlib.sha256(f"{slot}#{generation}".encode()).digest()[:16])


def _permission(session: Session) -> Allowed:
    """Whether permitted hours and lengths let an occurrence sound; says why where they do not."""
    settings = SettingsInForce(session)
    narrowest: dict[AreaPath, Settings] = {}

    def allowed(one: Wanted, at: InstantMs) -> str:
        for path in one.places:
            here = narrowest.get(path)
            if here is None:
                here = narrowest[path] = settings.at(path)
            if one.duration_ms > here.longest_ms:
                return "too_long"
            if not permits(here.hours, at, one.duration_ms, here.utc_offset_min):
                return "out_of_hours"
        return ""

    return allowed


def _rundowns(session: Session, programmes: Iterable[Programme]) -> Mapping[str, _Rundown]:
    """What each programme plays: the approved bulletins of its rundown."""
    query = select(Bulletin.id, Bulletin.renditions).where(Bulletin.status == "approved")
    approved = dict(session.exec(query).all())
    lengths = dict(session.exec(select(Rendition.digest, Rendition.duration_ms)).all())
    found: dict[str, _Rundown] = {}
    for row in programmes:
        bulletins = tuple(one for one in row.rundown if one in approved)
        renditions = tuple(digest for one in bulletins for digest in approved[one])[:MAX_RENDITIONS]
        if renditions:
            found[row.id] = _Rundown(bulletins, renditions, DurationMs(sum(lengths[d] for d in renditions)))
    return found


def _planned(session: Session, since: InstantMs) -> tuple[list[Planned], frozenset[str]]:
    """Scheduled broadcasts of earlier plans, and the slots that a person emptied."""
    query = select(Broadcast).where(
        col(Broadcast.scheduled).is_(True),
        col(Broadcast.slot).is_not(None),
        col(Broadcast.wanted_at) >= since,
    )
    rows: list[Planned] = []
    for row in session.exec(query):
        slot = row.slot or ""
        rows.append(
            Planned(
                Id16(bytes.fromhex(row.id)), slot, row.programme or "", _day(slot), InstantMs(row.start_at),
                _content(row, tuple(row.renditions)), row.status in ("planned", "issued", "ended"),
                row.status == "crowded_out", row.status == "recalled",
                tuple(Id16(bytes.fromhex(one)) for one in row.replaces),
            )
        )  # fmt: skip
    return rows, frozenset(row.slot for row in rows if row.recalled)


def _wanted(
    session: Session,
    programmes: Mapping[str, Programme],
    rundowns: Mapping[str, _Rundown],
    window: tuple[InstantMs, InstantMs],
    recalled: frozenset[str],
) -> Iterable[Wanted]:
    homes = dict(session.exec(select(Node.id, Node.area)).all())
    for row in programmes.values():
        rundown = rundowns.get(row.id)
        if rundown is None:
            continue
        areas = _areas(row)
        places = widest([*areas, *(homes[name] for name in row.target_nodes if name in homes)])
        nodes = frozenset(NodeId(name) for name in row.target_nodes) if not areas else frozenset()
        content = _content(row, rundown.renditions)
        for one in expand(row.starts_on, row.recurrence, row.excluded, window):
            slot = f"{row.id}@{one.local:%Y-%m-%dT%H:%M:%S}"
            if slot not in recalled:
                yield Wanted(
                    slot, row.id, f"{one.local:%Y-%m-%d}", one.at, rundown.duration_ms, Precedence(row.precedence),
                    places, nodes, content, (row.created_at, row.id),
                )  # fmt: skip


def _areas(row: Programme) -> tuple[AreaPath, ...]:
    """The areas that a programme is for: its own where it names nothing narrower."""
    return widest(row.target_areas or ([] if row.target_nodes else [row.area]))


def _content(row: Programme | Broadcast, renditions: tuple[str, ...]) -> tuple[object, ...]:
    areas = _areas(row) if isinstance(row, Programme) else tuple(row.target_areas)
    return (
        renditions, tuple(areas), tuple(sorted(row.target_nodes)), row.precedence, row.interruption, row.volume,
    )  # fmt: skip


def _day(slot: str) -> str:
    return slot.partition("@")[2][:10]


def _row(ctx: Context, new: NewBroadcast, programme: Programme, rundowns: Mapping[str, _Rundown]) -> dict[str, Any]:
    wanted, rundown = new.placed.wanted, rundowns[programme.id]
    start_at = new.placed.start_at if new.placed.start_at is not None else wanted.at
    return {
        "id": broadcast_id(wanted.slot, new.generation).hex(),
        "programme": programme.id,
        "slot": wanted.slot,
        "scheduled": True,
        "title": programme.title,
        "area": programme.area,
        "target_areas": [str(path) for path in _areas(programme)],
        "target_nodes": sorted(programme.target_nodes),
        "bulletins": list(rundown.bulletins),
        "renditions": list(rundown.renditions),
        "precedence": programme.precedence,
        "kind": 1,
        "interruption": programme.interruption,
        "volume": programme.volume,
        "start_at": start_at,
        "wanted_at": wanted.at,
        "duration_ms": rundown.duration_ms,
        "expires_at": start_at + rundown.duration_ms + DEFAULT_GRACE_MS,
        "status": "planned" if new.placed.start_at is not None else "crowded_out",
        "note": new.placed.note,
        "repeats": 1,
        "replaces": [one.hex() for one in new.replaces],
        "created_by": programme.created_by,
        "created_at": ctx.now,
    }


def _withdraw(session: Session, ids: Sequence[Id16]) -> None:
    for at in range(0, len(ids), _ROWS_AT_ONCE):
        some = [one.hex() for one in ids[at : at + _ROWS_AT_ONCE]]
        session.execute(update(Broadcast).where(col(Broadcast.id).in_(some)).values(status="withdrawn"))


def _first_uses(session: Session, now: InstantMs) -> Mapping[str, InstantMs]:
    """When each rendition is needed first, of the broadcasts to come."""
    query = select(Broadcast.start_at, Broadcast.renditions).where(
        Broadcast.status == "planned", col(Broadcast.scheduled).is_(True), Broadcast.start_at > now
    )
    found: dict[str, InstantMs] = defaultdict(lambda: InstantMs(1 << 62))
    for start_at, digests in session.exec(query):
        for digest in digests:
            found[digest] = InstantMs(min(found[digest], start_at))
    return found


def _mark(session: Session, ctx: Context, until: InstantMs) -> None:
    mark = session.get(PlanMark, str(ctx.province))
    if mark is None:
        mark = PlanMark(province=ctx.province, planned_at=ctx.now, planned_until=until)
    mark.planned_at, mark.planned_until = ctx.now, until
    session.add(mark)
    session.flush()
