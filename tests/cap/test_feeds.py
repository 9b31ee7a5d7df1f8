"""One file, several alerts: wrappers, Atom, RSS, EDXL-DE, one after the other; and what was seen before."""

from html import escape

import pytest

from controller.cap.judgement import Terms
from controller.cap.memory import content_digest
from loa.units import DurationMs, InstantMs
from tests.cap.base import BASE, CAP, NOW, no_infos, put, spoiled, verdict, verdicts

FIRST = BASE
SECOND = BASE.replace("bao-5.1<", "bao-5.2<")
TEST = BASE.replace("bao-5.1<", "bao-5.3<").replace(">Actual<", ">Test<")
LACKS = BASE.replace("bao-5.1<", "bao-5.4<").replace("<scope>Public</scope>", "")
DECLARED = '<?xml version="1.0" encoding="UTF-8"?>\n'
ALL = [("bao-5.1", "accepted"), ("bao-5.2", "accepted"), ("bao-5.3", "accepted_test"), ("bao-5.4", "required_missing")]
FOUR = (FIRST, SECOND, TEST, LACKS)


def atom(*contents: str) -> str:
    entries = "".join(f"<entry><title>bão</title><updated>2026</updated>{one}</entry>" for one in contents)
    return f'{DECLARED}<feed xmlns="http://www.w3.org/2005/Atom" xmlns:cap="{CAP}"><id>x</id>{entries}</feed>'


def edxl(*alerts: str) -> str:
    objects = "".join(
        "<e:contentObject><e:contentDescription>bão</e:contentDescription><e:xmlContent>"
        "<e:keyXMLContent><alert><identifier>a key, no alert</identifier></alert></e:keyXMLContent>"
        f"<e:embeddedXMLContent>{one}</e:embeddedXMLContent></e:xmlContent></e:contentObject>"
        for one in alerts
    )
    return (
        f'{DECLARED}<e:EDXLDistribution xmlns:e="urn:oasis:names:tc:emergency:EDXL:DE:1.0">'
        f"<e:distributionStatus>Actual</e:distributionStatus>{objects}</e:EDXLDistribution>"
    )


def rss(*descriptions: str) -> str:
    items = "".join(f"<item><title>bão</title>{one}</item>" for one in descriptions)
    return f'{DECLARED}<rss version="2.0"><channel><title>x</title>{items}</channel></rss>'


