"""Polygons and circles of CAP (1.2, section 3.2.4): WGS 84, "latitude,longitude" pairs, kilometres.

Shapes are handed to shapely as (longitude, latitude), flat; where kilometres are needed, on a plane around the place.
"""

import math
from itertools import pairwise
from typing import Final

from shapely import MultiPolygon, Point, Polygon
from shapely.affinity import scale
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from controller.cap.model import Circle, Ring
from controller.cap.values import number
from loa.errors import Refused

KM_A_DEGREE: Final = 6371.0088 * math.pi / 180
"""Of latitude, on the mean sphere."""
MAX_RADIUS_KM: Final = 20_038.0
"""Half around the Earth."""
MAX_PARTS: Final = 64
"""Of a ring that touches itself."""


def ring(text: str, field: str) -> Ring:
    """A polygon's ring: closed, at least four points, not crossing itself. Raises Refused(bad_polygon)."""
    points = tuple(_pair(part, field, "bad_polygon") for part in text.split())
    if len(points) < 4:
        raise _bad(field, "at least 4 points", f"{len(points)} points")
    if points[0] != points[-1]:
        raise _bad(field, "the last point is the first", "open")
    if shape(points) is None:
        raise _bad(field, "a ring that does not cross itself", "crossing")
    return points


def circle(text: str, field: str) -> Circle:
    """A centre and a radius; 0 is a point. Raises Refused(bad_circle)."""
    parts = text.split()
    if len(parts) != 2:
        raise Refused("bad_circle", field=field, limit="latitude,longitude radius", value=text[:80])
    latitude, longitude = _pair(parts[0], field, "bad_circle")
    try:
        radius = number(parts[1], field)
    except Refused as problem:
        raise _no_pair("bad_circle", field, "a decimal number", text) from problem
    if not 0 <= radius <= MAX_RADIUS_KM:
        raise Refused("bad_circle", field=field, limit=f"0 to {MAX_RADIUS_KM:.0f} km", value=text[:80])
    return Circle(latitude, longitude, radius)


def shape(points: Ring) -> BaseGeometry | None:
    """What a ring encloses, None where that cannot be said because it crosses itself or encloses nothing.

    A ring may touch itself at a point or run out and back along a line, as real ones do after rounding and around
    holes: what it encloses is clear then. Over the date line it goes on past 180 degrees.
    """
    flat = [(longitude, latitude) for latitude, longitude in _unrolled(points)]
    whole = Polygon(flat)
    if whole.is_valid and whole.area > 0:
        return whole
    parts = [Polygon(loop) for loop in _loops(flat) if len(loop) >= 4]
    if not parts or len(parts) > MAX_PARTS or not all(part.is_valid and part.area > 0 for part in parts):
        return None
    if not MultiPolygon(parts).is_valid and any(
        one.overlaps(other) for place, one in enumerate(parts) for other in parts[:place]
    ):
        return None
    return unary_union(parts)


def covers_point(enclosed: BaseGeometry, latitude: float, longitude: float, slack_km: float) -> bool:
    """Whether a place lies in a shape, or no farther outside than that."""
    return any(
        _km_between(enclosed, latitude, turned) <= slack_km for turned in (longitude, longitude + 360, longitude - 360)
    )


def circle_reaches(round_: Circle, place: BaseGeometry, slack_km: float) -> bool:
    """Whether a circle reaches a place, point or shape."""
    near = min((0, 360, -360), key=lambda turn: abs(place.centroid.x - round_.longitude - turn))
    distance = _km_between(place, round_.latitude, round_.longitude + near)
    return distance <= round_.radius_km + slack_km


def _km_between(place: BaseGeometry, latitude: float, longitude: float) -> float:
    """From a point to the nearest of a place, on the plane around the point; good to a percent within 500 km."""
    if isinstance(place, Point):
        return _km_of_arc(latitude, longitude, place.y, place.x)
    if place.covers(Point(longitude, latitude)):
        return 0.0
    narrow = max(0.01, math.cos(math.radians(latitude)))
    about = (longitude, latitude)
    level = scale(place, xfact=narrow * KM_A_DEGREE, yfact=KM_A_DEGREE, origin=about)
    return float(level.distance(Point(about)))


def _km_of_arc(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """The haversine distance."""
    a, b = math.radians(latitude), math.radians(other_latitude)
    turned = math.radians(other_longitude - longitude)
    chord = math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(turned / 2) ** 2
    return 2 * math.degrees(math.asin(min(1.0, math.sqrt(chord)))) * KM_A_DEGREE


def _pair(text: str, field: str, code: str) -> tuple[float, float]:
    parts = text.split(",")
    if len(parts) != 2:
        raise _no_pair(code, field, "latitude,longitude", text)
    try:
        latitude, longitude = number(parts[0], field), number(parts[1], field)
    except Refused as problem:
        raise _no_pair(code, field, "decimal numbers", text) from problem
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise _no_pair(code, field, "latitude -90 to 90, longitude -180 to 180", text)
    return latitude, longitude


def _no_pair(code: str, field: str, limit: str, text: str) -> Refused:
    if code == "bad_polygon":
        return _bad(field, limit, text[:80])
    return Refused("bad_circle", field=field, limit=limit, value=text[:80])


def _unrolled(points: Ring) -> Ring:
    """Where the ring steps over the date line, west becomes more than 180 degrees east."""
    longitudes = [longitude for _, longitude in points]
    if max(longitudes) - min(longitudes) <= 180:
        return points
    if not any(abs(one - other) > 180 for one, other in pairwise(longitudes)):
        return points
    return tuple((latitude, longitude + 360 if longitude < 0 else longitude) for latitude, longitude in points)


def _loops(flat: list[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """A ring taken apart where it comes back to a point: each loop is closed; those of three points enclose nothing."""
    path: list[tuple[float, float]] = []
    place: dict[tuple[float, float], int] = {}
    loops: list[list[tuple[float, float]]] = []
    for point in flat:
        start = place.get(point)
        if start is None:
            place[point] = len(path)
            path.append(point)
            continue
        loops.append([*path[start:], point])
        for gone in path[start + 1 :]:
            del place[gone]
        del path[start + 1 :]
    return loops


def _bad(field: str, limit: str, value: str) -> Refused:
    return Refused("bad_polygon", field=field, limit=limit, value=field, reason=f"{value}; needed: {limit}")
