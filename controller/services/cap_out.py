"""What we released, updated and cancelled, as alerts in CAP for others. Drills are Exercises, and kept apart."""

from dataclasses import dataclass
from typing import Any, Final

from sqlmodel import Session, col, select

from controller.cap.model import Alert as CapMessage
from controller.cap.model import AlertArea, Info, MsgType, Pair, Reference, Scope, Status
from controller.cap.outlines import rings_of
from controller.services.alert_updates import takes_place_of
from controller.services.context import Context
from controller.services.sight import alerts_seen
from controller.tables import Alert, Area, Node
from devices.protocol.approval import read_body
from loa.errors import Refused
from loa.names import AreaPath
from loa.precedence import Kind
from loa.units import InstantMs

MOST_MESSAGES: Final = 100
CANCEL: Final = "-cancel"
_CATEGORIES: Final = {
    "storm": "Met", "flood": "Met", "landslide": "Geo", "tsunami": "Geo", "forest-fire": "Fire", "epidemic": "Health",
    "border-incident": "Security", "missing-person": "Rescue",
}  # fmt: skip
"""By template; `Safety` where there is none."""
_CANCELLED: Final = {"vi": "ĐÃ HỦY: ", "en": "CANCELLED: "}


@dataclass(frozen=True)
class Message:
    """One message for others. id: of the alert, with `-cancel` for the one that ends it."""

    id: str
    title: str
    message: CapMessage


def messages(session: Session, ctx: Context, *, kind: Kind, sender: str) -> tuple[Message, ...]:
    """The newest of this kind that whoever asks sees, newest first: releases, updates, cancels."""
    query = select(Alert).where(col(Alert.released_at).is_not(None), Alert.kind == int(kind), alerts_seen(ctx))
    rows = list(session.exec(query.order_by(col(Alert.released_at).desc(), col(Alert.id)).limit(MOST_MESSAGES)))
    made = [one for row in rows for one in _messages_of(session, ctx, row, sender)]
    return tuple(sorted(made, key=lambda one: (-one.message.sent, one.id)))


def message(session: Session, ctx: Context, name: str, *, sender: str) -> Message:
    """One of them by its id. Raises Refused(not_found)."""
    query = select(Alert).where(Alert.id == name.removesuffix(CANCEL), col(Alert.released_at).is_not(None))
    row = session.exec(query.where(alerts_seen(ctx))).first()
    for one in () if row is None else _messages_of(session, ctx, row, sender):
        if one.id == name:
            return one
    raise Refused("not_found", field="message", value=name[:64])


def _messages_of(session: Session, ctx: Context, row: Alert, sender: str) -> list[Message]:
    areas = _areas(session, row)
    name = _province_name(session, ctx)
    references = tuple(_reference(one, sender) for one in _superseded(session, row))
    made = [
        Message(row.id, row.title, _message(row, sender, row.id, row.released_at, references, _infos(row, areas, name)))
    ]
    if row.status == "cancelled" and row.ended_at is not None:
        infos = _infos(row, areas, name, cancelled=True)
        ended = _message(row, sender, row.id + CANCEL, row.ended_at, (_reference(row, sender),), infos, cancel=True)
        made.append(Message(row.id + CANCEL, _CANCELLED["vi"] + row.title, ended))
    return made


def _superseded(session: Session, row: Alert) -> list[Alert]:
    """What it takes the place of everywhere: what goes on elsewhere must not be read as over there."""
    wholly = {one.id for one in takes_place_of(session, read_body(row.body))} if row.updates else set()
    before = session.exec(select(Alert).where(col(Alert.id).in_(wholly.intersection(row.updates))))
    return sorted((one for one in before if one.released_at is not None), key=lambda one: (one.released_at, one.id))


def _message(  # noqa: PLR0917
    row: Alert, sender: str, name: str, sent: int | None, references: tuple[Reference, ...], infos: tuple[Info, ...],
    *, cancel: bool = False,
) -> CapMessage:  # fmt: skip
    kind = MsgType.CANCEL if cancel else MsgType.UPDATE if references else MsgType.ALERT
    return CapMessage(
        version="1.2",
        identifier=f"loa-{name}",
        sender=sender,
        sent=_whole(sent or 0),
        status=Status.ACTUAL if row.kind == int(Kind.LIVE) else Status.EXERCISE,
        msg_type=kind,
        scope=Scope.PUBLIC,
        source="",
        restriction="",
        addresses="",
        codes=(),
        note="",
        references=references,
        incidents="",
        infos=infos,
    )


def _reference(row: Alert, sender: str) -> Reference:
    return Reference(sender, f"loa-{row.id}", _whole(row.released_at or 0))


def _whole(instant: int) -> InstantMs:
    """CAP's dates are to the second."""
    return InstantMs(instant // 1000 * 1000)


def _infos(row: Alert, areas: tuple[AlertArea, ...], name: str, *, cancelled: bool = False) -> tuple[Info, ...]:
    """One a language; of what was composed of recordings alone, one with its title."""
    said: list[dict[str, Any]] = row.words or [{"language": "vi", "text": ""}]
    return tuple(_info(row, one["language"], one.get("text") or "", areas, name, cancelled=cancelled) for one in said)


def _info(row: Alert, language: str, text: str, areas: tuple[AlertArea, ...], name: str, *, cancelled: bool) -> Info:
    mark = _CANCELLED.get(language.split("-", maxsplit=1)[0], _CANCELLED["en"]) if cancelled else ""
    return Info(
        language=language,
        categories=(_CATEGORIES.get(row.template or "", "Safety"),),
        event=row.event or row.title,
        response_types=("AllClear",) if cancelled else (),
        urgency="Past" if cancelled else row.urgency or "Immediate",
        severity=row.severity or "Unknown",
        certainty="Unknown",
        audience="",
        event_codes=(),
        effective=_whole((row.ended_at if cancelled else row.released_at) or 0),
        onset=None,
        # It must not be read as over before it is.
        expires=InstantMs(-(-row.expires_at // 1000) * 1000),
        sender_name=name,
        headline=mark + row.title,
        description=" ".join(text.split()),
        instruction="",
        web="",
        contact="",
        parameters=(),
        resources=(),
        areas=areas,
    )


def _areas(session: Session, row: Alert) -> tuple[AlertArea, ...]:
    """One a place or node that it is for."""
    found = []
    for path in row.target_areas:
        held = session.get(Area, path)
        rings = rings_of(None if held is None else held.geometry)
        found.append(AlertArea(_described(session, path), polygons=rings, geocodes=(Pair("loa", path),)))
    for node in row.target_nodes:
        placed = session.get(Node, node)
        where = "" if placed is None else f", {_described(session, placed.area)}"
        found.append(AlertArea(f"{node}{where}", geocodes=(Pair("loa:node", node),)))
    return tuple(found)


def _described(session: Session, path: str) -> str:
    """As people say it: thôn 1, Cô Tô, Quảng Ninh."""
    return ", ".join(_named(session, one) for one in reversed(AreaPath(path).with_ancestors()))


def _named(session: Session, path: str) -> str:
    held = session.get(Area, str(path))
    return held.name if held is not None else str(path)


def _province_name(session: Session, ctx: Context) -> str:
    return _named(session, ctx.province)
