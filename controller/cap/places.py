"""Our areas out of a table of places (CSV) or a map of them (GeoJSON, RFC 7946)."""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from shapely import Point
from shapely.errors import ShapelyError
from shapely.geometry import shape as geometry_of
from shapely.geometry.base import BaseGeometry

from controller.cap.areas import OUR_SCHEMES, KnownArea, KnownAreas
from loa.errors import Refused
from loa.names import AreaPath

MAX_PLACES: Final = 20_000
_CODES: Final = ("gso_code", "iso_code", "cap_code", "codes")
"""Columns or properties whose values stand for the place in an alert's geocodes, apart by spaces."""


def known_areas(
    data: bytes, province: str | None, name: str = "", *, schemes: frozenset[str] = OUR_SCHEMES
) -> KnownAreas:
    """Places in the form of CSV (code,name,kind,terrain,latitude_approx,longitude_approx) or GeoJSON.

    province: the code of the province that they are in, None where it is not known: their codes are their paths then.
    A code with "/" in it is a whole path. name: the province's, where it is other than its code. schemes: of their
    codes. GeoJSON features have `code` or `path`, and `name`, among their properties; that whose code is the province's
    is the province. Raises Refused(bad_places, bad_area_path).
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused("bad_places", field="areas", limit="UTF-8", reason=f"byte {error.start}") from error
    top = AreaPath(province) if province is not None else None
    read = _features if text.lstrip().startswith("{") else _rows
    found: dict[AreaPath, KnownArea] = {}
    for area in read(text, top):
        if area.path in found or len(found) >= MAX_PLACES:
            raise Refused("bad_places", field="areas", limit="each place once", reason=str(area.path))
        found[area.path] = area
    if not found:
        raise Refused("bad_places", field="areas", limit="code, name", reason="no places")
    if top is None:
        return KnownAreas(tuple(found.values()), schemes=schemes)
    whole = found.pop(top, None) or KnownArea(top, name or top.replace("-", " "))
    return KnownAreas(tuple(found.values()), whole, schemes)


def _rows(text: str, top: AreaPath | None) -> Iterator[KnownArea]:
    rows = csv.DictReader(io.StringIO(text))
    if not {"code", "name"} <= set(rows.fieldnames or ()):
        raise Refused("bad_places", field="areas", limit="code,name,…", reason="no columns code and name")
    try:
        for number, row in enumerate(rows, start=2):
            values = {key: (value or "").strip() for key, value in row.items() if isinstance(key, str)}
            yield _area(values, top, _point(values, number))
    except csv.Error as error:
        raise Refused("bad_places", field="areas", limit="CSV", reason=str(error)) from error


def _features(text: str, top: AreaPath | None) -> Iterator[KnownArea]:
    try:
        collection = json.loads(text)
        features = collection["features"]
        for feature in features:
            place = feature.get("geometry")
            values = {str(key): _text(value) for key, value in feature["properties"].items() if value is not None}
            yield _area(values, top, None if place is None else _geometry(place))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refused("bad_places", field="areas", limit="GeoJSON features", reason=type(error).__name__) from error


def _text(value: object) -> str:
    return " ".join(str(one) for one in value) if isinstance(value, list) else str(value)


def _area(values: Mapping[str, str], top: AreaPath | None, place: BaseGeometry | None) -> KnownArea:
    code, name = values.get("path") or values.get("code", ""), values.get("name", "")
    if not name:
        raise Refused("bad_places", field="areas", limit="code, name", reason=f"no name for {code[:40]}")
    path = AreaPath(code if "/" in code or top in (None, code) else f"{top}/{code}")
    codes = frozenset(code for column in _CODES for code in values.get(column, "").split())
    return KnownArea(path, name, codes, place)


def _point(values: Mapping[str, str], number: int) -> Point | None:
    texts = [values.get(f"{axis}_approx") or values.get(axis) or "" for axis in ("latitude", "longitude")]
    if not all(texts):
        return None
    try:
        latitude, longitude = (float(text) for text in texts)
    except ValueError as error:
        raise Refused("bad_places", field="areas", limit="degrees", reason=f"line {number}") from error
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):
        raise Refused("bad_places", field="areas", limit="degrees", reason=f"line {number}")
    return Point(longitude, latitude)


def _geometry(place: dict[str, Any]) -> BaseGeometry:
    try:
        made = geometry_of(place)
    except ShapelyError as error:
        raise Refused("bad_places", field="areas", limit="GeoJSON geometry", reason=str(error)[:80]) from error
    if made.is_empty or not made.is_valid or not all(math.isfinite(edge) for edge in made.bounds):
        raise Refused("bad_places", field="areas", limit="GeoJSON geometry", reason="a shape that crosses itself")
    return made
