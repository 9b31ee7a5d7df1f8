"""The document around an alert spoiled class by class: namespaces, encodings, entities, bounds. Fixed beforehand."""

import codecs
import re

import pytest
from lxml import etree

from tests.cap.base import BASE, CAP, Change, said, spoiled, verdict

ACCEPTED = ("accepted", None)


NAMESPACES = {
    CAP: ACCEPTED,
    "urn:oasis:names:tc:emergency:cap:1.1": ACCEPTED,
    "http://www.incident.com/cap/1.0": ACCEPTED,
    "urn:oasis:names:tc:emergency:cap:1.3": ("bad_namespace", "alert"),
    "urn:oasis:names:tc:emergency:alerts:1.2": ("bad_namespace", "alert"),
    "URN:OASIS:NAMES:TC:EMERGENCY:CAP:1.2": ("bad_namespace", "alert"),
    "": ("bad_namespace", "alert"),
}


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_namespaces(namespace: str) -> None:
    assert said(BASE.replace(CAP, namespace).encode()) == NAMESPACES[namespace]


def test_a_prefix_changes_nothing() -> None:
    prefixed = re.sub(r"<(/?)([a-zA-Z])", r"<\1cap:\2", BASE).replace("xmlns=", "xmlns:cap=")
    first, second = verdict(BASE.encode()), verdict(prefixed.encode())
    assert first.alert == second.alert is not None


def test_elements_of_other_namespaces_are_not_the_alert() -> None:
    other = BASE.replace("<status>Actual</status>", '<x:status xmlns:x="urn:x">Actual</x:status>')
    assert said(other.encode()) == ("required_missing", "status")


def shuffled(alert: etree._Element) -> None:
    for element in [alert, *alert.iter(f"{{{CAP}}}info", f"{{{CAP}}}area")]:
        infos = [child for child in element if child.tag == f"{{{CAP}}}info"]
        others = [child for child in element if child.tag != f"{{{CAP}}}info"]
        element[:] = [*infos, *reversed(others)]


def unknown_elements(alert: etree._Element) -> None:
    for element in list(alert.iter(f"{{{CAP}}}alert", f"{{{CAP}}}info", f"{{{CAP}}}area")):
        etree.SubElement(element, f"{{{CAP}}}whatIsThis").text = "?"
        etree.SubElement(element, "{urn:else}identifier").text = "other"


def commented(alert: etree._Element) -> None:
    for element in list(alert.iter(etree.Element)):
        if len(element) == 0 and element.text:
            comment = etree.Comment("<!DOCTYPE")
            comment.tail, element.text = element.text[1:], element.text[:1]
            element.append(comment)


@pytest.mark.parametrize("change", [shuffled, unknown_elements, commented])
def test_order_unknown_elements_and_comments_change_nothing(change: Change) -> None:
    assert verdict(spoiled(change)).alert == verdict(BASE.encode()).alert is not None


