"""An alert's elements: its namespace, which of them it must have, and their text."""

from collections.abc import Iterator
from typing import Final

from lxml import etree

from loa.errors import Refused

NAMESPACES: Final = {
    "urn:oasis:names:tc:emergency:cap:1.2": "1.2",
    "urn:oasis:names:tc:emergency:cap:1.1": "1.1",
    "http://www.incident.com/cap/1.0": "1.0",
    "urn:oasis:names:tc:emergency:cap:1.0": "1.0",
}
"""Namespace → version."""

_SPACE: Final = " \t\r\n\u00a0\ufeff\u200b"
_OF_ALERT: Final = ("identifier", "sender", "sent", "status", "msgType")
_OF_INFO: Final = ("event", "urgency", "severity", "certainty")
_OF_PAIR: Final = ("valueName", "value")


class Node:
    """An element of an alert, seen by CAP's names. Elements of other namespaces are not seen at all."""

    __slots__ = ("element", "namespace", "path")

    def __init__(self, element: etree._Element, path: str = "") -> None:
        self.element = element
        self.path = path
        """Dotted, as errors name it: info.area."""
        self.namespace = etree.QName(element).namespace or ""

    @property
    def version(self) -> str:
        """1.0, 1.1 or 1.2. Raises Refused(bad_namespace)."""
        version = NAMESPACES.get(self.namespace)
        if version is None:
            raise Refused("bad_namespace", field="alert", limit=next(iter(NAMESPACES)), value=self.namespace[:200])
        return version

    def all(self, name: str) -> tuple["Node", ...]:
        """The children of this name, in their order."""
        path = f"{self.path}.{name}" if self.path else name
        return tuple(Node(one, path) for one in self.element.iterchildren(f"{{{self.namespace}}}{name}"))

    def texts(self, name: str) -> tuple[str, ...]:
        """The text of each child of this name that has one."""
        return tuple(text for one in self.all(name) if (text := one.text))

    def one(self, name: str) -> str:
        """The text of the only child of this name, or "". Raises Refused(duplicate_element) where two differ."""
        found = self.texts(name)
        if len(set(found)) > 1:
            raise Refused("duplicate_element", field=self.named(name))
        return found[0] if found else ""

    @property
    def text(self) -> str:
        """All text in it, comments left out, without space around it."""
        return "".join(_texts(self.element)).strip(_SPACE)

    def named(self, name: str) -> str:
        """A child's path, as errors name it."""
        return f"{self.path}.{name}" if self.path else name


def check_required(alert: Node) -> None:
    """What CAP demands is there, and not empty: schema of 1.2 (of 1.1, 1.0 for those).

    Raises Refused(required_missing) naming the first that is missing, Refused(info_required) where an alert that says
    something has no info. A Cancel, an Ack and an Error say it by their references.
    """
    version = alert.version
    _need(alert, *_OF_ALERT, *(("scope",) if version != "1.0" else ()))
    infos = alert.all("info")
    if not infos and alert.texts("msgType")[0] not in ("Cancel", "Ack", "Error"):
        raise Refused("info_required", field="info", value=alert.texts("msgType")[0][:40])
    for info in infos:
        _need(info, *(("category",) if version != "1.0" else ()), *_OF_INFO)
        for resource in info.all("resource"):
            _need(resource, "resourceDesc", *(("mimeType",) if version == "1.2" else ()))
        for area in info.all("area"):
            _need(area, "areaDesc")
            _need_pairs(area, "geocode", version)
        _need_pairs(info, "eventCode", version)
        _need_pairs(info, "parameter", version)


def _need(node: Node, *names: str) -> None:
    for name in names:
        if not node.texts(name):
            raise Refused("required_missing", field=node.named(name))


def _need_pairs(node: Node, name: str, version: str) -> None:
    """Name and value must be there; real alerts leave values empty. In 1.0 the two are one text."""
    if version == "1.0":
        return
    for pair in node.all(name):
        for part in _OF_PAIR:
            if not pair.all(part):
                raise Refused("required_missing", field=pair.named(part))


def _texts(element: etree._Element) -> Iterator[str]:
    for node in element.iter():
        if isinstance(node.tag, str) and node.text:
            yield node.text
        if node is not element and node.tail:
            yield node.tail
