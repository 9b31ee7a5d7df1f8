"""What we write in CAP we read as the same; it is valid by our own judgement and by the order of the schema."""

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from controller.cap.elements import Node
from controller.cap.geometry import ring
from controller.cap.judgement import Terms, judge_file
from controller.cap.memory import content_digest
from controller.cap.model import Alert, AlertArea, Circle, Info, MsgType, Pair, Reference, Resource, Scope, Status
from controller.cap.outlines import rings_of
from controller.cap.parsing import parsed
from controller.cap.reading import read
from controller.cap.signature import PinnedKeys, pinned_key
from controller.cap.signing import signer_of
from controller.cap.values import CATEGORIES, CERTAINTIES, RESPONSE_TYPES, SEVERITIES, URGENCIES
from controller.cap.writing import FeedEntry, document, feed, written, xml_text
from loa.errors import Refused
from loa.units import InstantMs
from tests.cap.base import BASE, NOW, base, sample, verdicts
from tests.cap.test_signature import Private, ec_key, pem, rsa_key

_SPACE = " \t\r\n\u00a0\ufeff\u200b"
texts = st.text(max_size=60).map(lambda one: xml_text(one).strip(_SPACE))
some = texts.filter(bool)
plain = some.filter(str.isprintable)
names = st.from_regex(r"[A-Za-z0-9@._-]{1,40}", fullmatch=True)
instants = st.integers(0, 4_000_000_000).map(lambda one: InstantMs(one * 1000))
degrees = st.integers(-89_000_000, 89_000_000).map(lambda one: one / 1_000_000)
pairs = st.lists(st.builds(Pair, texts, texts), max_size=2).map(tuple)
feet = st.none() | st.integers(-1000, 100_000).map(lambda one: one / 10)


def chosen(words: frozenset[str], least: int = 0) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(sorted(words)), min_size=least, max_size=3).map(tuple)


@st.composite
def rings(draw: st.DrawFn) -> Any:
    south, west = draw(degrees), draw(degrees)
    tall, wide = (draw(st.integers(1, 900)) / 1000 for _ in range(2))
    corners = ((south, west), (south, west + wide), (south + tall, west + wide), (south + tall, west), (south, west))
    text = " ".join(f"{latitude:.6f},{longitude:.6f}" for latitude, longitude in corners)
    return ring(text, "polygon")


areas = st.builds(
    AlertArea,
    description=some,
    polygons=st.lists(rings(), max_size=2).map(tuple),
    circles=st.lists(
        st.builds(Circle, degrees, degrees, st.integers(0, 20_000_000).map(lambda one: one / 1000)), max_size=2
    ).map(tuple),
    geocodes=pairs, altitude=feet, ceiling=feet,
)  # fmt: skip
infos = st.builds(
    Info,
    language=names, categories=chosen(CATEGORIES, 1), event=some, response_types=chosen(RESPONSE_TYPES),
    urgency=st.sampled_from(sorted(URGENCIES)), severity=st.sampled_from(sorted(SEVERITIES)),
    certainty=st.sampled_from(sorted(CERTAINTIES - {"Very Likely"})), audience=texts, event_codes=pairs,
    effective=st.none() | instants, onset=st.none() | instants, expires=st.none() | instants, sender_name=texts,
    headline=texts, description=texts, instruction=texts, web=texts, contact=texts, parameters=pairs,
    resources=st.lists(st.builds(Resource, some, some, texts), max_size=1).map(tuple),
    areas=st.lists(areas, max_size=2).map(tuple),
)  # fmt: skip
alerts = st.builds(
    Alert,
    version=st.just("1.2"), identifier=plain, sender=plain, sent=instants, status=st.sampled_from(Status),
    msg_type=st.sampled_from(MsgType), scope=st.sampled_from(Scope), source=texts, restriction=texts, addresses=texts,
    codes=st.lists(some, max_size=2).map(tuple), note=texts,
    references=st.lists(st.builds(Reference, names, names, instants), min_size=1, max_size=3).map(tuple),
    incidents=texts, infos=st.lists(infos, min_size=1, max_size=2).map(tuple),
)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(alerts)
def test_what_is_written_is_read_as_the_same(alert: Alert) -> None:
    element = written(alert)
    (root,) = read(document(element))
    assert parsed(Node(root)) == alert
    assert in_schema_order(element)


def test_an_alert_of_somebody_else_is_written_as_it_was_read() -> None:
    for data in (BASE.encode(), *(sample("cap", f"{one}.cap").read_bytes() for one in SAMPLES)):
        for one in verdicts(data, Terms(at=None)):
            assert one.alert is not None
            again = parsed(Node(read(document(written(one.alert)))[0]))
            assert content_digest(again) == content_digest(replace(one.alert, version="1.2"))


