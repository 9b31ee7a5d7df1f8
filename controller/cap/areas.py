"""Where of ours an alert is for: by code, by shape, and, only to propose, by name."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from shapely import Point
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from controller.cap.geometry import circle_reaches, covers_point, ring, shape
from controller.cap.model import Alert, AlertArea, Pair
from controller.cap.names import bare, folded, is_province, parts
from loa.errors import Refused
from loa.names import AreaPath

SLACK_KM: Final = 1.0
"""How far beside a shape a place known by one approximate point may lie and still be in it."""


OUR_SCHEMES: Final = frozenset(
    {"loa", "gso", "gso_code", "vn:gso", "iso_code", "iso3166-2", "cap_code", "profile:cap-vn:location"}
)
"""How alerts name the schemes of our codes (a geocode's valueName), versions at their ends left out: our own `loa`, the
statistics office's, ISO 3166-2, a national profile's. The same number under SAME or FIPS6 is a place in America."""
NEAR_KM: Final = 100.0
"""Shapes that come no nearer than this to any place we can locate are not for those that we cannot locate either."""


@dataclass(frozen=True)
class KnownArea:
    """A place of ours: its path, its name, other codes that stand for it, and where it is, if we know.

    `place` is a shape or a point, (longitude, latitude) in degrees.
    """

    path: AreaPath
    name: str
    codes: frozenset[str] = frozenset()
    place: BaseGeometry | None = None


@dataclass(frozen=True)
class Named:
    """An area that the alert only names, and the places of ours that may be meant. A person decides."""

    description: str
    proposed: tuple[AreaPath, ...]


@dataclass(frozen=True)
class AreaMatch:
    """Places matched by code or shape; areas known only by name; areas that are nowhere here.

    unplaced: how many places of ours could not be held against the alert's shapes since we do not know where they are.
    unknown: codes like ours (`name=value`) of schemes that are not known to be: they count for nothing.
    """

    matched: tuple[AreaPath, ...]
    named: tuple[Named, ...]
    elsewhere: tuple[str, ...]
    unplaced: int = 0
    unknown: tuple[str, ...] = ()

    @property
    def anywhere(self) -> bool:
        """Whether something of ours is, or may be, meant."""
        return bool(self.matched) or any(one.proposed for one in self.named)


@dataclass(frozen=True)
class KnownAreas:
    """All our places, ready to be looked up."""

    areas: tuple[KnownArea, ...]
    province: KnownArea | None = None
    schemes: frozenset[str] = OUR_SCHEMES
    """In small letters, without versions."""
    _by_code: Mapping[str, tuple[AreaPath, ...]] = field(init=False, repr=False, compare=False)
    _by_name: Mapping[str, tuple[KnownArea, ...]] = field(init=False, repr=False, compare=False)
    _inside: Mapping[AreaPath, tuple[KnownArea, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        codes: dict[str, list[AreaPath]] = {}
        names: dict[str, list[KnownArea]] = {}
        for area in self.all:
            for code in {area.path, area.path.codes[-1], *area.codes}:
                codes.setdefault(code.casefold(), []).append(area.path)
            for name in {bare(area.name), bare(area.name).rstrip(" 0123456789")}:
                names.setdefault(name, []).append(area)
        inside: dict[AreaPath, list[KnownArea]] = {}
        for area in self.areas:
            if area.path.parent is not None:
                inside.setdefault(area.path.parent, []).append(area)
        object.__setattr__(self, "_inside", {path: tuple(found) for path, found in inside.items()})
        object.__setattr__(self, "_by_code", {code: tuple(paths) for code, paths in codes.items()})
        object.__setattr__(self, "_by_name", {name: tuple(found) for name, found in names.items()})

    @property
    def all(self) -> tuple[KnownArea, ...]:
        return (self.province, *self.areas) if self.province else self.areas

    def inside(self, path: AreaPath) -> tuple[KnownArea, ...]:
        """The places right below a place."""
        return self._inside.get(path, ())

    def with_code(self, code: Pair) -> tuple[AreaPath, ...]:
        """The places that a geocode stands for; none where its scheme is not one of ours."""
        return self._alike(code) if scheme(code.name) in self.schemes else ()

    def is_unknown(self, code: Pair) -> bool:
        """Whether a geocode's value is a code of ours, and its scheme is not."""
        return scheme(code.name) not in self.schemes and bool(self._alike(code))

    def _alike(self, code: Pair) -> tuple[AreaPath, ...]:
        return self._by_code.get(code.value.strip().casefold(), ())

    def called(self, description: str) -> tuple[AreaPath, ...]:
        """The places that a description may mean: communes before the province they are in.

        None where it says that it is of another province and not of ours.
        """
        said = [(name, self._called(name)) for name in parts(description)]
        found = [path for _, paths in said for path in paths]
        if self.province is None:
            return tuple(dict.fromkeys(found))
        abroad = any(is_province(name) and not paths for name, paths in said)
        if abroad:
            return tuple(dict.fromkeys(found)) if self.province.path in found else ()
        return tuple(dict.fromkeys([one for one in found if one != self.province.path] or found))

    def _called(self, name: str) -> list[AreaPath]:
        """By the whole name; else by a name in it. Of names that differ by marks alone, the one with these marks."""
        candidates = self._by_name.get(bare(name), ()) or self._mentioned(name)
        marked = [one for one in candidates if _plain(one.name) in _plain(name)]
        return [one.path for one in marked or candidates]

    def _mentioned(self, name: str) -> tuple[KnownArea, ...]:
        inside = f" {folded(name)} "
        return tuple(
            one for key, found in self._by_name.items() if " " in key and f" {key} " in inside for one in found
        )


def scheme(name: str) -> str:
    """A valueName as it is compared: profile:CAP-VN:Location:0.3 and profile:cap-vn:location are one."""
    front, _, version = name.strip().casefold().rpartition(":")
    return front if front and version.replace(".", "").isdigit() else name.strip().casefold()


def schemes_with(more: Iterable[str]) -> frozenset[str]:
    """The usual ones, and these."""
    return OUR_SCHEMES | {scheme(one) for one in more if one.strip()}


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def match(alert: Alert, known: KnownAreas) -> AreaMatch:
    """Hold each area of an alert against ours."""
    matched: dict[AreaPath, None] = {}
    named: list[Named] = []
    elsewhere: dict[str, None] = {}
    unknown: dict[str, None] = {}
    doubtful = False
    for area in dict.fromkeys(area for info in alert.infos for area in info.areas):
        found = [path for code in area.geocodes for path in known.with_code(code)]
        unknown.update({f"{code.name}={code.value}": None for code in area.geocodes if known.is_unknown(code)})
        shaped, near = bool(area.polygons or area.circles), False
        if shaped:
            places, near = _by_shape(area, known)
            found += places
            doubtful = doubtful or near
        proposed = () if found or (shaped and not near) else known.called(area.description)
        if found:
            matched.update(dict.fromkeys(found))
        elif proposed or not (shaped or area.geocodes):
            named.append(Named(area.description, proposed))
        else:
            elsewhere[area.description] = None
    unplaced = sum(one.place is None for one in known.areas) if doubtful else 0
    return AreaMatch(_widest(matched), tuple(named), tuple(elsewhere), unplaced, tuple(unknown))


def _by_shape(area: AlertArea, known: KnownAreas) -> tuple[list[AreaPath], bool]:
    """Our places that the shapes hold, and whether the shapes are anywhere near ours."""
    enclosed = _enclosed(area)
    found: list[AreaPath] = []
    # Where we know of no place where it is, nothing can be said to be far from them.
    near = all(one.place is None for one in known.areas)
    for one in known.areas:
        if one.place is None:
            continue
        held = enclosed is not None and _meets(enclosed, one.place)
        if held or any(circle_reaches(round_, one.place, _slack(one.place)) for round_ in area.circles):
            found.append(one.path)
        near = near or bool(found) or _is_near(area, enclosed, one.place)
    return _narrowed(found, known), near


def _narrowed(found: list[AreaPath], known: KnownAreas) -> list[AreaPath]:
    """Where we know where all villages of a commune are and the shapes reach some of them: those, not all of it."""
    reached = set(found)
    kept = []
    for path in found:
        inside = known.inside(path)
        within = sum(one.path in reached for one in inside)
        if not (0 < within < len(inside) and all(one.place is not None for one in inside)):
            kept.append(path)
    return kept


def _enclosed(area: AlertArea) -> BaseGeometry | None:
    """What the polygons hold, without the holes that Germany's service cuts as geocodes named EXCLUDE_POLYGON."""
    shapes = [held for one in area.polygons if (held := shape(one)) is not None]
    holes = [hole for one in area.geocodes if one.name == "EXCLUDE_POLYGON" and (hole := _hole(one.value)) is not None]
    if not shapes:
        return None
    return unary_union(shapes).difference(unary_union(holes)) if holes else unary_union(shapes)


def _hole(text: str) -> BaseGeometry | None:
    """None for one that cannot be read: then the alert is for too many rather than too few."""
    try:
        return shape(ring(text, "info.area.geocode"))
    except Refused:
        return None


def _is_near(area: AlertArea, enclosed: BaseGeometry | None, place: BaseGeometry) -> bool:
    middle = place.centroid
    if enclosed is not None and covers_point(enclosed, middle.y, middle.x, NEAR_KM):
        return True
    return any(circle_reaches(round_, place, NEAR_KM) for round_ in area.circles)


def _meets(enclosed: BaseGeometry, place: BaseGeometry) -> bool:
    """Share more than a border, for a place with a shape; contain it, for one that is a point."""
    if isinstance(place, Point):
        return covers_point(enclosed, place.y, place.x, SLACK_KM)
    return bool(enclosed.intersects(place)) and not enclosed.touches(place)


def _slack(place: BaseGeometry) -> float:
    return SLACK_KM if isinstance(place, Point) else 0.0


def _widest(paths: Iterable[AreaPath]) -> tuple[AreaPath, ...]:
    """Without those that lie in another of them, in order."""
    kept = sorted(set(paths))
    return tuple(path for path in kept if not any(other != path and other.covers(path) for other in kept))
