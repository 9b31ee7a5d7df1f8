"""Where of ours an alert is for: by code, polygon, circle; by name only as a proposal."""

import json

import pytest

from controller.cap.areas import KnownAreas, schemes_with
from controller.cap.geometry import covers_point, shape
from controller.cap.judgement import Terms, Verdict
from controller.cap.model import Pair
from controller.cap.names import bare, folded
from controller.cap.places import known_areas
from loa.errors import Refused
from tests.cap.base import BASE, NOW, Change, put, removed, sample, spoiled, verdict

CSV = """code,name,kind,terrain,latitude_approx,longitude_approx
co-to,Cô Tô,đặc khu,island,20.97,107.77
van-don,Vân Đồn,đặc khu,island,21.07,107.42
cai-chien,Cái Chiên,xã,island,21.31,107.76
mong-cai-1,Móng Cái 1,phường,land-border,21.53,107.97
mong-cai-2,Móng Cái 2,phường,,,
hai-ha,Hải Hà,xã,,,
hai-hoa,Hải Hòa,xã,,,
thong-nhat,Thống Nhất,xã,,,
"""
ALL_SHAPES = ("info.area.polygon", "info.area.circle", "info.area.geocode")


@pytest.fixture(scope="module")
def known() -> KnownAreas:
    return known_areas(CSV.encode(), "quang-ninh", "Quảng Ninh")


def only(description: str, **elements: str) -> bytes:
    """The base with one info and one area, of which only this is left."""
    area = f"<areaDesc>{description}</areaDesc>"
    area += "".join(
        f"<geocode><valueName>loa</valueName><value>{text}</value></geocode>"
        if name == "geocode"
        else f"<{name}>{text}</{name}>"
        for name, text in elements.items()
    )
    start, end = BASE.index("<area>") + len("<area>"), BASE.index("</area>")
    first = BASE[:start] + area + BASE[end : BASE.index("</info>") + len("</info>")]
    return (first + "</alert>").encode()


def judged(data: bytes, known: KnownAreas) -> Verdict:
    return verdict(data, Terms(at=NOW, known=known))


def matched(data: bytes, known: KnownAreas) -> list[str]:
    one = judged(data, known)
    assert one.areas is not None
    assert (one.code == "area_unknown") is not one.areas.anywhere
    return [path.removeprefix("quang-ninh/") for path in one.areas.matched]


def proposed(description: str, known: KnownAreas) -> list[str]:
    one = judged(only(description), known)
    assert one.areas is not None
    assert not one.areas.matched
    (named,) = one.areas.named
    assert named.description == description
    assert one.code == ("accepted" if named.proposed else "area_unknown")
    return [path.removeprefix("quang-ninh/") for path in named.proposed]


CODES = {
    "co-to": ["co-to"],
    "CO-TO": ["co-to"],
    "quang-ninh/co-to": ["co-to"],
    "quang-ninh": ["quang-ninh"],
    "AKZ185": [],
}


@pytest.mark.parametrize("code", CODES)
def test_by_code(code: str, known: KnownAreas) -> None:
    assert matched(only("?", geocode=code), known) == CODES[code]


POLYGONS = {
    "20.9,107.7 20.9,107.85 21.05,107.85 21.05,107.7 20.9,107.7": ["co-to"],
    "20.9,107.3 20.9,107.85 21.2,107.85 21.2,107.3 20.9,107.3": ["co-to", "van-don"],
    "19,106 19,109 22,109 22,106 19,106": ["cai-chien", "co-to", "mong-cai-1", "van-don"],
    "10,106 10,107 11,107 11,106 10,106": [],
    "20.975,107.7 20.975,107.85 21.05,107.85 21.05,107.7 20.975,107.7": ["co-to"],
}


@pytest.mark.parametrize("polygon", POLYGONS)
def test_by_polygon(polygon: str, known: KnownAreas) -> None:
    assert matched(only("?", polygon=polygon), known) == POLYGONS[polygon]


CIRCLES = {
    "20.97,107.77 0": ["co-to"],
    "20.97,107.77 10": ["co-to"],
    "20.97,107.77 39": ["cai-chien", "co-to", "van-don"],
    "20.97,107.77 36": ["co-to"],
    "20.97,107.77 36.9": ["cai-chien", "co-to"],
    "21.2,107.6 0": [],
    "21.2,107.6 1000": ["cai-chien", "co-to", "mong-cai-1", "van-don"],
    "-16.053,-173.274 0.0": [],
}


@pytest.mark.parametrize("circle", CIRCLES)
def test_by_circle_with_kilometres(circle: str, known: KnownAreas) -> None:
    """Cô Tô to Vân Đồn is 38.0 km and to Cái Chiên 37.8 km by the haversine formula; a point may be a kilometre off."""
    assert matched(only("?", circle=circle), known) == CIRCLES[circle]


