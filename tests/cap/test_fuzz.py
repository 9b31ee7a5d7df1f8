"""Whatever comes in, a verdict comes out, with words for its code, and soon."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from controller.cap.areas import KnownAreas
from controller.cap.judgement import Terms
from controller.cap.places import known_areas
from loa.problems import PROBLEMS
from tests.cap.base import BASE, CAP, NOW, base, verdicts
from tests.cap.test_areas import CSV
from tests.cap.test_signature import DS, pinned, rsa_key, signed

KNOWN: KnownAreas = known_areas(CSV.encode(), "quang-ninh", "Quảng Ninh")
TERMS = Terms(at=NOW, known=KNOWN, pinned=pinned(kttv=rsa_key("a")))
SIGNED = etree.tostring(signed(base(), rsa_key("a")), encoding="utf-8")
many = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def judged(data: bytes) -> list[str]:
    found = verdicts(data, TERMS)
    assert found
    for one in found:
        assert one.code in PROBLEMS
        assert one.refused is (one.problem is not None)
        assert (one.kind is None) is one.refused
    return [one.code for one in found]


@many
@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    judged(data)


@many
@given(st.sampled_from([BASE.encode(), SIGNED, BASE.encode("utf-16")]), st.data())
def test_an_alert_with_bytes_changed(data: bytes, draw: st.DataObject) -> None:
    """Cut out, doubled or overwritten anywhere."""
    start = draw.draw(st.integers(0, len(data)))
    end = draw.draw(st.integers(start, min(len(data), start + 200)))
    judged(data[:start] + draw.draw(st.binary(max_size=40) | st.just(data[start:end] * 2)) + data[end:])


PATHS = sorted({str(one.tag) for one in base().iter(etree.Element)})


@many
@given(st.sampled_from(PATHS), st.text(max_size=60) | st.from_regex(r"[-+0-9.,TZ: ]{0,60}"))
def test_any_text_in_any_element(tag: str, text: str) -> None:
    alert = base()
    for element in alert.iter(tag):
        if element is not alert:
            try:
                element.text = text
            except ValueError:  # no character of XML
                return
    judged(etree.tostring(alert, encoding="utf-8"))


@many
@given(st.sampled_from(sorted({str(one.tag) for one in etree.fromstring(SIGNED).iter(f"{DS}*")})), st.data())
def test_any_signature(tag: str, draw: st.DataObject) -> None:
    """Elements of a signature left out, doubled, emptied or filled with something: never an exception, never verified
    unless nothing of it counts."""
    alert = etree.fromstring(SIGNED)
    for element in list(alert.iter(tag)):
        match draw.draw(st.sampled_from(["remove", "double", "text", "attribute"])):
            case "remove" if (parent := element.getparent()) is not None:
                parent.remove(element)
            case "double" if (parent := element.getparent()) is not None:
                parent.append(etree.fromstring(etree.tostring(element)))
            case "text":
                element.text = draw.draw(st.from_regex(r"[A-Za-z0-9+/=]{0,80}", fullmatch=True))
            case _:
                element.set(
                    "Algorithm", draw.draw(st.sampled_from(["", "x", "http://www.w3.org/2000/09/xmldsig#sha1"]))
                )
    judged(etree.tostring(alert))


NUMBERS = st.floats(-200, 200, allow_nan=False).map(lambda one: f"{one:.3f}") | st.sampled_from(
    ["NaN", "", "1e3", "-0"]
)


@many
@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=12), st.booleans())
def test_any_polygon(points: list[tuple[str, str]], close: bool) -> None:
    points = [*points, points[0]] if close and points else points
    text = " ".join(",".join(one) for one in points)
    shape = "20.9,107.7 20.9,107.85 21.05,107.85 21.05,107.7 20.9,107.7"
    assert judged(BASE.replace(shape, text).encode())[0] in {"accepted", "bad_polygon"}


def box(south: float, west: float, size: float) -> str:
    corners = ((south, west), (south, west + size), (south + size, west + size), (south + size, west), (south, west))
    return " ".join(f"{latitude:.2f},{longitude:.2f}" for latitude, longitude in corners)


def seconds(data: bytes) -> float:
    start = time.process_time()
    judged(data)
    return time.process_time() - start


@pytest.mark.slow
def test_what_is_made_to_take_long_does_not() -> None:
    """Seconds of processor time; each would take minutes if something in it grew with the square of its size."""
    star = " ".join(f"{(n * 7919) % 9973 / 200 - 20:.4f},{(n * 104729) % 9967 / 200 + 90:.4f}" for n in range(60_000))
    star += " " + star.split(" ", 1)[0]
    shape = "20.9,107.7 20.9,107.85 21.05,107.85 21.05,107.7 20.9,107.7"
    spikes = " ".join(f"{20 + n / 30_000:.6f},{107 + n % 2} 20,106" for n in range(30_000))
    boxes = "".join(
        f"<polygon>{box(15 + n * 7919 % 997 / 100, 105 + n * 104729 % 991 / 100, 1 + n % 30 / 10)}</polygon>"
        for n in range(20_000)
    )
    named = "".join(f"<area><areaDesc>xã số {n}, Hải Hà</areaDesc></area>" for n in range(20_000))
    heavy = {
        "a ring of crossings": BASE.replace(shape, star),
        "a ring of spikes": BASE.replace(shape, f"20,106 {spikes}"),
        "many circles": BASE.replace("<circle>", "<circle>21,107 1</circle>" * 5000 + "<circle>"),
        "many polygons": BASE.replace("<polygon>", boxes + "<polygon>", 1),
        "many areas": BASE.replace("<area>", named + "<area>", 1),
        "many references": BASE.replace("<references>", "<references>" + "a,b,2026-09-07T02:00:00Z " * 50_000),
        "many empty alerts": "<a>" + f'<alert xmlns="{CAP}"/>' * 2000 + "</a>",
        "many documents": "<a/>" * 100_000,
        "many names": BASE.replace("đặc khu Cô Tô", "xã Hải Hà, " * 100_000),
        "many comments": BASE.replace("Trực ban", "<!-- -->a" * 100_000),
        "spaces": BASE.replace("Trực ban", " " * 4_000_000).replace("<note>", "<note>" + " \n" * 1_000_000),
        "a declaration without end": "<?xml " + " " * 1_000_000,
    }
    took = {name: seconds(text.encode()) for name, text in heavy.items()}
    assert {name: second for name, second in took.items() if second > 20} == {}
