"""Areas from a GeoJSON file: what is wrong names its feature, all is taken or nothing, and a dry run keeps nothing."""

from copy import deepcopy
from typing import Any

import pytest

from tests.api.office import AREA, Office

pytestmark = pytest.mark.asyncio(loop_scope="session")
SQUARE = [[107.7, 20.9], [107.9, 20.9], [107.9, 21.1], [107.7, 21.1], [107.7, 20.9]]
BOW = [[107.7, 20.9], [107.9, 21.1], [107.9, 20.9], [107.7, 21.1], [107.7, 20.9]]
PATH = "/api/v1/areas/import"


def _feature(path: str, ring: list[Any] | None = SQUARE, **properties: Any) -> dict[str, Any]:
    geometry = None if ring is None else {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "properties": {"path": path, **properties}, "geometry": geometry}


def _file(*features: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "name": "as map programs write it", "features": list(features)}


async def test_areas_are_added_and_changed(office: Office) -> None:
    village = _feature(f"{AREA}/thon-hai", None, name="Thôn Hai", kind="thôn", population=412, OBJECTID=7)
    known = _feature(AREA, population=7151, languages=["vi"])
    body = _file(village, known)  # the village before what it lies in: the order does not matter
    tried = await office.ok("POST", f"{PATH}?dry_run=true", json=body)
    assert tried == {"dry_run": True, "added": [f"{AREA}/thon-hai"], "changed": [AREA], "unchanged": []}
    await office.refused(404, "not_found", "GET", f"/api/v1/areas/{AREA}/thon-hai")
    assert await office.ok("POST", PATH, json=body) == tried | {"dry_run": False}
    found = await office.ok("GET", f"/api/v1/areas/{AREA}")
    assert (found["name"], found["population"], found["languages"]) == ("Cô Tô", 7151, ["vi"])
    assert found["geometry"] == known["geometry"]
    again = await office.ok("POST", PATH, json=body)
    assert again["unchanged"] == [AREA, f"{AREA}/thon-hai"]
    shown = {item["path"]: item for item in (await office.ok("GET", "/api/v1/areas"))["items"]}
    assert (shown[AREA]["has_geometry"], shown[f"{AREA}/thon-hai"]["population"]) == (True, 412)
    assert "geometry" not in shown[AREA]


BAD: list[tuple[str, Any]] = [
    ("crosses itself", {"type": "Polygon", "coordinates": [BOW]}),
    ("is open", {"type": "Polygon", "coordinates": [SQUARE[:-1]]}),
    ("three positions", {"type": "Polygon", "coordinates": [SQUARE[:3]]}),
    ("latitude first", {"type": "Polygon", "coordinates": [[[y, x] for x, y in SQUARE]]}),
    ("a point", {"type": "Point", "coordinates": [107.7, 20.9]}),
    ("a hole outside", {"type": "Polygon", "coordinates": [SQUARE, [[x + 5, y] for x, y in SQUARE]]}),
    ("text", {"type": "Polygon", "coordinates": [[["a", "b"]] * 4]}),
    ("nothing", {"type": "MultiPolygon", "coordinates": []}),
    ("no list", {"type": "MultiPolygon", "coordinates": 7}),
    ("in metres", {"type": "Polygon", "coordinates": [[[x * 1e5, y * 1e5] for x, y in SQUARE]]}),
]


@pytest.mark.parametrize("geometry", [row[1] for row in BAD], ids=[row[0] for row in BAD])
async def test_a_bad_shape_names_its_feature_and_keeps_nothing(office: Office, geometry: Any) -> None:
    good = _feature(f"{AREA}/thon-moi", name="Thôn Mới")
    bad = _feature("quang-ninh/van-don", name="Vân Đồn") | {"geometry": geometry}
    problem = await office.refused(422, "bad_polygon", "POST", PATH, json=_file(good, bad))
    assert problem["field"] == "features.1.geometry"
    assert "quang-ninh/van-don" in problem["title"]
    await office.refused(404, "not_found", "GET", f"/api/v1/areas/{AREA}/thon-moi")


async def test_what_else_is_wrong_in_a_file(office: Office) -> None:
    twice = _feature(AREA, population=1)
    await office.refused(409, "already_exists", "POST", PATH, json=_file(twice, deepcopy(twice)))
    orphan = _feature("quang-ninh/nowhere/thon-1", name="X")
    found = await office.refused(404, "not_found", "POST", PATH, json=_file(twice, orphan))
    assert found["field"] == "features.1.properties.path"
    nameless = await office.refused(422, "field_required", "POST", PATH, json=_file(_feature("quang-ninh/moi")))
    assert nameless["field"] == "features.0.properties.name"
    await office.refused(422, "bad_area_path", "POST", PATH, json=_file(_feature("lang-son", name="Lạng Sơn")))
    await office.refused(422, "bad_value", "POST", PATH, json=_file())
    await office.refused(422, "bad_value", "POST", PATH, json=_file(_feature(AREA, population=-1)))
    assert (await office.ok("GET", f"/api/v1/areas/{AREA}"))["population"] != 1
