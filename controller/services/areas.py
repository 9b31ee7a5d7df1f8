"""Areas: the tree province → commune → village."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import Session, col, select

from controller.permissions import Permission
from controller.services.context import Context, note_deed
from controller.tables import Area, AreaMove
from loa.errors import Refused
from loa.names import AreaPath


@dataclass(frozen=True)
class AreaView:
    """A place. `parent` is None for the province."""

    path: AreaPath
    name: str
    kind: str
    parent: AreaPath | None
    population: int | None = None
    languages: tuple[str, ...] = ()
    """Spoken there, BCP 47, the first one first."""
    geometry: Mapping[str, Any] | None = None
    """GeoJSON Polygon or MultiPolygon."""


@dataclass(frozen=True)
class AreaTree:
    """A place with the places within it."""

    area: AreaView
    children: tuple["AreaTree", ...]


def ensure_province(session: Session, ctx: Context, name: str = "", kind: str = "tỉnh") -> AreaView:
    """The province of this controller, added where it is not there yet."""
    found = session.get(Area, str(ctx.province))
    if found is None:
        if ctx.province.parent is not None:
            raise Refused("bad_area_path", field="province", limit="one code", value=ctx.province)
        found = Area(path=ctx.province, parent=None, name=name or ctx.province, kind=kind, created_at=ctx.now)
        session.add(found)
        session.flush()
    return _view(found)


def add_area(
    session: Session,
    ctx: Context,
    *,
    path: str,
    name: str,
    kind: str = "",
    population: int | None = None,
    languages: Sequence[str] = (),
) -> AreaView:
    """Add a commune or village.

    Raises Refused(bad_area_path, not_found for its parent, already_exists, field_required, not_permitted).
    """
    place = AreaPath(path)
    if not name.strip():
        raise Refused("field_required", field="name")
    if place.parent is None or not ctx.province.covers(place):
        raise Refused("bad_area_path", field="path", limit=f"{ctx.province}/…", value=path[:100])
    if session.get(Area, str(place)) is not None:
        area_named(session, place, field="path")
        raise Refused("already_exists", field="path", value=place)
    place_for(session, ctx, place.parent, Permission.AREA_MANAGE, field="path")
    row = Area(
        path=place, parent=place.parent, name=name.strip()[:200], kind=kind[:40], population=population,
        languages=list(languages), created_at=ctx.now,
    )  # fmt: skip
    session.add(row)
    session.flush()
    note_deed(session, ctx, "add", "area", place)
    return _view(row)


def area_named(session: Session, path: str, *, field: str = "area") -> AreaPath:
    """The path of an area that exists. Raises Refused(bad_area_path, not_found, area_moved)."""
    place = AreaPath(path)
    if session.get(Area, str(place)) is None:
        raise Refused("not_found", field=field, value=place)
    moved = session.get(AreaMove, str(place))
    if moved is not None:
        raise Refused("area_moved", field=field, value=place, to=moved.to)
    return place


def place_seen(session: Session, ctx: Context, path: str, *, field: str = "area") -> AreaPath:
    """The path of an area that exists for whoever acts. Raises Refused(bad_area_path, not_found)."""
    place = AreaPath(path)
    if not ctx.may.sees(Permission.AREA_READ, around=[place]):
        raise Refused("not_found", field=field, value=place)
    return area_named(session, place, field=field)


def place_for(session: Session, ctx: Context, path: str, permission: Permission, *, field: str = "area") -> AreaPath:
    """An area where whoever acts has this permission. Raises Refused(bad_area_path, not_found, not_permitted)."""
    if ctx.may.may(permission, AreaPath(path)):  # an API token may do things where it may read nothing
        return area_named(session, path, field=field)
    place_seen(session, ctx, path, field=field)
    raise Refused("not_permitted", field="permission", value=str(permission))


def area(session: Session, path: str) -> AreaView:
    """One area. Raises Refused(not_found)."""
    row = session.get(Area, str(AreaPath(path)))
    if row is None:
        raise Refused("not_found", field="area", value=path[:100])
    return _view(row)


def list_areas(
    session: Session, *, within: str | None = None, seen: ColumnElement[bool] | None = None
) -> tuple[AreaView, ...]:
    """All areas by path, or those of one place with itself; not those that moved elsewhere. seen: as `areas_seen`."""
    query = select(Area).where(col(Area.path).not_in(select(AreaMove.path))).order_by(col(Area.path))
    if within is not None:
        query = query.where(lies_in(Area.path, [within]))
    if seen is not None:
        query = query.where(seen)
    return tuple(_view(row) for row in session.exec(query))


def area_tree(session: Session, ctx: Context) -> AreaTree:
    """The whole province."""
    children: dict[AreaPath | None, list[AreaView]] = {}
    for view in list_areas(session):
        children.setdefault(view.parent, []).append(view)

    def grown(view: AreaView) -> AreaTree:
        return AreaTree(view, tuple(grown(child) for child in children.get(view.path, [])))

    return grown(area(session, ctx.province))


def lies_in(column: str, areas: Iterable[str]) -> ColumnElement[bool]:
    """SQL: the path in `column` is one of the areas, or lies within one."""
    paths = list(areas)
    within = [col(column).startswith(f"{path}/", autoescape=True) for path in paths]
    return or_(col(column).in_(paths), *within)


def areas_seen(ctx: Context) -> ColumnElement[bool]:
    """SQL: areas of theirs, what lies in them, and what they lie in."""
    reach = ctx.may.reach(Permission.AREA_READ)
    above = {str(wider) for area in reach for wider in area.with_ancestors()}
    return or_(lies_in(Area.path, reach), col(Area.path).in_(above))


def _view(row: Area) -> AreaView:
    parent = AreaPath(row.parent) if row.parent else None
    return AreaView(AreaPath(row.path), row.name, row.kind, parent, row.population, tuple(row.languages), row.geometry)
