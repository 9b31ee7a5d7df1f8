"""Areas from one GeoJSON file (RFC 7946): checked as a whole, taken as a whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import shapely
from shapely.geometry import shape
from sqlmodel import Session, col, select

from controller.permissions import Permission
from controller.services.context import Context, note_deed
from controller.tables import Area
from loa.errors import Refused
from loa.names import AreaPath

MOST_FEATURES = 5000
MOST_POSITIONS = 2_000_000


@dataclass(frozen=True)
class AreaFeature:
    """What a file says of one area; None where it says nothing."""

    path: AreaPath
    name: str | None = None
    kind: str | None = None
    population: int | None = None
    languages: tuple[str, ...] | None = None
    geometry: Mapping[str, Any] | None = None
    """A GeoJSON Polygon or MultiPolygon, checked."""
    codes: tuple[str, ...] | None = None
    """Others that stand for it in alerts."""


@dataclass(frozen=True)
class AreasImported:
    """Paths, by what an import did to them or, as a dry run, would do."""

    added: tuple[AreaPath, ...]
    changed: tuple[AreaPath, ...]
    unchanged: tuple[AreaPath, ...]


def check_geometry(geometry: Mapping[str, Any], *, name: str, field: str) -> None:
    """Closed rings of WGS 84 longitudes and latitudes that neither cross nor touch themselves.

    name: of the feature, for the person who has to find it. Raises Refused(bad_polygon).
    """

    def bad(reason: str) -> Refused:
        return Refused("bad_polygon", field=field, limit="Polygon or MultiPolygon, WGS 84", value=name, reason=reason)

    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind not in ("Polygon", "MultiPolygon"):
        raise bad(f"the type is {str(kind)[:40]}")
    polygons = [coordinates] if kind == "Polygon" else coordinates
    if not isinstance(polygons, list) or not polygons:
        raise bad("it has no coordinates")
    positions = 0
    for polygon in polygons:
        for ring in _rings(polygon, bad):
            positions += len(ring)
            if positions > MOST_POSITIONS:
                raise bad(f"more than {MOST_POSITIONS} positions")
            _check_ring(ring, bad)
    made = shape(dict(geometry))
    if not made.is_valid:
        raise bad(shapely.is_valid_reason(made))


def _rings(polygon: Any, bad: Any) -> list[Any]:
    if not isinstance(polygon, list) or not polygon or not all(isinstance(ring, list) for ring in polygon):
        raise bad("a polygon is a list of rings")
    return polygon


def _check_ring(ring: list[Any], bad: Any) -> None:
    if len(ring) < 4 or ring[0] != ring[-1]:
        raise bad("a ring has four positions or more and ends where it begins (RFC 7946, 3.1.6)")
    for position in ring:
        if not isinstance(position, list) or not 2 <= len(position) <= 3:
            raise bad("a position is a longitude and a latitude")
        if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in position):
            raise bad("a position is two numbers")
        # NaN is refused too: it is not between anything.
        if not (-180 <= position[0] <= 180 and -90 <= position[1] <= 90):
            raise bad(f"{position[:2]} is not longitude, latitude in degrees")


def import_areas(
    session: Session, ctx: Context, features: Sequence[AreaFeature], *, dry_run: bool = False
) -> AreasImported:
    """Add areas that are new and change what the file states of others; all of it or nothing.

    Raises Refused(too_many, already_exists for a path that comes twice, bad_area_path, not_found for a parent,
    field_required, not_permitted).
    """
    ctx.demand(Permission.AREA_MANAGE, ctx.province)
    if len(features) > MOST_FEATURES:
        raise Refused("too_many", field="features", limit=MOST_FEATURES)
    known = {row.path: row for row in session.exec(select(Area).order_by(col(Area.path)))}
    named: set[str] = set()
    added, changed, unchanged = [], [], []
    for number, one in sorted(enumerate(features), key=lambda item: (len(item[1].path.codes), item[1].path)):
        field = f"features.{number}.properties.path"
        if one.path in named:
            raise Refused("already_exists", field=field, value=one.path)
        named.add(one.path)
        if not ctx.province.covers(one.path):
            raise Refused("bad_area_path", field=field, limit=f"{ctx.province}/…", value=one.path)
        row = known.get(one.path)
        if row is None:
            _check_new(one, known.keys() | named, number)
            added.append(one)
        elif all(getattr(row, name) == value for name, value in _stated(one).items()):
            unchanged.append(one)
        else:
            changed.append(one)
    if not dry_run:
        _apply(session, ctx, known, added, changed)
    done = ([one.path for one in group] for group in (added, changed, unchanged))
    return AreasImported(*(tuple(sorted(paths)) for paths in done))


def _check_new(one: AreaFeature, known: set[str], number: int) -> None:
    if not one.name:
        raise Refused("field_required", field=f"features.{number}.properties.name", value=one.path)
    if one.path.parent not in known:
        raise Refused("not_found", field=f"features.{number}.properties.path", value=str(one.path.parent))


def _stated(one: AreaFeature) -> dict[str, Any]:
    """Columns and values that a feature states."""
    stated: dict[str, Any] = {
        "name": one.name,
        "kind": one.kind,
        "population": one.population,
        "languages": None if one.languages is None else list(one.languages),
        "codes": None if one.codes is None else list(one.codes),
        "geometry": None if one.geometry is None else {name: one.geometry[name] for name in ("type", "coordinates")},
    }
    return {name: value for name, value in stated.items() if value is not None}


def _apply(
    session: Session,
    ctx: Context,
    known: Mapping[str, Area],
    added: Sequence[AreaFeature],
    changed: Sequence[AreaFeature],
) -> None:
    for one in added:  # wider ones first: each has its parent
        session.add(Area(path=one.path, parent=one.path.parent, created_at=ctx.now, **_stated(one)))
        session.flush()
        note_deed(session, ctx, "add", "area", one.path, detail="from GeoJSON")
    for one in changed:
        row = known[one.path]
        for name, value in _stated(one).items():
            setattr(row, name, value)
        session.add(row)
        note_deed(session, ctx, "change", "area", one.path, detail="from GeoJSON: " + ", ".join(_stated(one)))
    session.flush()