def geojson(*features: tuple[str, str, object]) -> bytes:
    return json.dumps(
        {
            "type": "FeatureCollection",
            "features": [
                {"type": "Feature", "properties": {"code": code, "name": name}, "geometry": geometry}
                for code, name, geometry in features
            ],
        }
    ).encode()


def box(west: float, south: float, east: float, north: float) -> dict[str, object]:
    return {
        "type": "Polygon",
        "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
    }


def test_shapes_of_ours() -> None:
    known = known_areas(
        geojson(
            ("co-to", "Cô Tô", box(107.7, 20.9, 107.85, 21.05)),
            ("van-don", "Vân Đồn", box(107.3, 20.9, 107.7, 21.2)),
            ("mong-cai", "Móng Cái", {"type": "Point", "coordinates": [107.97, 21.53]}),
            ("ba-che", "Ba Chẽ", None),
        ),
        "quang-ninh",
    )
    assert matched(only("?", circle="21.0,107.75 0"), known) == ["co-to"]
    assert matched(only("?", circle="20.97,107.86 0.5"), known) == []
    assert matched(only("?", circle="20.97,107.86 1.5"), known) == ["co-to"]
    assert matched(only("?", polygon="20.95,107.69 20.95,107.71 21,107.71 21,107.69 20.95,107.69"), known) == [
        "co-to",
        "van-don",
    ]
    shared_border = "20.9,107.85 20.9,107.95 21.05,107.95 21.05,107.85 20.9,107.85"
    assert matched(only("?", polygon=shared_border), known) == []
    one = judged(only("?", circle="21.0,107.75 0"), known)
    assert one.areas is not None
    assert one.areas.unplaced == 1


def test_a_shape_over_the_date_line() -> None:
    enclosed = shape(((-17, 179), (-17, -179), (-18, -179), (-18, 179), (-17, 179)))
    assert enclosed is not None
    inside = [
        longitude for longitude in (179.5, -179.5, 180, 0, 178, -178) if covers_point(enclosed, -17.5, longitude, 0)
    ]
    assert inside == [179.5, -179.5, 180]


def test_names_without_their_marks() -> None:
    assert folded("  Đầm\u00a0HÀ ") == "dam ha"
    assert [bare(one) for one in ("X. Đầm Hà", "TP.Hạ Long", "thị trấn Cô Tô", "Xã", "Ba Chẽ district")] == [
        *("dam ha", "ha long", "co to", "xa", "ba che")
    ]


NAMES = {
    "Cô Tô": ["co-to"],
    "đặc khu Cô Tô": ["co-to"],
    "ĐẶC KHU CÔ TÔ": ["co-to"],
    "Huyện đảo Cô Tô, tỉnh Quảng Ninh": ["co-to"],
    "thị trấn Cô Tô": ["co-to"],
    "TT. Cô Tô": ["co-to"],
    "Co To": ["co-to"],
    "Co To special zone": ["co-to"],
    "Co\u0302 To\u0302": ["co-to"],
    "xã Cái Chiên và đặc khu Vân Đồn": ["cai-chien", "van-don"],
    "Các xã: Cái Chiên; Thống Nhất": ["cai-chien", "thong-nhat"],
    "phường Móng Cái 1": ["mong-cai-1"],
    "Thành phố Móng Cái": ["mong-cai-1", "mong-cai-2"],
    "xã Hải Hoà": ["hai-hoa"],
    "Hải Hà": ["hai-ha"],
    "hai ha": ["hai-ha"],
    "Tỉnh Quảng Ninh": [""],
    "Quảng Ninh": [""],
    "Ven biển Quảng Ninh - Hải Phòng": [""],
    "Vùng biển phía đông đảo Cô Tô": ["co-to"],
    "xã Thống Nhất, tỉnh Đồng Nai": [],
    "Hà Nội": [],
    "Humboldt": [],
}


@pytest.mark.parametrize("description", NAMES)
def test_a_name_alone_is_shown_with_what_it_may_mean(description: str, known: KnownAreas) -> None:
    expected = [one or "quang-ninh" for one in NAMES[description]]
    assert proposed(description, known) == expected


def test_a_polygon_over_a_place_that_we_cannot_locate_proposes_it_by_name(known: KnownAreas) -> None:
    near = "21.4,107.8 21.4,107.9 21.45,107.9 21.45,107.8 21.4,107.8"
    one = judged(only("xã Hải Hà", polygon=near), known)
    assert one.areas is not None
    assert one.code == "accepted"
    assert [str(path) for path in one.areas.named[0].proposed] == ["quang-ninh/hai-ha"]
    assert one.areas.unplaced == 4
    far = "10,106 10,107 11,107 11,106 10,106"
    assert judged(only("xã Hải Hà", polygon=far), known).code == "area_unknown"