WRAPPED = {
    "a wrapper": "<alerts>" + "".join(FOUR) + "</alerts>",
    "a wrapper in a wrapper": "<a><b>" + FIRST + "</b>" + SECOND + "<c><d>" + TEST + LACKS + "</d></c></a>",
    "one after the other": "\n".join(FOUR),
    "whole files one after the other": "\n".join(DECLARED + one for one in FOUR),
    "Atom": atom(*(f'<content type="application/cap+xml">{one}</content>' for one in FOUR)),
    "Atom, escaped": atom(*(f'<content type="text">{escape(one)}</content>' for one in FOUR)),
    "Atom, escaped with declaration": atom(*(f"<content>{escape(DECLARED + one)}</content>" for one in FOUR)),
    "RSS": rss(*FOUR),
    "RSS, in CDATA": rss(*(f"<description><![CDATA[{DECLARED}{one}]]></description>" for one in FOUR)),
    "EDXL-DE": edxl(*FOUR),
    "EDXL-DE in UTF-16": edxl(*FOUR),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_each_alert_has_a_verdict_of_its_own(name: str) -> None:
    data = WRAPPED[name].encode("utf-16" if "UTF-16" in name else "utf-8")
    found = verdicts(data)
    assert [(one.sketch.identifier.removeprefix("vn.kttv.2026."), one.code) for one in found] == ALL
    assert [one.place for one in found] == [1, 2, 3, 4]


def test_what_stands_in_an_alert_is_no_other_alert() -> None:
    inner = SECOND.replace("<source>", '<x:box xmlns:x="urn:x">').replace("</source>", "</x:box>")
    nested = FIRST.replace("Trực ban", escape(TEST)).replace("<note>Bão số 5</note>", f"<note>{inner}</note>")
    assert [one.sketch.identifier for one in verdicts(nested.encode())] == ["vn.kttv.2026.bao-5.1"]


def test_a_spoiled_text_in_a_feed_spoils_nothing_else() -> None:
    doctype = "<!DOCTYPE alert>" + SECOND
    feed = atom(*(f"<content>{escape(one)}</content>" for one in (FIRST, SECOND[:-30], doctype, TEST)))
    assert [one.code for one in verdicts(feed.encode())] == ["accepted", "not_xml", "dtd_forbidden", "accepted_test"]


def test_an_index_without_alerts_says_so() -> None:
    feed = atom('<link rel="alternate" href="https://example.vn/1.cap"/><cap:event>Bão</cap:event>')
    assert [one.code for one in verdicts(feed.encode())] == ["no_alert"]


def test_the_same_again_is_known_and_the_same_name_for_something_else_is_a_conflict() -> None:
    changed = FIRST.replace("gió giật cấp 15", "gió giật cấp 12")
    codes = [one.code for one in verdicts(f"<a>{FIRST}{FIRST}{changed}{SECOND}</a>".encode())]
    assert codes == ["accepted", "already_known", "alert_conflict", "accepted"]


def test_memory_is_handed_in_and_compares_what_is_said() -> None:
    one = verdict(FIRST.encode())
    assert one.alert is not None
    memory = {one.alert.name: content_digest(one.alert)}
    for same in (FIRST.encode(), FIRST.encode("utf-16"), FIRST.replace("  ", "\t").encode()):
        again = verdict(same, memory=memory)
        assert (again.code, again.refused) == ("already_known", False)
    for other in ("<severity>Severe", "<severity>Minor"):
        assert verdict(FIRST.replace("<severity>Extreme", other).encode(), memory=memory).code == "alert_conflict"
    assert verdict(SECOND.encode(), memory=memory).code == "accepted"
    assert len(memory) == 1


def test_a_digest_that_was_kept_is_still_right() -> None:
    """A change here makes every alert that was stored before a conflict when it comes again."""
    one = verdict(FIRST.encode())
    assert one.alert is not None
    assert content_digest(one.alert).hex() == "820418380d41f7b3d861fbbbe6865195f0db9799e1c27e704ae01d1497854a90"


def test_what_was_refused_is_not_remembered() -> None:
    late = FIRST.replace("2026-09-07T20:00:00", "2026-09-07T09:00:00")
    assert [one.code for one in verdicts(f"<a>{late}{FIRST}</a>".encode())] == ["expired", "accepted"]


END = "2026-09-07T20:00:00+07:00"


@pytest.mark.parametrize(
    ("at_ms", "expected"),
    [(1788786000000 - 1, "accepted"), (1788786000000, "expired"), (1788786000000 + 1, "expired")],
)
def test_expiry_is_an_instant(at_ms: int, expected: str) -> None:
    assert verdict(FIRST.encode(), Terms(at=InstantMs(at_ms))).code == expected


def test_an_alert_holds_until_its_last_info_ends() -> None:
    one = verdict(FIRST.replace(END, "2026-09-07T09:00:00+07:00", 1).encode())
    assert (one.code, one.expires) == ("accepted", 1788786000000)


def test_without_expires_the_default_holds() -> None:
    data = FIRST.replace(f"<expires>{END}</expires>", "").encode()
    hour = DurationMs(3_600_000)
    sent = 1788742800000
    for at_ms, life, expected in ((sent + hour, 2, "accepted"), (sent + hour, 1, "expired"), (sent, 1, "accepted")):
        terms = Terms(at=InstantMs(at_ms), default_life_ms=DurationMs(life * hour))
        one = verdict(data, terms)
        assert (one.code, one.expires, one.by_default) == (expected, sent + life * hour, True)


def test_as_of_its_own_day() -> None:
    assert verdict(FIRST.encode(), Terms(at=None)).code == "accepted"
    backwards = FIRST.replace(END, "2026-09-07T07:59:59+07:00")
    assert verdict(backwards.encode(), Terms(at=None)).code == "expired"


def test_a_cancel_is_never_too_late() -> None:
    cancel = put("msgType", "Cancel")
    late = Terms(at=InstantMs(NOW + 10**11))
    assert verdict(spoiled(cancel), late).code == "accepted"
    assert verdict(spoiled(cancel, no_infos), late).code == "accepted"
    assert verdict(spoiled(put("msgType", "Update")), late).code == "expired"
