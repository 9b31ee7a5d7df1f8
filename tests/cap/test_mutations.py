"""An alert spoiled class by class. What is to be said of each stands beside it, fixed beforehand."""

import pytest
from lxml import etree

from loa.problems import explain
from tests.cap.base import BASE, CAP, Change, added, at, base, no_infos, put, removed, said, spoiled, verdict, verdicts

ACCEPTED = ("accepted", None)


def test_the_base_itself_is_accepted() -> None:
    one = verdict(BASE.encode())
    assert (one.code, one.kind, one.refused) == ("accepted", "live", False)
    assert one.alert is not None
    assert [info.language for info in one.alert.infos] == ["vi-VN", "en-US"]
    assert one.alert.infos[0].areas[0].circles[0].radius_km == 12.5
    assert one.alert.references[0].identifier == "vn.kttv.2026.bao-5.0"


REQUIRED = [
    *("identifier", "sender", "sent", "status", "msgType", "scope"),
    *("info.category", "info.event", "info.urgency", "info.severity", "info.certainty"),
    *("info.eventCode.valueName", "info.eventCode.value", "info.parameter.valueName", "info.parameter.value"),
    *("info.resource.resourceDesc", "info.resource.mimeType", "info.area.areaDesc"),
    *("info.area.geocode.valueName", "info.area.geocode.value"),
]
OPTIONAL = [
    *("source", "code", "note", "references", "incidents"),
    *("info.language", "info.responseType", "info.audience", "info.eventCode", "info.effective", "info.onset"),
    *("info.expires", "info.senderName", "info.headline", "info.description", "info.instruction", "info.web"),
    *("info.contact", "info.parameter", "info.resource", "info.resource.uri", "info.area"),
    *("info.area.polygon", "info.area.circle", "info.area.geocode", "info.area.altitude", "info.area.ceiling"),
]
MAY_BE_EMPTY = {
    "info.eventCode.valueName",
    "info.eventCode.value",
    "info.parameter.valueName",
    "info.parameter.value",
} | {
    "info.area.geocode.valueName",
    "info.area.geocode.value",
}


@pytest.mark.parametrize("path", REQUIRED)
def test_a_required_element_removed_is_named(path: str) -> None:
    assert said(spoiled(removed(path))) == ("required_missing", path)


@pytest.mark.parametrize("path", REQUIRED)
def test_a_required_element_that_is_empty_is_missing(path: str) -> None:
    expected = ACCEPTED if path in MAY_BE_EMPTY else ("required_missing", path)
    assert said(spoiled(put(path, " \n "))) == expected


@pytest.mark.parametrize("path", OPTIONAL)
def test_an_optional_element_may_be_left_out(path: str) -> None:
    assert said(spoiled(removed(path))) == ACCEPTED


@pytest.mark.parametrize("path", [one for one in OPTIONAL if base().find(f"{{*}}{one.replace('.', '/{*}')}/*") is None])
def test_an_optional_element_may_be_empty(path: str) -> None:
    assert said(spoiled(put(path, ""))) == ACCEPTED


ENUMERATED = [
    *("status", "msgType", "scope"),
    *("info.category", "info.responseType", "info.urgency", "info.severity", "info.certainty"),
]


@pytest.mark.parametrize("path", ENUMERATED)
@pytest.mark.parametrize("wrong", ["Bogus", "lower", "UPPER", "two"])
def test_a_wrong_enumeration_is_named(path: str, wrong: str) -> None:
    right = at(base(), path).text or ""
    text = {"Bogus": "Bogus", "lower": right.lower(), "UPPER": right.upper(), "two": f"{right} {right}"}[wrong]
    assert said(spoiled(put(path, text))) == ("bad_value", path)


def test_very_likely_is_taken_as_likely_in_every_version() -> None:
    one = verdict(spoiled(put("info.certainty", "Very Likely")))
    assert one.alert is not None
    assert one.alert.infos[0].certainty == "Likely"


DATED = ["sent", "info.effective", "info.onset", "info.expires"]
DATES = {
    "yesterday": "bad_date",
    "2026-09-07": "bad_date",
    "2026-09-07T20:00+07:00": "bad_date",
    "2026-09-07 20:00:00+07:00": "bad_date",
    "07/09/2026 20:00": "bad_date",
    "2026-13-07T20:00:00+07:00": "bad_date",
    "2026-02-30T20:00:00+07:00": "bad_date",
    "2026-09-07T24:30:00+07:00": "bad_date",
    "2026-09-07T20:60:00+07:00": "bad_date",
    "2026-09-07T20:00:00+25:00": "bad_date",
    "2026-09-07T20:00:00+07:75": "bad_date",
    "2026-09-07T20:00:00 ICT": "bad_date",
    "0000-00-00T00:00:00+00:00": "bad_date",
    "٢٠٢٦-09-07T20:00:00+07:00": "bad_date",
    "1788786000": "bad_date",
    "2026-09-07T20:00:00": "timezone_required",
    "2026-09-07T20:00:00.000": "timezone_required",
}


