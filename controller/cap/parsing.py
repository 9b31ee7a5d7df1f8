"""An element → an `Alert`, in the steps in which it is judged: required, values, references, geometry."""

from dataclasses import replace
from typing import Final

from controller.cap.elements import Node, check_required
from controller.cap.geometry import circle, ring
from controller.cap.model import Alert, AlertArea, Info, MsgType, Pair, Reference, Resource, Scope, Status
from controller.cap.values import choice, instant, number, old_pair, one_of, optional_instant, references, short
from loa.errors import Refused

DEFAULT_LANGUAGE: Final = "en-US"
"""CAP 1.2, section 3.2.2: what an info without a language is in."""
_SPEAK_OF_OTHERS: Final = frozenset({MsgType.UPDATE, MsgType.CANCEL, MsgType.ACK, MsgType.ERROR})


def parsed(node: Node) -> Alert:
    """The alert that an element is.

    Raises Refused(bad_namespace; required_missing, info_required; bad_value, bad_date, timezone_required,
    duplicate_element; references_required, bad_references; bad_polygon, bad_circle): the first in that order.
    """
    check_required(node)
    values = _values(node)
    named = _references(node, values)
    infos = zip(values.infos, node.all("info"), strict=True)
    return replace(values, references=named, infos=tuple(_placed(info, one) for info, one in infos))


def _values(node: Node) -> Alert:
    """All of it but for references and shapes."""
    return Alert(
        version=node.version,
        identifier=short(node.one("identifier"), "identifier"),
        sender=short(node.one("sender"), "sender"),
        sent=instant(node.one("sent"), "sent"),
        status=choice(Status, node.one("status"), "status"),
        msg_type=choice(MsgType, node.one("msgType"), "msgType"),
        scope=choice(Scope, node.one("scope") or Scope.PUBLIC, "scope"),
        source=node.one("source"),
        restriction=node.one("restriction"),
        addresses=node.one("addresses"),
        codes=node.texts("code"),
        note=node.one("note"),
        references=(),
        incidents=node.one("incidents"),
        infos=tuple(_info(one, node.version) for one in node.all("info")),
    )


def _info(node: Node, version: str) -> Info:
    return Info(
        language=node.one("language") or DEFAULT_LANGUAGE,
        categories=_choices(node, "category"),
        event=node.one("event"),
        response_types=_choices(node, "responseType"),
        urgency=_choice(node, "urgency"),
        severity=_choice(node, "severity"),
        certainty=_choice(node, "certainty"),
        audience=node.one("audience"),
        event_codes=_pairs(node, "eventCode", version),
        effective=optional_instant(node.one("effective"), node.named("effective")),
        onset=optional_instant(node.one("onset"), node.named("onset")),
        expires=optional_instant(node.one("expires"), node.named("expires")),
        sender_name=node.one("senderName"),
        headline=node.one("headline"),
        description=node.one("description"),
        instruction=node.one("instruction"),
        web=node.one("web"),
        contact=node.one("contact"),
        parameters=_pairs(node, "parameter", version),
        resources=tuple(
            Resource(one.one("resourceDesc"), one.one("mimeType"), one.one("uri")) for one in node.all("resource")
        ),
        areas=tuple(_area(one, version) for one in node.all("area")),
    )


def _area(node: Node, version: str) -> AlertArea:
    altitude, ceiling = node.one("altitude"), node.one("ceiling")
    return AlertArea(
        description=node.one("areaDesc"),
        geocodes=_pairs(node, "geocode", version),
        altitude=number(altitude, node.named("altitude")) if altitude else None,
        ceiling=number(ceiling, node.named("ceiling")) if ceiling else None,
    )


def _choice(node: Node, name: str) -> str:
    return one_of(name, node.one(name), node.named(name))


def _choices(node: Node, name: str) -> tuple[str, ...]:
    return tuple(one_of(name, text, node.named(name)) for text in node.texts(name))


def _pairs(node: Node, name: str, version: str) -> tuple[Pair, ...]:
    if version == "1.0":
        return tuple(old_pair(text) for text in node.texts(name))
    return tuple(Pair(one.one("valueName"), one.one("value")) for one in node.all(name))


def _references(node: Node, alert: Alert) -> tuple[Reference, ...]:
    text = node.one("references")
    if not text and alert.msg_type in _SPEAK_OF_OTHERS:
        raise Refused("references_required", field="references", value=alert.msg_type.value)
    return references(text, alert.version)


def _placed(info: Info, node: Node) -> Info:
    """With the shapes of its areas."""
    areas = zip(info.areas, node.all("area"), strict=True)
    return replace(info, areas=tuple(_shaped(area, one) for area, one in areas))


def _shaped(area: AlertArea, node: Node) -> AlertArea:
    return replace(
        area,
        polygons=tuple(ring(text, node.named("polygon")) for text in node.texts("polygon")),
        circles=tuple(circle(text, node.named("circle")) for text in node.texts("circle")),
    )