WITHOUT: list[Change] = [removed(path) for path in ALL_SHAPES]


def test_a_cancel_goes_where_what_it_cancels_went(known: KnownAreas) -> None:
    elsewhere = only("Humboldt", geocode="AKZ185").replace(b">Alert<", b">Cancel<")
    assert judged(elsewhere, known).code == "accepted"
    assert judged(only("Humboldt", geocode="AKZ185"), known).code == "area_unknown"


def test_an_alert_without_any_area_is_for_nobody(known: KnownAreas) -> None:
    assert judged(spoiled(removed("info.area"), lambda alert: alert.remove(alert[-1])), known).code == "area_unknown"


HOLES = {
    "21.0,107.35 21.0,107.5 21.15,107.5 21.15,107.35 21.0,107.35": ["co-to"],
    "21.0,107.35 21.0,107.5 21.15,107.5 21.15,107.35": ["co-to", "van-don"],
    "20,107 20,109 22,109 22,107 20,107": [],
}


@pytest.mark.parametrize("hole", HOLES)
def test_a_hole_is_not_warned(hole: str, known: KnownAreas) -> None:
    polygon = "20.9,107.3 20.9,107.85 21.2,107.85 21.2,107.3 20.9,107.3"
    data = only("?", polygon=polygon, geocode=hole).replace(b"<valueName>loa<", b"<valueName>EXCLUDE_POLYGON<")
    assert matched(data, known) == HOLES[hole]


def test_features_may_be_named_by_path() -> None:
    features = {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "properties": {"path": "quang-ninh", "name": "Quảng Ninh"}, "geometry": None},
            {"type": "Feature", "properties": {"path": "quang-ninh/co-to", "name": "Cô Tô"}, "geometry": None},
        ],
    }
    known = known_areas(json.dumps(features).encode(), "quang-ninh")
    assert [str(area.path) for area in known.all] == ["quang-ninh", "quang-ninh/co-to"]
    assert known.called("tỉnh Quảng Ninh") == ("quang-ninh",)


def test_both_infos_name_the_same_places_once(known: KnownAreas) -> None:
    one = judged(spoiled(*WITHOUT, put("info.area.areaDesc", "xã Cái Chiên")), known)
    assert one.areas is not None
    assert [str(path) for path in one.areas.matched] == ["quang-ninh/co-to"]
    assert [named.description for named in one.areas.named] == ["xã Cái Chiên"]


def test_the_real_table_of_quang_ninh() -> None:
    known = known_areas(sample("places", "quang-ninh.csv").read_bytes(), "quang-ninh", "Quảng Ninh")
    assert len(known.areas) == 54
    for area in known.areas:
        assert known.called(area.name) == (area.path,), area.name
        assert known.called(f"xã {area.name}, tỉnh Quảng Ninh") == (area.path,), area.name
        assert known.with_code(Pair("loa", area.path)) == (area.path,)


BAD_PLACES = {
    "nothing": b"",
    "no columns": b"a,b\n1,2\n",
    "no rows": b"code,name\n",
    "no name": b"code,name\nco-to,\n",
    "twice": b"code,name\nco-to,A\nco-to,B\n",
    "no number": b"code,name,latitude_approx,longitude_approx\nco-to,A,x,y\n",
    "out of range": b"code,name,latitude_approx,longitude_approx\nco-to,A,107,20\n",
    "NaN": b"code,name,latitude_approx,longitude_approx\nco-to,A,nan,20\n",
    "not UTF-8": b"code,name\nco-to,\xff\n",
    "no features": b'{"type": "FeatureCollection"}',
    "not JSON": b'{"features": [',
    "a feature that is none": b'{"features": [1]}',
    "crossing": geojson(
        ("co-to", "Cô Tô", {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]})
    ),
    "no geometry that we know": geojson(("co-to", "Cô Tô", {"type": "Blob", "coordinates": []})),
}


@pytest.mark.parametrize("name", BAD_PLACES)
def test_a_file_of_places_that_is_none(name: str) -> None:
    with pytest.raises(Refused, match="bad_places"):
        known_areas(BAD_PLACES[name], "quang-ninh")


def test_a_code_that_is_none() -> None:
    with pytest.raises(Refused, match="bad_area_path"):
        known_areas(b"code,name\nC\xc3\xb4 T\xc3\xb4,A\n", "quang-ninh")


def test_where_no_place_of_ours_has_coordinates_names_are_proposed_for_shapes_too() -> None:
    bare_csv = "code,name,kind,terrain,latitude_approx,longitude_approx\nco-to,Cô Tô,đặc khu,island,,\n"
    nowhere = known_areas(bare_csv.encode(), "quang-ninh", "Quảng Ninh")
    one = judged(only("đặc khu Cô Tô", circle="20.97,107.77 5"), nowhere)
    assert one.areas is not None
    assert [named.proposed for named in one.areas.named] == [("quang-ninh/co-to",)]
    assert (one.code, one.areas.matched, one.areas.unplaced) == ("accepted", (), 1)
    assert judged(only("Hawaii", circle="20.97,-157.77 5"), nowhere).code == "area_unknown"


