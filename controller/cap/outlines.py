"""A place's shape as CAP can have it: rings without holes, not more detailed than a warning needs."""

from collections.abc import Mapping
from typing import Any, Final

from shapely import MultiPolygon, Polygon
from shapely.errors import ShapelyError
from shapely.geometry import shape

from controller.cap.geometry import ring
from controller.cap.model import Ring
from controller.cap.writing import ring_text
from loa.errors import Refused

COARSE_DEGREES: Final = 0.0005
"""Some 50 m."""
MAX_RINGS, MAX_POINTS = 64, 2000


def rings_of(geometry: Mapping[str, Any] | None) -> tuple[Ring, ...]:
    """The outer rings of a GeoJSON Polygon or MultiPolygon; a ring that cannot be written well is left out."""
    if geometry is None:
        return ()
    try:
        made = shape(dict(geometry)).simplify(COARSE_DEGREES, preserve_topology=True)
    except (ShapelyError, ValueError, TypeError, KeyError, AttributeError):
        return ()
    parts = list(made.geoms) if isinstance(made, MultiPolygon) else [made] if isinstance(made, Polygon) else []
    found = []
    for part in sorted(parts, key=lambda one: -one.area)[:MAX_RINGS]:
        points = tuple((round(y, 5), round(x, 5)) for x, y in part.exterior.coords)
        try:
            if len(points) <= MAX_POINTS:
                found.append(ring(ring_text(points), "info.area.polygon"))
        except Refused:
            continue
    return tuple(found)
