"""An alert that the tests write themselves, and ways to spoil it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from lxml import etree

from controller.cap.judgement import Terms, Verdict, judge_file
from controller.cap.memory import Name
from controller.cap.values import instant
from loa.units import Digest
from tests.tools import samples

CAP = "urn:oasis:names:tc:emergency:cap:1.2"
NOW = instant("2026-09-07T10:00:00+07:00", "now")
EDGE = "20.9,107.7 20.9,107.85 21.05,107.85 21.05,107.7 20.9,107.7"

INFO = """
  <info>
    <language>{language}</language>
    <category>Met</category>
    <event>{event}</event>
    <responseType>Shelter</responseType>
    <urgency>Immediate</urgency>
    <severity>Extreme</severity>
    <certainty>Observed</certainty>
    <audience>{event}</audience>
    <eventCode><valueName>vn:event</valueName><value>bao</value></eventCode>
    <effective>2026-09-07T08:00:00+07:00</effective>
    <onset>2026-09-07T09:00:00+07:00</onset>
    <expires>2026-09-07T20:00:00+07:00</expires>
    <senderName>Đài Khí tượng Thủy văn</senderName>
    <headline>{event}</headline>
    <description>{event}: gió giật cấp 15.</description>
    <instruction>Vào nơi trú ẩn.</instruction>
    <web>https://example.vn/bao</web>
    <contact>0203</contact>
    <parameter><valueName>cap-gio</valueName><value>15</value></parameter>
    <resource>
      <resourceDesc>bản đồ</resourceDesc><mimeType>image/png</mimeType><uri>https://example.vn/a.png</uri>
    </resource>
    <area>
      <areaDesc>đặc khu Cô Tô</areaDesc>
      <polygon>20.9,107.7 20.9,107.85 21.05,107.85 21.05,107.7 20.9,107.7</polygon>
      <circle>20.97,107.77 12.5</circle>
      <geocode><valueName>loa</valueName><value>co-to</value></geocode>
      <altitude>0</altitude>
      <ceiling>300</ceiling>
    </area>
  </info>"""
BASE = f"""<alert xmlns="{CAP}">
  <identifier>vn.kttv.2026.bao-5.1</identifier>
  <sender>kttv@example.vn</sender>
  <sent>2026-09-07T08:00:00+07:00</sent>
  <status>Actual</status>
  <msgType>Alert</msgType>
  <source>Trực ban</source>
  <scope>Public</scope>
  <code>vn-1</code>
  <note>Bão số 5</note>
  <references>kttv@example.vn,vn.kttv.2026.bao-5.0,2026-09-07T02:00:00+07:00</references>
  <incidents>bao-5</incidents>
{INFO.format(language="vi-VN", event="Bão")}{INFO.format(language="en-US", event="Typhoon")}
</alert>"""

Change = Callable[[etree._Element], object]


def sample(*parts: str) -> Path:
    """A real file; skips the test where the samples are not here."""
    folder = samples()
    if folder is None:
        pytest.skip("no samples here")
    return folder.joinpath(*parts)


def base() -> etree._Element:
    return etree.fromstring(BASE.encode())


def spoiled(*changes: Change) -> bytes:
    """The base after these changes."""
    alert = base()
    for change in changes:
        change(alert)
    return etree.tostring(alert, encoding="utf-8")


def at(alert: etree._Element, path: str) -> etree._Element:
    """The first element of a dotted path: info.area.polygon."""
    found = alert.find("/".join(f"{{{CAP}}}{name}" for name in path.split(".")))
    assert found is not None, path
    return found


def removed(path: str) -> Change:
    def change(alert: etree._Element) -> None:
        element = at(alert, path)
        parent = element.getparent()
        assert parent is not None
        parent.remove(element)

    return change


def put(path: str, text: str) -> Change:
    """Another text for an element."""

    def change(alert: etree._Element) -> None:
        element = at(alert, path)
        for child in list(element):
            element.remove(child)
        element.text = text

    return change


def added(path: str, name: str, text: str) -> Change:
    """One more child, at the end; path "" is the alert itself."""

    def change(alert: etree._Element) -> None:
        etree.SubElement(at(alert, path) if path else alert, f"{{{CAP}}}{name}").text = text

    return change


def no_infos(alert: etree._Element) -> None:
    for info in alert.findall(f"{{{CAP}}}info"):
        alert.remove(info)


def verdicts(data: bytes, terms: Terms | None = None, memory: Mapping[Name, Digest] | None = None) -> list[Verdict]:
    return list(judge_file(data, terms or Terms(at=NOW), memory))


def verdict(data: bytes, terms: Terms | None = None, memory: Mapping[Name, Digest] | None = None) -> Verdict:
    """The only one."""
    (only,) = verdicts(data, terms, memory)
    return only


def said(data: bytes, terms: Terms | None = None) -> tuple[str, str | None]:
    """Code, and the element that is named."""
    one = verdict(data, terms)
    return one.code, one.problem.field if one.problem else None
