"""An `Alert` → CAP 1.2 (OASIS, 2010), its elements in the order of the schema; alerts → an Atom feed (RFC 4287)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from lxml import etree

from controller.cap.model import Alert, AlertArea, Circle, Info, Pair, Ring
from loa.units import InstantMs

NAMESPACE: Final = "urn:oasis:names:tc:emergency:cap:1.2"
MEDIA_TYPE: Final = "application/cap+xml"
_ATOM: Final = "http://www.w3.org/2005/Atom"
_NO_XML: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ZONE: Final = timezone(timedelta(hours=7))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS: Final = 253_402_214_400_000
"""The last day whose date can be written in any zone."""


@dataclass(frozen=True)
class FeedEntry:
    """An alert in a feed: where it is by itself, what people call it, when it was made, and its XML."""

    url: str
    title: str
    updated: InstantMs
    xml: etree._Element


def written(alert: Alert) -> etree._Element:
    """The alert as an element of CAP 1.2. Dates are written to the second, as CAP has them, in Vietnam's zone."""
    root = etree.Element(f"{{{NAMESPACE}}}alert", nsmap={None: NAMESPACE})
    _put(root, "identifier", alert.identifier)
    _put(root, "sender", alert.sender)
    _put(root, "sent", date_text(alert.sent))
    _put(root, "status", alert.status.value)
    _put(root, "msgType", alert.msg_type.value)
    _some(root, "source", alert.source)
    _put(root, "scope", alert.scope.value)
    _some(root, "restriction", alert.restriction)
    _some(root, "addresses", alert.addresses)
    for code in alert.codes:
        _some(root, "code", code)
    _some(root, "note", alert.note)
    named = (f"{one.sender},{one.identifier},{date_text(one.sent or InstantMs(0))}" for one in alert.references)
    _some(root, "references", " ".join(named))
    _some(root, "incidents", alert.incidents)
    for info in alert.infos:
        _info(root, info)
    return root


def document(element: etree._Element) -> bytes:
    """As a file: UTF-8, with its declaration. No white space is added, for that would break a signature."""
    return etree.tostring(element, encoding="UTF-8", xml_declaration=True)


def feed(entries: Iterable[FeedEntry], *, url: str, title: str, author: str, updated: InstantMs) -> bytes:
    """An Atom feed with the alerts inside its entries, each also with its own address."""
    root = etree.Element(f"{{{_ATOM}}}feed", nsmap={None: _ATOM})
    _atom(root, "id", url)
    _atom(root, "title", title)
    _atom(root, "updated", _utc(updated))
    _atom(_atom(root, "author"), "name", author)
    _atom(root, "link", rel="self", type="application/atom+xml", href=url)
    for one in entries:
        entry = _atom(root, "entry")
        _atom(entry, "id", one.url)
        _atom(entry, "title", one.title)
        _atom(entry, "updated", _utc(one.updated))
        _atom(entry, "link", rel="alternate", type=MEDIA_TYPE, href=one.url)
        _atom(entry, "content", type=MEDIA_TYPE).append(one.xml)
    return document(root)


def date_text(instant: InstantMs) -> str:
    """As CAP wants it: no fraction, a zone in figures."""
    return _at(instant).astimezone(_ZONE).isoformat("T", "seconds")


def ring_text(points: Ring) -> str:
    """latitude,longitude pairs."""
    return " ".join(f"{_number(latitude)},{_number(longitude)}" for latitude, longitude in points)


def circle_text(circle: Circle) -> str:
    """latitude,longitude radius."""
    return f"{_number(circle.latitude)},{_number(circle.longitude)} {_number(circle.radius_km)}"


def _info(root: etree._Element, info: Info) -> None:
    node = _put(root, "info")
    _some(node, "language", info.language)
    for category in info.categories:
        _put(node, "category", category)
    _put(node, "event", info.event)
    for response in info.response_types:
        _put(node, "responseType", response)
    for name, text in (
        ("urgency", info.urgency), ("severity", info.severity), ("certainty", info.certainty),
        ("audience", info.audience),
    ):  # fmt: skip
        _some(node, name, text)
    _pairs(node, "eventCode", info.event_codes)
    for name, instant in (("effective", info.effective), ("onset", info.onset), ("expires", info.expires)):
        _some(node, name, "" if instant is None else date_text(instant))
    for name, text in (
        ("senderName", info.sender_name), ("headline", info.headline), ("description", info.description),
        ("instruction", info.instruction), ("web", info.web), ("contact", info.contact),
    ):  # fmt: skip
        _some(node, name, text)
    _pairs(node, "parameter", info.parameters)
    for resource in info.resources:
        held = _put(node, "resource")
        _put(held, "resourceDesc", resource.description)
        _put(held, "mimeType", resource.mime_type)
        _some(held, "uri", resource.uri)
    for area in info.areas:
        _area(node, area)


def _area(node: etree._Element, area: AlertArea) -> None:
    held = _put(node, "area")
    _put(held, "areaDesc", area.description)
    for polygon in area.polygons:
        _put(held, "polygon", ring_text(polygon))
    for circle in area.circles:
        _put(held, "circle", circle_text(circle))
    _pairs(held, "geocode", area.geocodes)
    for name, feet in (("altitude", area.altitude), ("ceiling", area.ceiling)):
        _some(held, name, "" if feet is None else _number(feet))


def _pairs(node: etree._Element, name: str, pairs: Iterable[Pair]) -> None:
    for pair in pairs:
        held = _put(node, name)
        _put(held, "valueName", pair.name)
        _put(held, "value", pair.value)


def _put(node: etree._Element, name: str, text: str = "") -> etree._Element:
    made = etree.SubElement(node, f"{{{NAMESPACE}}}{name}")
    if text:
        made.text = xml_text(text)
    return made


def _some(node: etree._Element, name: str, text: str) -> None:
    if text:
        _put(node, name, text)


def _atom(node: etree._Element, name: str, text: str = "", **attributes: str) -> etree._Element:
    made = etree.SubElement(node, f"{{{_ATOM}}}{name}", attributes)
    if text:
        made.text = xml_text(text)
    return made


def xml_text(text: str) -> str:
    """Without what no XML 1.0 document may hold (section 2.2): most control characters, half characters."""
    return _NO_XML.sub("", text)


def _number(value: float) -> str:
    """To a tenth of a metre, plainly."""
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text


def _at(instant: InstantMs) -> datetime:
    return _EPOCH + timedelta(milliseconds=max(0, min(instant, _LAST_MS)))


def _utc(instant: InstantMs) -> str:
    return _at(instant).isoformat("T", "seconds").replace("+00:00", "Z")
