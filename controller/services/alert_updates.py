"""What an alert takes the place of, and which cancel ends all of it."""

from collections.abc import Sequence

from sqlalchemy import String, cast
from sqlmodel import Session, col, select

from controller.services.emergencies import whole_of
from controller.tables import Alert
from devices.protocol.alerts import MAX_REFERENCES, AlertAction, AlertBody
from devices.protocol.approval import read_body
from devices.protocol.refusal import WireRefusal
from loa.names import AreaPath
from loa.units import Id16, InstantMs, NodeId


def is_left_over(session: Session, row: Alert, now: InstantMs) -> bool:
    """Updated, and nothing released stands in its place any more: nodes that were cut off may know of neither end."""
    named = cast(col(Alert.updates), String).like(f'%"{row.id}"%')
    later = session.exec(select(Alert).where(named, col(Alert.released_at).is_not(None)))
    return row.status == "updated" and all(
        one.status == "cancelled" or one.expires_at <= now or is_left_over(session, one, now) for one in later.all()
    )


def is_cancel_of(session: Session, row: Alert) -> bool:
    try:
        cancel_body, body = read_body(row.cancel_body), read_body(row.body)
    except WireRefusal:
        return False
    return (
        cancel_body.action is AlertAction.CANCEL
        and names_no_other(session, row.cancel_body, row)
        and (cancel_body.kind, cancel_body.areas, cancel_body.nodes) == (body.kind, body.areas, body.nodes)
    )


def names_no_other(session: Session, cancel_data: bytes, row: Alert) -> bool:
    """Whether a cancel is of this alert, and else only of what that took the place of."""
    first, *others = (one.hex() for one in read_body(cancel_data).references)
    replaced = {one.id for one in takes_place_of(session, read_body(row.body))} if others else set()
    return first == row.id and replaced.issuperset(others)


def takes_place_of(session: Session, body: AlertBody) -> list[Alert]:
    """What an alert updates in all places that that was for, and what that did before: nothing of it is to go on."""
    whole = whole_of(session, body.areas, body.nodes)
    found: dict[str, Alert] = {}
    waiting = [one.hex() for one in body.references]
    while waiting and len(found) < MAX_REFERENCES - 1:
        row = session.get(Alert, waiting.pop(0))
        if row is None or row.id in found:
            continue
        places = whole_of(
            session, [AreaPath(one) for one in row.target_areas], [NodeId(one) for one in row.target_nodes]
        )
        if all(any(wider.covers(place) for wider in whole) for place in places):
            found[row.id] = row
            waiting += row.updates
    return [*found.values()]


def may_sound_yet(session: Session, body: AlertBody, now: InstantMs) -> tuple[Id16, ...]:
    """What an update must name besides what its author chose: a node that missed the one between sounds the first."""
    before = [one for one in takes_place_of(session, body) if one.status == "updated" and one.expires_at > now]
    others = (Id16(bytes.fromhex(one.id)) for one in before)
    return tuple(one for one in others if one not in body.references)[: MAX_REFERENCES - len(body.references)]


def last_end_of(session: Session, names: Sequence[str]) -> InstantMs | None:
    """When the last of these alerts would end by itself."""
    rows = session.exec(select(Alert.expires_at).where(col(Alert.id).in_(names)))
    return InstantMs(max(rows, default=0)) or None
