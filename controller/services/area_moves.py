"""A boundary changes: a commune or village with all that is in it becomes another place, in one unit of work.

What happened there stays under the old path. Nodes are placed anew, programmes follow, and coming broadcasts are
planned again. First a plan of values, which a dry run shows; then it is carried out as shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from sqlmodel import Session, col, select

from controller.permissions import Permission
from controller.services.areas import area_named, lies_in, place_for
from controller.services.context import Changed, Context, Outgoing, note_deed, widest
from controller.services.nodes import move_node
from controller.services.planning import plan_week
from controller.services.settings import issue_settings
from controller.tables import Area, AreaMove, Broadcast, Bulletin, Node, Programme, StateDocument, Station
from devices.protocol.documents import Settings
from devices.protocol.envelope import open_sealed
from devices.protocol.topics import AreaChannel
from loa.errors import Refused
from loa.names import AreaPath
from loa.units import NodeId

T = TypeVar("T", Node, Station, Bulletin)


@dataclass(frozen=True)
class ProgrammeMove:
    """What becomes of one programme. `fate`: moved (with its area), retargeted, narrowed (lost a part), stopped."""

    id: str
    title: str
    fate: str
    area: AreaPath
    target_areas: tuple[AreaPath, ...]
    target_nodes: tuple[NodeId, ...]


@dataclass(frozen=True)
class MovePlan:
    """Everything that a move changes."""

    areas: tuple[tuple[AreaPath, AreaPath], ...]
    """From, to; the widest first."""
    nodes: tuple[NodeId, ...]
    stations: tuple[str, ...]
    bulletins: int
    settings: tuple[AreaPath, ...]
    """Places with settings of their own, which they take along."""
    programmes: tuple[ProgrammeMove, ...]


def move_area(session: Session, ctx: Context, *, path: str, to: str, dry_run: bool = False) -> Changed[MovePlan]:
    """Move a place and all within it. With `dry_run` nothing is changed.

    Raises Refused(not_found, bad_area_path, already_exists, area_moved, area_on_air).
    """
    old, new = place_for(session, ctx, path, Permission.AREA_MANAGE, field="path"), AreaPath(to)
    _check(session, ctx, old, new)
    ctx.demand(Permission.AREA_MANAGE, new)
    plan = plan_move(session, old, new)
    if dry_run:
        return Changed(plan)
    return Changed(plan, _carry_out(session, ctx, old, new, plan))


def plan_move(session: Session, old: AreaPath, new: AreaPath) -> MovePlan:
    """What would change. Raises Refused(bad_area_path) where a place would lie too deep."""
    inside = session.exec(select(Area.path).where(lies_in(Area.path, [old])).order_by(col(Area.path))).all()
    nodes = session.exec(
        select(Node.id).where(lies_in(Node.area, [old]), col(Node.retired_at).is_(None)).order_by(col(Node.id))
    ).all()
    stations = session.exec(select(Station.id).where(lies_in(Station.area, [old])).order_by(col(Station.id))).all()
    bulletins = session.exec(select(Bulletin.id).where(lies_in(Bulletin.area, [old]))).all()
    settings = session.exec(
        select(StateDocument.area)
        .where(StateDocument.channel == str(AreaChannel.SETTINGS), lies_in(StateDocument.area, [old]))
        .order_by(col(StateDocument.area))
    ).all()
    homes = {name: _moved(home, old, new) for name, home in session.exec(select(Node.id, Node.area))}
    rows = session.exec(
        select(Programme).where(col(Programme.stopped_at).is_(None)).order_by(col(Programme.title), col(Programme.id))
    ).all()
    followed = (_follow(row, old, new, homes) for row in rows)
    return MovePlan(
        tuple((AreaPath(place), _moved(place, old, new)) for place in inside),
        tuple(NodeId(name) for name in nodes), tuple(stations), len(bulletins),
        tuple(AreaPath(place) for place in settings), tuple(one for one in followed if one is not None),
    )  # fmt: skip


def _moved(path: str, old: AreaPath, new: AreaPath) -> AreaPath:
    return AreaPath(new + path[len(old) :]) if old.covers(path) else AreaPath(path)


def _follow(
    row: Programme, old: AreaPath, new: AreaPath, homes: Mapping[str, AreaPath]
) -> ProgrammeMove | None:  # fmt: skip
    """How a programme follows: it keeps to its own area, so a target that left it is dropped."""
    area = _moved(row.area, old, new)
    targets = [_moved(place, old, new) for place in row.target_areas]
    kept = tuple(place for place in targets if area.covers(place))
    names = tuple(NodeId(name) for name in row.target_nodes if name in homes and area.covers(homes[name]))
    lost = len(kept) < len(targets) or len(names) < len(row.target_nodes)
    if lost and not kept and not names:
        fate = "stopped"
    elif lost:
        fate = "narrowed"
    elif area != row.area:
        fate = "moved"
    elif list(kept) != list(row.target_areas):
        fate = "retargeted"
    else:
        return None
    return ProgrammeMove(row.id, row.title, fate, area, widest(kept), names)


def _check(session: Session, ctx: Context, old: AreaPath, new: AreaPath) -> None:
    if old.parent is None or new.parent is None or not ctx.province.covers(new) or old.covers(new):
        raise Refused("bad_area_path", field="to", limit=f"{ctx.province}/…, outside {old}", value=new)
    area_named(session, new.parent, field="to")
    if session.get(Area, str(new)) is not None and session.get(AreaMove, str(new)) is None:
        raise Refused("already_exists", field="to", value=new)
    on_air = select(Broadcast).where(Broadcast.status == "issued", col(Broadcast.expires_at) > ctx.now)
    for row in session.exec(on_air):
        for target in map(AreaPath, row.target_areas):
            if old.covers(target) or (target.covers(old) and not target.covers(new)):
                raise Refused("area_on_air", field="path", value=old, broadcast=row.title)


def _carry_out(session: Session, ctx: Context, old: AreaPath, new: AreaPath, plan: MovePlan) -> Outgoing:
    for before, after in plan.areas:
        _found(session, before, after, ctx)
    outgoing = Outgoing()
    for node in plan.nodes:
        outgoing += move_node(session, ctx, id=node, area=_moved(session.get_one(Node, node).area, old, new)).outgoing
    rows: list[Node | Station | Bulletin] = [*_rows_in(session, Node, old), *_rows_in(session, Station, old)]
    for row in (*rows, *_rows_in(session, Bulletin, old)):
        row.area = _moved(row.area, old, new)  # of the nodes, those that are retired are left
        session.add(row)
    for place in plan.settings:
        document = session.get_one(StateDocument, (str(place), str(AreaChannel.SETTINGS)))
        settings = open_sealed(document.payload).message
        assert isinstance(settings, Settings)
        outgoing += issue_settings(session, ctx, replace(settings, area=_moved(place, old, new)))
        session.delete(document)
    _move_programmes(session, ctx, plan.programmes)
    session.flush()
    note_deed(session, ctx, "move", "area", old, detail=f"to {new}, {len(plan.nodes)} nodes")
    return outgoing + plan_week(session, ctx)


def _rows_in(session: Session, table: type[T], place: AreaPath) -> Sequence[T]:
    return session.exec(select(table).where(lies_in(table.area, [place]))).all()


def _found(session: Session, before: AreaPath, after: AreaPath, ctx: Context) -> None:
    """The place under its new path; under the old one it is remembered where it went."""
    row = session.get_one(Area, str(before))
    fresh = session.get(Area, str(after))
    if fresh is None:
        session.add(Area(**(row.model_dump() | {"path": after, "parent": after.parent, "created_at": ctx.now})))
    else:  # it is moved back
        fresh.name, fresh.kind = row.name, row.kind
        session.add(fresh)
        back = session.get(AreaMove, str(after))
        if back is not None:
            session.delete(back)
    session.flush()
    for earlier in session.exec(select(AreaMove).where(AreaMove.to == str(before))).all():
        earlier.to = after
        session.add(earlier)
    session.add(AreaMove(path=before, to=after, moved_at=ctx.now, moved_by=ctx.account))
    session.flush()


def _move_programmes(session: Session, ctx: Context, moves: Sequence[ProgrammeMove]) -> None:
    for one in moves:
        row = session.get_one(Programme, one.id)
        if one.fate == "stopped":
            row.stopped_at = ctx.now
        else:
            row.area, row.target_areas = one.area, [str(place) for place in one.target_areas]
            row.target_nodes = [str(name) for name in one.target_nodes]
        session.add(row)
        note_deed(session, ctx, "stop" if one.fate == "stopped" else "move", "programme", row.id, detail=one.area)