@pytest.mark.parametrize("path", DATED)
@pytest.mark.parametrize("text", DATES)
def test_a_date_that_is_malformed_or_has_no_zone(path: str, text: str) -> None:
    assert said(spoiled(put(path, text))) == (DATES[text], path)


@pytest.mark.parametrize(
    "text",
    [
        "2026-09-07T13:00:00Z",
        "2026-09-07T13:00:00.000Z",
        "2026-09-07T13:00:00-00:00",
        "2026-09-07T20:00:00+0700",
        "\n 2026-09-07T20:00:00+07:00 ",
    ],
)
def test_dates_as_real_alerts_write_them(text: str) -> None:
    one = verdict(spoiled(put("info.expires", text), lambda alert: alert.remove(alert[-1])))
    assert one.code == "accepted"
    assert one.expires == 1788786000000


POLYGONS = {
    "open": "20.9,107.7 20.9,107.9 21.1,107.9 21.1,107.7",
    "self-crossing": "20.9,107.7 21.1,107.9 21.1,107.7 20.9,107.9 20.9,107.7",
    "a star": "0,10 10,-10 -10,4 10,4 -10,-10 0,10",
    "a loop over another": "0,0 0,10 10,10 10,0 0,0 5,20 20,5 0,0",
    "three points": "20.9,107.7 20.9,107.9 20.9,107.7",
    "one point four times": "20.9,107.7 20.9,107.7 20.9,107.7 20.9,107.7",
    "a line and back": "20.9,107.7 21.0,107.7 21.1,107.7 21.0,107.7 20.9,107.7",
    "latitude out of range": "90.5,107.7 20.9,107.9 21.1,107.9 90.5,107.7",
    "longitude out of range": "20.9,187.7 20.9,107.9 21.1,107.9 20.9,187.7",
    "longitude first": "107.7,20.9 107.9,20.9 107.9,21.1 107.7,20.9",
    "NaN": "NaN,107.7 20.9,107.9 21.1,107.9 NaN,107.7",
    "infinite": "20.9,inf 20.9,107.9 21.1,107.9 20.9,inf",
    "exponent": "2e1,107.7 20.9,107.9 21.1,107.9 2e1,107.7",
    "not numbers": "here there everywhere here",
    "half a pair": "20.9,107.7 20.9, 21.1,107.9 20.9,107.7",
    "comma left over": "20.9,107.7, 20.9,107.9 21.1,107.9 20.9,107.7,",
    "three numbers": "20.9,107.7,0 20.9,107.9,0 21.1,107.9,0 20.9,107.7,0",
    "spaces for commas": "20.9 107.7 20.9 107.9 21.1 107.9 20.9 107.7",
    "semicolons": "20.9,107.7;20.9,107.9;21.1,107.9;20.9,107.7",
    "JSON": "[[20.9,107.7],[20.9,107.9],[21.1,107.9],[20.9,107.7]]",
    "Arabic digits": "٢٠,107.7 20.9,107.9 21.1,107.9 ٢٠,107.7",
}


@pytest.mark.parametrize("name", POLYGONS)
def test_a_polygon_that_is_none(name: str) -> None:
    assert said(spoiled(put("info.area.polygon", POLYGONS[name]))) == ("bad_polygon", "info.area.polygon")


GOOD_POLYGONS = {
    "four points": "20.9,107.7 20.9,107.9 21.1,107.9 20.9,107.7",
    "signs and no fraction": "+20,+107 +20,+108 +21.,+108 +20,+107",
    "a point twice": "20.9,107.7 20.9,107.7 20.9,107.9 21.1,107.9 20.9,107.7",
    "line breaks": "\n20.9,107.7\n  20.9,107.9\t21.1,107.9\r\n20.9,107.7\n",
    "touching itself": "20,107 20,108 21,108 20.5,107.5 21,107 20.5,107.5 20,107",
    "round a hole": "20,107 20,109 22,109 22,107 20,107 20.5,107.5 21.5,107.5 21.5,108.5 20.5,108.5 20.5,107.5 20,107",
    "over the date line": "-17,179 -17,-179 -18,-179 -18,179 -17,179",
}