DECLARED = '<?xml version="1.0" encoding="{}"?>\n'
ENCODINGS: dict[str, tuple[bytes, tuple[str, str | None]]] = {
    "none declared": (BASE.encode(), ACCEPTED),
    "UTF-8": ((DECLARED.format("UTF-8") + BASE).encode(), ACCEPTED),
    "UTF-8 with a mark": (codecs.BOM_UTF8 + (DECLARED.format("utf-8") + BASE).encode(), ACCEPTED),
    "a mark against the label": (codecs.BOM_UTF8 + (DECLARED.format("iso-8859-1") + BASE).encode(), ACCEPTED),
    "UTF-16 with a mark": ((DECLARED.format("utf-16") + BASE).encode("utf-16"), ACCEPTED),
    "UTF-16 BE with a mark": (codecs.BOM_UTF16_BE + BASE.encode("utf-16-be"), ACCEPTED),
    "UTF-16 LE without": ((DECLARED.format("utf-16") + BASE).encode("utf-16-le"), ACCEPTED),
    "UTF-16 BE without": (BASE.encode("utf-16-be"), ACCEPTED),
    "UTF-32": (BASE.encode("utf-32"), ACCEPTED),
    "UTF-8 called UTF-16": ((DECLARED.format("utf-16") + BASE).encode(), ACCEPTED),
    "Windows Vietnamese": ((DECLARED.format("windows-1258") + BASE).encode("cp1258", "xmlcharrefreplace"), ACCEPTED),
    "space before the first line": (("\n  " + DECLARED.format("UTF-8") + BASE).encode(), ACCEPTED),
    "single quotes": (("<?xml version='1.0' encoding = 'UTF-8' standalone = 'yes'?>" + BASE).encode(), ACCEPTED),
    "Latin 1 called UTF-8": (
        (DECLARED.format("UTF-8") + BASE).encode("utf-8") + b"<!-- \xe9 -->",
        ("bad_encoding", "file"),
    ),
    "Latin 1 and no label": (BASE.encode("utf-8") + b"<!-- \xe9 -->", ("bad_encoding", "file")),
    "UTF-8 called ASCII": ((DECLARED.format("us-ascii") + BASE).encode(), ("bad_encoding", "file")),
    "UTF-7": ((DECLARED.format("utf-7") + BASE).encode(), ("bad_encoding", "file")),
    "no such encoding": ((DECLARED.format("x-vni-win") + BASE).encode(), ("bad_encoding", "file")),
    "no text encoding": ((DECLARED.format("base64") + BASE).encode(), ("bad_encoding", "file")),
    "cut in half a character": (BASE.encode("utf-16")[:-1], ("bad_encoding", "file")),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_encodings(name: str) -> None:
    data, expected = ENCODINGS[name]
    assert said(data) == expected


@pytest.mark.parametrize("label", ["ISO-8859-1", "windows-1252", "windows-1258", "utf-16"])
def test_utf_8_under_a_wrong_label_is_not_read_out_as_rubbish(label: str) -> None:
    one = verdict((DECLARED.format(label) + BASE).encode())
    assert one.alert is not None
    assert one.alert.note == "Bão số 5"


@pytest.mark.parametrize("label", ["ISO-8859-1", "windows-1252"])
def test_a_right_label_is_believed(label: str) -> None:
    one = verdict(
        (DECLARED.format(label) + BASE.replace("Bão số 5", "Orage à Genève")).encode(label, "xmlcharrefreplace")
    )
    assert one.alert is not None
    assert one.alert.note == "Orage à Genève"


def test_chinese_text_under_its_old_label() -> None:
    one = verdict((DECLARED.format("GB2312") + BASE.replace("Bão số 5", "台风 镕")).encode("gbk", "xmlcharrefreplace"))
    assert one.alert is not None
    assert one.alert.note == "台风 镕"


LAUGHS = (
    '<!DOCTYPE alert [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefghi", "bcdefghij", strict=True))
    + "]>"
)
NOT_SAFE = {
    "billion laughs": LAUGHS + BASE.replace("Trực ban", "&j;"),
    "one entity": '<!DOCTYPE alert [<!ENTITY a "b">]>' + BASE.replace("Trực ban", "&a;"),
    "a file": '<!DOCTYPE alert [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + BASE.replace("Trực ban", "&a;"),
    "the network": '<!DOCTYPE alert SYSTEM "http://127.0.0.1:9/x.dtd">' + BASE,
    "a parameter entity": '<!DOCTYPE alert [<!ENTITY % a SYSTEM "http://127.0.0.1:9/x"> %a;]>' + BASE,
    "an empty one": "<!DOCTYPE alert>" + BASE,
    "after a comment": "<!-- c --><?p?><!DOCTYPE alert>" + BASE,
    "before a second alert": BASE + "<!DOCTYPE alert>" + BASE,
}


@pytest.mark.parametrize("name", NOT_SAFE)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_doctype_is_refused_before_anything_in_it_is_looked_at(name: str, encoding: str) -> None:
    assert said(NOT_SAFE[name].encode(encoding)) == ("dtd_forbidden", "file")


def test_nothing_behind_a_doctype_is_read_at_all() -> None:
    for rest in ("alert [ <<<", "alert [", "alert SYSTEM 'x'"):
        assert said(f"<!DOCTYPE {rest}>".encode()) == ("dtd_forbidden", "file")


def test_the_word_doctype_in_a_comment_or_text_is_only_a_word() -> None:
    data = "<!-- <!DOCTYPE alert> -->" + BASE.replace("Trực ban", "<![CDATA[<!DOCTYPE x>]]>")
    assert said(data.encode()) == ACCEPTED


NOT_XML = {
    "nothing": "",
    "space": " \n ",
    "text": "Bão số 5",
    "JSON": '{"alert": {}}',
    "cut off": BASE[:-20],
    "a tag not closed": BASE.replace("</note>", ""),
    "text behind": BASE + "tail",
    "an unknown entity": BASE.replace("Trực ban", "&nbsp;"),
    "a bare ampersand": BASE.replace("Trực ban", "a & b"),
    "an unbound prefix": BASE.replace("<note>", "<x:note>").replace("</note>", "</x:note>"),
    "a character that XML does not have": BASE.replace("Trực ban", "\x0b"),
    "an attribute twice": BASE.replace("<note>", '<note a="1" a="2">'),
}


@pytest.mark.parametrize("name", NOT_XML)
def test_what_is_not_xml(name: str) -> None:
    assert said(NOT_XML[name].encode()) == ("not_xml", "file")


def test_bounds() -> None:
    deep = "<x>" * 70 + "</x>" * 70
    assert said(BASE.replace("<note>", deep + "<note>").encode()) == ("too_deep", "file")
    assert said(("<x>" * 300_000).encode()) == ("too_deep", "file")
    assert said(BASE.replace("Trực ban", "x" * 8_400_000).encode()) == ("too_large", "file")
    many = " ".join(f'a{number}="1"' for number in range(100))
    assert said(BASE.replace("<note>", f"<note {many}>").encode()) == ("too_large", "file")
    assert said(("<alerts>" + f'<alert xmlns="{CAP}"/>' * 2001 + "</alerts>").encode()) == ("too_large", "file")


NO_ALERT = ["<rss/>", "<html><body/></html>", f'<info xmlns="{CAP}"/>', '<feed xmlns="http://www.w3.org/2005/Atom"/>']


@pytest.mark.parametrize("text", NO_ALERT)
def test_xml_without_an_alert(text: str) -> None:
    assert said(text.encode()) == ("no_alert", "file")
