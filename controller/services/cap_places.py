"""Our areas as CAP's judgement knows them: out of the tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shapely.errors import ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry
from sqlmodel import Session, col, select

from controller.cap.areas import OUR_SCHEMES, KnownArea, KnownAreas
from controller.tables import Area, AreaMove
from loa.names import AreaPath


@dataclass(frozen=True)
class PlaceRow:
    """A row, before its shape is made of it."""

    path: AreaPath
    name: str
    codes: tuple[str, ...]
    geometry: Mapping[str, Any] | None


def place_rows(session: Session) -> tuple[PlaceRow, ...]:
    """Every area but those that became others."""
    gone = select(AreaMove.path)
    columns = select(Area.path, Area.name, Area.codes, Area.geometry)
    query = columns.where(col(Area.path).not_in(gone)).order_by(col(Area.path))
    return tuple(PlaceRow(AreaPath(path), name, tuple(codes), held) for path, name, codes, held in session.exec(query))


def places_of(rows: tuple[PlaceRow, ...], province: AreaPath, schemes: frozenset[str] = OUR_SCHEMES) -> KnownAreas:
    """Ready to be looked up. Beside the event loop: a province's shapes take a while."""
    made = {row.path: KnownArea(row.path, row.name, frozenset(row.codes), _shape(row.geometry)) for row in rows}
    whole = made.pop(province, None) or KnownArea(province, str(province).replace("-", " "))
    return KnownAreas(tuple(made.values()), whole, schemes)


def _shape(geometry: Mapping[str, Any] | None) -> BaseGeometry | None:
    """It was checked when it was taken; one that cannot be used all the same is as none."""
    if geometry is None:
        return None
    try:
        made = shape(dict(geometry))
    except (ShapelyError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return made if made.is_valid and not made.is_empty else None
