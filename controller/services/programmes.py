"""Programmes: recurring slots with a rundown. Every change is planned at once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from controller.permissions import Permission
from controller.services.areas import area_named, lies_in, place_for, place_seen
from controller.services.bulletins import approved_bulletins
from controller.services.context import Changed, Context, note_deed, widest
from controller.services.nodes import checked_volume
from controller.services.planning import plan_week
from controller.services.sight import programme_row
from controller.tables import Node, Programme
from loa.entropy import new_id
from loa.errors import Refused
from loa.names import AreaPath, node_id
from loa.precedence import Interruption, Precedence
from loa.units import InstantMs, NodeId, Percent
from scheduler.rules.recurrence import check_recurrence, occurrences

MOST_NODES = 32
MOST_EXCLUDED = 400


@dataclass(frozen=True)
class ProgrammeView:
    """A programme. `starts_on` is local, `stopped_at` an instant."""

    id: str
    area: AreaPath
    title: str
    starts_on: str
    recurrence: str
    excluded: tuple[str, ...]
    rundown: tuple[str, ...]
    target_areas: tuple[AreaPath, ...]
    target_nodes: tuple[NodeId, ...]
    precedence: Precedence
    interruption: Interruption
    volume: Percent | None
    stopped_at: InstantMs | None
    created_by: str
    created_at: InstantMs


@dataclass(frozen=True, kw_only=True)
class ProgrammeForm:
    """What a person states of a programme; the whole of it, also for a change."""

    title: str
    area: str
    starts_on: str
    """First local date and time, YYYY-MM-DDTHH:MM[:SS], Asia/Ho_Chi_Minh."""
    rundown: Sequence[str]
    """Bulletin ids in order."""
    recurrence: str = ""
    excluded: Collection[str] = ()
    target_areas: Sequence[str] = ()
    target_nodes: Sequence[str] = ()
    precedence: Precedence = Precedence.ORDINARY
    interruption: Interruption = Interruption.DROP
    volume: float | None = None


def add_programme(session: Session, ctx: Context, form: ProgrammeForm) -> Changed[ProgrammeView]:
    """Add a programme and plan it.

    Raises Refused(field_required, not_found, not_approved, withdrawn, too_many, bad_recurrence, bad_start,
    bad_excluded_date, outside_area, volume_range, emergency_needs_release).
    """
    row = Programme(
        id=new_id(ctx.entropy).hex(), area="", title="", starts_on="", created_by=ctx.account, created_at=ctx.now
    )
    return _store(session, ctx, row, form, "draft")


def change_programme(session: Session, ctx: Context, id: str, form: ProgrammeForm) -> Changed[ProgrammeView]:  # noqa: A002
    """Replace what a programme states; what is to come is planned anew.

    Raises as add_programme, and Refused(locked).
    """
    row = programme_row(session, ctx, id, Permission.PROGRAMME_MANAGE)
    if row.stopped_at is not None:
        raise Refused("locked", field="programme", value=row.title)
    return _store(session, ctx, row, form, "change")


def stop_programme(session: Session, ctx: Context, *, id: str) -> Changed[ProgrammeView]:  # noqa: A002
    """No more broadcasts of it; what is sounding goes on. Raises Refused(not_found)."""
    row = programme_row(session, ctx, id, Permission.PROGRAMME_STOP)
    if row.stopped_at is not None:
        return Changed(_view(row))
    row.stopped_at = ctx.now
    session.add(row)
    session.flush()
    note_deed(session, ctx, "stop", "programme", row.id)
    view = _view(row)
    return Changed(view, plan_week(session, ctx))


def list_programmes(session: Session, *, within: str | None = None, stopped: bool = False) -> tuple[ProgrammeView, ...]:
    """Programmes by area and title."""
    query = select(Programme).order_by(col(Programme.area), col(Programme.title), col(Programme.id))
    if within is not None:
        query = query.where(lies_in(Programme.area, [AreaPath(within)]))
    if not stopped:
        query = query.where(col(Programme.stopped_at).is_(None))
    return tuple(_view(row) for row in session.exec(query))


def programme(session: Session, id: str) -> ProgrammeView:  # noqa: A002
    """One programme. Raises Refused(not_found)."""
    return _view(_row(session, id))


def _store(session: Session, ctx: Context, row: Programme, form: ProgrammeForm, verb: str) -> Changed[ProgrammeView]:
    if not form.title.strip():
        raise Refused("field_required", field="title")
    if form.precedence is Precedence.EMERGENCY:
        raise Refused("emergency_needs_release", field="precedence", limit="priority")
    if len(form.excluded) > MOST_EXCLUDED:
        raise Refused("too_many", field="excluded", limit=MOST_EXCLUDED)
    check_recurrence(form.starts_on, form.recurrence, form.excluded)
    approved_bulletins(session, ctx, form.rundown, field="rundown")
    area = place_for(session, ctx, form.area, Permission.PROGRAMME_MANAGE)
    row.area = area
    row.title = form.title.strip()[:200]
    row.starts_on, row.recurrence, row.excluded = form.starts_on, form.recurrence, sorted(form.excluded)
    row.rundown = list(form.rundown)
    row.target_areas = [str(path) for path in _target_areas(session, ctx, area, form.target_areas)]
    row.target_nodes = _target_nodes(session, ctx, area, form.target_nodes)
    row.precedence, row.interruption = int(form.precedence), int(form.interruption)
    row.volume = None if form.volume is None else checked_volume(form.volume)
    session.add(row)
    session.flush()
    note_deed(session, ctx, verb, "programme", row.id, detail=f"{row.title}: {row.starts_on} {row.recurrence}")
    view = _view(row)
    return Changed(view, plan_week(session, ctx))


def _target_areas(session: Session, ctx: Context, area: AreaPath, targets: Sequence[str]) -> tuple[AreaPath, ...]:
    places = widest(_target_area(session, ctx, area, path) for path in targets)
    for place in places:
        if not area.covers(place):
            raise Refused("outside_area", field="target_areas", limit=area, value=place)
    return places


def _target_area(session: Session, ctx: Context, area: AreaPath, path: str) -> AreaPath:
    if area.covers(AreaPath(path)):  # an API token may plan where it may read nothing
        return area_named(session, path, field="target_areas")
    return place_seen(session, ctx, path, field="target_areas")


def _target_nodes(session: Session, ctx: Context, area: AreaPath, targets: Sequence[str]) -> list[str]:
    if len(set(targets)) > MOST_NODES:
        raise Refused("too_many", field="target_nodes", limit=MOST_NODES)
    for name in targets:
        row = session.get(Node, node_id(name))
        seen = row is not None and (area.covers(row.area) or ctx.may.sees(Permission.NODE_READ, inside=[row.area]))
        if row is None or row.retired_at is not None or not seen:
            raise Refused("not_found", field="target_nodes", value=name)
        if not area.covers(row.area):
            raise Refused("outside_area", field="target_nodes", limit=area, value=name)
    return sorted(set(targets))


def _row(session: Session, name: str) -> Programme:
    row = session.get(Programme, name)
    if row is None:
        raise Refused("not_found", field="programme", value=name[:64])
    return row


def _view(row: Programme) -> ProgrammeView:
    return ProgrammeView(
        row.id, AreaPath(row.area), row.title, row.starts_on, row.recurrence, tuple(row.excluded), tuple(row.rundown),
        tuple(AreaPath(path) for path in row.target_areas), tuple(NodeId(name) for name in row.target_nodes),
        Precedence(row.precedence), Interruption(row.interruption),
        None if row.volume is None else Percent(row.volume),
        None if row.stopped_at is None else InstantMs(row.stopped_at), row.created_by, InstantMs(row.created_at),
    )  # fmt: skip


def form_of(session: Session, id: str) -> ProgrammeForm:  # noqa: A002
    """What a programme states now, to be changed in part by `dataclasses.replace`. Raises Refused(not_found)."""
    view = programme(session, id)
    return ProgrammeForm(
        title=view.title, area=view.area, starts_on=view.starts_on, rundown=view.rundown, recurrence=view.recurrence,
        excluded=view.excluded, target_areas=view.target_areas, target_nodes=view.target_nodes,
        precedence=view.precedence, interruption=view.interruption, volume=view.volume,
    )  # fmt: skip


def preview(
    starts_on: str, recurrence: str, excluded: Collection[str], since: InstantMs, until: InstantMs
) -> tuple[InstantMs, ...]:
    """When such a slot would happen within [since, until). Raises as check_recurrence."""
    check_recurrence(starts_on, recurrence, excluded)
    return tuple(occurrences(starts_on, recurrence, excluded, (since, until)))