@pytest.mark.parametrize("name", GOOD_POLYGONS)
def test_a_polygon_as_real_alerts_draw_it(name: str) -> None:
    assert said(spoiled(put("info.area.polygon", GOOD_POLYGONS[name]))) == ACCEPTED


CIRCLES = [
    "20.97,107.77",
    "20.97,107.77 -1",
    "20.97,107.77 NaN",
    "20.97,107.77 40000",
    "20.97 107.77 5",
    "91,0 1",
    "a,b c",
]


@pytest.mark.parametrize("text", CIRCLES)
def test_a_circle_that_is_none(text: str) -> None:
    assert said(spoiled(put("info.area.circle", text))) == ("bad_circle", "info.area.circle")


@pytest.mark.parametrize("text", ["20.97,107.77 0", "20.97,107.77 0.0", "-16.053,-173.274 0.0", "+20.97,+107.77  12"])
def test_a_circle_may_be_a_point(text: str) -> None:
    assert said(spoiled(put("info.area.circle", text))) == ACCEPTED


REFERENCES = {
    "": ("references_required", "references"),
    "kttv@example.vn": ("bad_references", "references"),
    "kttv@example.vn,one": ("bad_references", "references"),
    "kttv@example.vn,one,2026-09-07T02:00:00": ("bad_references", "references"),
    "kttv@example.vn,one,2026-09-07T02:00:00+07:00,more": ("bad_references", "references"),
    "kttv@example.vn,,2026-09-07T02:00:00+07:00": ("bad_references", "references"),
    "a,one,2026-09-07T02:00:00+07:00 b": ("bad_references", "references"),
    "a,one,2026-09-07T02:00:00+07:00": ACCEPTED,
    "\n a,one,2026-09-07T02:00:00+07:00\n  b,two,2026-09-07T02:00:00-00:00 ": ACCEPTED,
    "Trung tâm,bản tin 1,2026-09-07T02:00:00+07:00 Trung tâm,bản tin 2,2026-09-07T03:00:00Z": ACCEPTED,
}


@pytest.mark.parametrize("kind", ["Update", "Cancel"])
@pytest.mark.parametrize("text", REFERENCES)
def test_references(kind: str, text: str) -> None:
    assert said(spoiled(put("msgType", kind), put("references", text))) == REFERENCES[text]


WITHOUT_INFO = {
    "Alert": ("info_required", "info"),
    "Update": ("info_required", "info"),
    "Cancel": ACCEPTED,
    "Ack": ("not_an_alert", "msgType"),
    "Error": ("not_an_alert", "msgType"),
}


@pytest.mark.parametrize("kind", WITHOUT_INFO)
def test_without_info_only_a_cancel_says_enough(kind: str) -> None:
    assert said(spoiled(put("msgType", kind), no_infos)) == WITHOUT_INFO[kind]


KINDS = {
    "Actual": ("accepted", "live"),
    "Exercise": ("accepted_exercise", "exercise"),
    "Test": ("accepted_test", "test"),
    "System": ("not_an_alert", None),
    "Draft": ("not_an_alert", None),
}


@pytest.mark.parametrize("status", KINDS)
@pytest.mark.parametrize("msg_type", ["Alert", "Update", "Cancel"])
def test_only_what_is_actual_is_ever_live(status: str, msg_type: str) -> None:
    one = verdict(spoiled(put("status", status), put("msgType", msg_type)))
    assert (one.code, one.kind) == KINDS[status]


@pytest.mark.parametrize("scope", ["Restricted", "Private"])
def test_what_is_not_for_the_public_is_not_for_loudspeakers(scope: str) -> None:
    assert said(spoiled(put("scope", scope))) == ("not_public", "scope")


DUPLICATES = [
    *("identifier", "sender", "sent", "status", "msgType", "scope", "references"),
    *("info.event", "info.urgency", "info.expires", "info.area.areaDesc", "info.area.geocode.value"),
]


@pytest.mark.parametrize("path", DUPLICATES)
def test_two_that_differ_where_one_is_allowed(path: str) -> None:
    parent, _, name = path.rpartition(".")
    again = at(base(), path).text or ""
    assert said(spoiled(added(parent, name, again))) == ACCEPTED
    assert said(spoiled(added(parent, name, "Unknown"))) == ("duplicate_element", path)


NUMBERS = ["NaN", "inf", "1e3", "1,5", "ten", "0x10", "--1"]


@pytest.mark.parametrize("path", ["info.area.altitude", "info.area.ceiling"])
@pytest.mark.parametrize("text", NUMBERS)
def test_a_number_that_is_none(path: str, text: str) -> None:
    assert said(spoiled(put(path, text))) == ("bad_value", path)