SAMPLES = ("canada-signed", "canada-two-languages", "earthquake", "tsunami-update", "weather")


ORDER = {
    "alert": "identifier sender sent status msgType source scope restriction addresses code note references incidents "
    "info Signature",
    "info": "language category event responseType urgency severity certainty audience eventCode effective onset "
    "expires senderName headline description instruction web contact parameter resource area",
    "resource": "resourceDesc mimeType size uri derefUri digest",
    "area": "areaDesc polygon circle geocode altitude ceiling",
    "eventCode": "valueName value", "parameter": "valueName value", "geocode": "valueName value",
}  # fmt: skip
"""As the schema of CAP 1.2 has it (section 3.4)."""


def in_schema_order(element: etree._Element) -> bool:
    for one in element.iter(etree.Element):
        name = etree.QName(one).localname
        places = [ORDER[name].split().index(etree.QName(child).localname) for child in one] if name in ORDER else []
        if places != sorted(places):
            return False
    return True


def test_the_order_is_looked_at() -> None:
    wrong = base()
    wrong.append(wrong[0])
    assert in_schema_order(base())
    assert not in_schema_order(wrong)


def test_a_feed_is_judged_alert_by_alert() -> None:
    one = parsed(Node(base()))
    entries = [FeedEntry(f"https://loa.example/{n}.xml", "Bão & lũ", NOW, written(one)) for n in range(2)]
    data = feed(entries, url="https://loa.example/out.atom", title="Cảnh báo", author="loa", updated=NOW)
    assert [(found.place, found.code) for found in judge_file(data, Terms(at=NOW))] == [
        (1, "accepted"), (2, "already_known"),
    ]  # fmt: skip
    assert judge_file(data, Terms(at=NOW))[0].alert == one


def private_pem(key: Private, passphrase: bytes | None = None) -> bytes:
    sealed = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed)


@pytest.mark.parametrize("key", [rsa_key("a"), ec_key("a")])
def test_our_signature_holds_by_itself_and_in_a_feed(key: Private) -> None:
    signer = signer_of(private_pem(key), pem(key))
    alert = signer.signed(written(parsed(Node(base()))))
    assert in_schema_order(alert)
    terms = Terms(at=NOW, pinned=PinnedKeys({pinned_key(pem(key)): "loa"}))
    data = feed([FeedEntry("u", "t", NOW, alert)], url="u", title="t", author="a", updated=NOW)
    for form in (document(alert), data):
        (one,) = judge_file(form, terms)
        assert one.signature is not None
        assert (one.code, one.signature.state, one.signature.signer) == ("accepted", "verified", "loa")
    (spoiled,) = judge_file(document(alert).replace("Vào nơi trú ẩn".encode(), "Ra khơi".encode()), terms)
    assert spoiled.code == "signature_invalid"


def test_keys_that_cannot_sign() -> None:
    good = private_pem(rsa_key("a"))
    for key, certificate in (
        (b"", pem(rsa_key("a"))), (good, b""), (good, pem(rsa_key("b"))), (good, pem(ec_key("a"))),
        (private_pem(rsa_key("a"), b"words"), pem(rsa_key("a"))),
    ):  # fmt: skip
        with pytest.raises(Refused, match="bad_key_file"):
            signer_of(key, certificate)


def test_shapes_become_rings_that_can_be_read() -> None:
    box = [[107.0, 20.0], [108.0, 20.0], [108.0, 21.0], [107.0, 21.0], [107.0, 20.0]]
    hole = [[107.4, 20.4], [107.6, 20.4], [107.6, 20.6], [107.4, 20.4]]
    assert rings_of({"type": "Polygon", "coordinates": [box, hole]}) == (
        ((20.0, 107.0), (20.0, 108.0), (21.0, 108.0), (21.0, 107.0), (20.0, 107.0)),
    )  # fmt: skip
    small = [[107.0, 22.0], [107.1, 22.0], [107.1, 22.1], [107.0, 22.0]]
    assert len(rings_of({"type": "MultiPolygon", "coordinates": [[small], [box]]})) == 2
    tiny = [[107.0, 22.0], [107.000001, 22.0], [107.000001, 22.000001], [107.0, 22.0]]
    assert rings_of({"type": "Polygon", "coordinates": [tiny]}) == (), "rounded away"
    for bad in (None, {}, {"type": "Point", "coordinates": [1, 2]}, {"type": "Polygon", "coordinates": "x"}):
        assert rings_of(bad) == ()


@given(st.text())
def test_any_text_can_be_written(text: str) -> None:
    alert = parsed(Node(base()))
    element = written(replace(alert, note=text))
    (root,) = read(document(element))
    assert parsed(Node(root)).note == xml_text(text).strip(_SPACE)