def test_codes_of_a_place_in_geojson_may_be_a_list() -> None:
    properties = {"code": "co-to", "name": "Cô Tô", "codes": ["07207", "VN-13-CT"]}
    features = [{"type": "Feature", "properties": properties, "geometry": None}]
    known = known_areas(json.dumps({"type": "FeatureCollection", "features": features}).encode(), "quang-ninh")
    assert known.with_code(Pair("gso", "07207")) == known.with_code(Pair("ISO3166-2", "vn-13-ct")) == (
        "quang-ninh/co-to",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        ("gso", True), (" GSO ", True), ("profile:CAP-VN:Location:0.3", True), ("loa", True), ("dvhc", False),
        ("SAME", False), ("FIPS6", False), ("UGC", False), ("profile:CAP-CP:Location:0.3", False), ("loa:node", False),
        ("layer:EC-MSC-SMC:1.0:CLC", False), ("", False),
    ],
)  # fmt: skip
def test_a_number_counts_by_its_scheme(name: str, is_ours: bool) -> None:
    """The same six digits are a county in America, a place in Canada or a commune of ours."""
    properties = {"code": "co-to", "name": "Cô Tô", "codes": ["030005"]}
    features = [{"type": "Feature", "properties": properties, "geometry": None}]
    table = json.dumps({"type": "FeatureCollection", "features": features}).encode()
    known = known_areas(table, "quang-ninh")
    code = only("Somewhere", geocode="030005").replace(b"<valueName>loa<", f"<valueName>{name}<".encode())
    assert matched(code, known) == (["co-to"] if is_ours else [])
    if not is_ours and name:
        one = judged(code, known)
        assert one.areas is not None
        assert (one.code, one.areas.unknown) == ("area_unknown", (f"{name}=030005",))
        wider = known_areas(table, "quang-ninh", schemes=schemes_with([name]))
        assert matched(code, wider) == ["co-to"]


def test_by_name_where_its_code_is_of_an_unknown_scheme(known: KnownAreas) -> None:
    """A person looks; the code alone is told. A code that is like none of ours is not worth a word."""
    named = only("đặc khu Cô Tô", geocode="co-to").replace(b"<valueName>loa<", b"<valueName>dvhc<")
    one = judged(named, known)
    assert one.areas is not None
    assert (one.code, one.areas.matched, one.areas.unknown) == ("accepted", (), ("dvhc=co-to",))
    assert [place.proposed for place in one.areas.named] == [("quang-ninh/co-to",)]
    other = judged(only("?", geocode="AKZ185").replace(b"<valueName>loa<", b"<valueName>UGC<"), known)
    assert other.areas is not None
    assert other.areas.unknown == ()


@pytest.mark.parametrize(
    ("polygon", "expected"),
    [
        ("20.0,107.0 20.0,107.4 21.0,107.4 21.0,107.0 20.0,107.0", ["xa-a/thon-1"]),
        ("20.0,107.0 20.0,108.0 21.0,108.0 21.0,107.0 20.0,107.0", ["xa-a"]),
        ("20.0,107.0 20.0,108.4 21.0,108.4 21.0,107.0 20.0,107.0", ["xa-a", "xa-b"]),
    ],
)
def test_a_shape_over_a_part_of_a_commune_means_the_villages_in_it(polygon: str, expected: list[str]) -> None:
    """Where we know where each of them is; of Xã B, one of whose villages we do not know, all of it."""

    def feature(path: str, west: float | None, wide: float = 0.5) -> dict[str, object]:
        shape = None
        if west is not None:
            ring = [[west, 20.2], [west + wide, 20.2], [west + wide, 20.8], [west, 20.8], [west, 20.2]]
            shape = {"type": "Polygon", "coordinates": [ring]}
        return {"type": "Feature", "properties": {"code": path, "name": path}, "geometry": shape}

    features = [
        feature("quang-ninh/xa-a", 107.0, 1.0), feature("quang-ninh/xa-a/thon-1", 107.0),
        feature("quang-ninh/xa-a/thon-2", 107.5), feature("quang-ninh/xa-b", 108.0, 1.0),
        feature("quang-ninh/xa-b/thon-1", 108.0), feature("quang-ninh/xa-b/thon-2", None),
    ]  # fmt: skip
    known = known_areas(json.dumps({"type": "FeatureCollection", "features": features}).encode(), "quang-ninh")
    assert matched(only("x", polygon=polygon), known) == expected