@pytest.mark.parametrize("path", ["identifier", "sender"])
@pytest.mark.parametrize("text", ["x" * 501, "one\ttwo", "bell\u202egnp"])
def test_a_name_that_cannot_stand_on_a_line(path: str, text: str) -> None:
    assert said(spoiled(put(path, text))) == ("bad_value", path)


def one_info_that_is_over(alert: etree._Element) -> None:
    put("info.expires", "2020-01-01T00:00:00Z")(alert)
    alert.remove(alert[-1])


WRONGS: list[tuple[Change, tuple[str, str | None]]] = [
    (removed("info.area.areaDesc"), ("required_missing", "info.area.areaDesc")),
    (put("info.severity", "Bad"), ("bad_value", "info.severity")),
    (put("references", "nobody"), ("bad_references", "references")),
    (put("info.area.polygon", "1,1 2,2 1,1"), ("bad_polygon", "info.area.polygon")),
    (put("status", "Draft"), ("not_an_alert", "status")),
    (one_info_that_is_over, ("expired", "info.expires")),
]


@pytest.mark.parametrize("place", range(len(WRONGS)))
def test_the_first_that_is_wrong_is_what_is_said(place: int) -> None:
    """Required → values → references → geometry → kind → expiry: with all from one on wrong, that one is named."""
    assert said(spoiled(*(change for change, _ in reversed(WRONGS[place:])))) == WRONGS[place][1]


def test_several_wrongs_in_one_file_are_told_apart() -> None:
    wrapped = b"<alerts>" + BASE.encode() + spoiled(removed("scope")) + spoiled(put("status", "Test")) + b"</alerts>"
    assert [one.code for one in verdicts(wrapped)] == ["accepted", "required_missing", "alert_conflict"]


OLD = """<?xml version="1.0"?>
<cap:alert xmlns:cap="http://www.incident.com/cap/1.0">
  <cap:identifier>KSTO1055887203</cap:identifier><cap:sender>KSTO@NWS.NOAA.GOV</cap:sender>
  <cap:sent>2026-09-07T08:00:00+07:00</cap:sent><cap:status>Actual</cap:status><cap:msgType>Update</cap:msgType>
  <cap:password>none</cap:password><cap:references>KSTO1055887200/KSTO@NWS.NOAA.GOV KSTO1055887201</cap:references>
  <cap:info>
    <cap:event>Severe Thunderstorm</cap:event><cap:urgency>Immediate</cap:urgency><cap:severity>Severe</cap:severity>
    <cap:certainty>Very Likely</cap:certainty><cap:eventCode>same=SVR</cap:eventCode>
    <cap:area><cap:areaDesc>Alpine</cap:areaDesc><cap:geocode>fips6=006109</cap:geocode></cap:area>
  </cap:info>
</cap:alert>"""


def test_cap_1_0_has_less_and_writes_pairs_and_references_its_own_way() -> None:
    one = verdict(OLD.encode())
    assert one.code == "accepted"
    assert one.alert is not None
    assert (one.alert.version, one.alert.scope) == ("1.0", "Public")
    assert [(ref.identifier, ref.sender, ref.sent) for ref in one.alert.references] == [
        ("KSTO1055887200", "KSTO@NWS.NOAA.GOV", None),
        ("KSTO1055887201", "", None),
    ]
    assert one.alert.infos[0].areas[0].geocodes[0].value == "006109"
    assert said(OLD.replace("http://www.incident.com/cap/1.0", CAP).encode()) == ("required_missing", "scope")


def test_every_verdict_has_words_without_holes() -> None:
    spoilt = [spoiled(removed("scope")), spoiled(put("sent", "x")), spoiled(put("info.urgency", "x")), b"", b"<a/>"]
    spoilt += [spoiled(put("info.area.polygon", text)) for text in ("1,1", "x,y x,y x,y x,y", "1,1 2,2 3,3 4,4")]
    spoilt += [
        spoiled(put("info.area.circle", "1,1")),
        spoiled(put("status", "Draft")),
        spoiled(put("scope", "Private")),
    ]
    spoilt += [spoiled(put("msgType", "Cancel"), removed("references")), spoiled(put("references", "x"))]
    spoilt += [BASE.replace(CAP, "urn:x").encode(), ("<x>" * 99).encode(), b"<!DOCTYPE a><a/>", b"\xff\xff"]
    for data in spoilt:
        one = verdict(data)
        assert one.problem is not None
        for words in (explain(one.problem, "vi"), explain(one.problem, "en")):
            assert "?" not in words.title + words.remedy, (one.code, words)
            assert "None" not in words.title + words.remedy, (one.code, words)
