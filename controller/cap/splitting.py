"""One file → its alerts: bare, several in a wrapper, in Atom or RSS entries, in EDXL-DE.

Each alert becomes a document of its own, as it was when it was signed.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Final

from lxml import etree

from controller.cap.reading import parse, safe_parser
from loa.errors import Refused

MAX_ALERTS: Final = 2000
_MARK: Final = "emergency:cap:"
_MARK_1_0: Final = "incident.com/cap/"
_SIGNATURE: Final = "{http://www.w3.org/2000/09/xmldsig#}Signature"


@dataclass(frozen=True)
class Found:
    """An alert as a document of its own, or what is wrong with the text that should have been one."""

    element: etree._Element | None
    problem: Refused | None = None


def alerts_in(roots: tuple[etree._Element, ...]) -> tuple[Found, ...]:
    """The alerts in these documents, in their order. Raises Refused(no_alert, too_large)."""
    found: list[Found] = []
    for root in roots:
        for one in _within(root):
            found.append(one)
            if len(found) > MAX_ALERTS:
                raise Refused("too_large", field="file", limit=f"{MAX_ALERTS} alerts", value="more")
    if not found:
        name = etree.QName(roots[0]).localname if roots else ""
        raise Refused("no_alert", field="file", value=name[:80])
    return tuple(found)


def _within(root: etree._Element) -> Iterator[Found]:
    """Depth first, never into an alert: what stands inside one is no other alert."""
    if _is_alert(root):
        yield Found(_alone(root))
        return
    if root.tag == _SIGNATURE or _local(root) == "keyXMLContent":
        return
    children = [child for child in root if isinstance(child.tag, str)]
    if not children:
        yield from _escaped(root.text or "")
    for child in children:
        yield from _within(child)


def _escaped(text: str) -> Iterator[Found]:
    """Alerts that a feed carries as text: escaped, or in CDATA."""
    if "<" not in text or "alert" not in text or not (_MARK in text or _MARK_1_0 in text):
        return
    try:
        roots = parse(text)
    except Refused as problem:
        yield Found(None, problem)
        return
    for root in roots:
        for element in root.iter(etree.Element):
            if _is_alert(element) and not any(_is_alert(above) for above in element.iterancestors()):
                yield Found(_alone(element))


def _is_alert(element: etree._Element) -> bool:
    return _local(element) == "alert"


def _local(element: etree._Element) -> str:
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def _alone(element: etree._Element) -> etree._Element:
    """A copy that is the root of its own document and does not drag what followed it along."""
    if element.getparent() is None:
        return element
    # A copy brings only those of the wrapper's namespaces that it needs; with the others its signature would not hold.
    return etree.fromstring(etree.tostring(deepcopy(element), encoding="utf-8", with_tail=False), safe_parser())
