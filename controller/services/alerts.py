"""Alerts between people: composed by one, approved by as many as it takes, then out; cancelled by one.

What is signed is the body's bytes. They are compared with their row, and with what the record says was composed, before
anybody's approval counts: a row that somebody edited is found out. `controller.services.emergencies` puts them out.
"""

import hashlib
from dataclasses import dataclass, replace

from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

from controller.permissions import Permission
from controller.services.broadcasts import area_of
from controller.services.bulletins import approved_bulletins
from controller.services.context import Changed, Context, note_deed
from controller.services.emergencies import (
    START_AFTER_MS,
    AlertForm,
    cancel_alerts,
    compose_alert,
    compose_cancel,
    enough_of,
    grants_behind,
    prepare_cancel,
    release_alert,
    whole_of,
)
from controller.services.orders import Targets
from controller.services.people_keys import list_person_keys
from controller.services.sight import alerts_seen
from controller.services.trust import authority_in_force
from controller.tables import Alert, AlertApproval, Broadcast, RecordEntry
from devices.protocol.alerts import MAX_BODY_BYTES, AlertAction, AlertBody
from devices.protocol.approval import is_same_person, read_body
from devices.protocol.grants import Grant
from devices.protocol.refusal import WireRefusal
from devices.protocol.trust import RootSet
from loa.errors import Refused
from loa.names import AreaPath
from loa.precedence import Kind
from loa.units import NodeId

P = Permission


@dataclass(frozen=True)
class Seen:
    """What an approver says they looked at: live or drill, and the SHA-256 of the body's bytes in hex."""

    kind: Kind
    digest: str


@dataclass(frozen=True)
class Approved:
    """What became of an approval."""

    alert: str
    released: bool
    """It is out; otherwise one more person is needed."""
    now: bool = False
    """By this very approval."""
    sole: str = ""
    """Who released it alone by a sole appointment."""


def digest_of_body(data: bytes) -> str:
    """What people compare: the SHA-256 of the exact bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def compose(session: Session, ctx: Context, form: AlertForm, *, title: str) -> str:
    """Write an alert down for people to approve; its id. Nothing goes out.

    Raises Refused as `emergencies.compose_alert`; alert_over and alert_not_released for what it would update.
    """
    for reference in form.references:
        replaced = alert_row(session, ctx, reference, P.ALERT_COMPOSE)
        if checked_body(session, replaced).kind is not form.kind:
            raise Refused("drill_mismatch", field="references", reason=replaced.id)
        _demand_released(replaced)
    data = compose_alert(session, ctx, form)
    if len(data) > MAX_BODY_BYTES:
        raise Refused("too_large", field="target_areas", limit=f"{MAX_BODY_BYTES} bytes")
    body = read_body(data)
    row = Alert(
        id=body.id.hex(), kind=int(body.kind), title=title.strip()[:200],
        area=area_of(session, ctx, Targets(body.areas, body.nodes)), target_areas=[*body.areas],
        target_nodes=[*body.nodes], bulletins=list(form.bulletins), updates=[one.hex() for one in body.references],
        composed_by=ctx.account, composed_at=body.composed_at, expires_at=body.expires_at, body=data,
        cancel_body=prepare_cancel(ctx, body),
    )  # fmt: skip
    session.add(row)
    session.flush()
    note_deed(session, ctx, "compose", "alert", row.id, detail=_fixed(body, data, row.title))
    return row.id


def alert_row(session: Session, ctx: Context, name: str, permission: Permission = P.ALERT_READ) -> Alert:
    """Raises Refused(not_found, not_permitted); it must be permitted in all places that the alert is for."""
    query = sa_select(Alert).where(col(Alert.id) == name, alerts_seen(ctx))
    row: Alert | None = session.execute(query).scalars().first()
    if row is None:
        raise Refused("not_found", field="alert", value=name[:64])
    if permission is not P.ALERT_READ:
        areas, nodes = [AreaPath(path) for path in row.target_areas], [NodeId(one) for one in row.target_nodes]
        ctx.demand(permission, *whole_of(session, areas, nodes))
    return row


def checked_body(session: Session, row: Alert) -> AlertBody:
    """What people sign of an alert. Raises Refused(alert_altered) where its row or its bytes are not as composed."""
    try:
        body = read_body(row.body)
    except WireRefusal as refusal:
        raise Refused("alert_altered", field="body", value=row.id) from refusal
    for field, same in (
        ("id", body.id.hex() == row.id),
        ("kind", int(body.kind) == row.kind),
        ("target", (list(body.areas), list(body.nodes)) == (row.target_areas, row.target_nodes)),
        ("expires_at", body.expires_at == row.expires_at),
        ("updates", [one.hex() for one in body.references] == row.updates),
        ("body", _composed_words(session, row.id) == _fixed(body, row.body, row.title)),
    ):
        if not same:
            raise Refused("alert_altered", field=field, value=row.id)
    if row.status == "released" and session.get(Broadcast, row.id) is None:
        raise Refused("alert_altered", field="status", value=row.id)
    return body


def body_to_approve(session: Session, ctx: Context, name: str, seen: Seen) -> bytes:
    """The bytes that whoever acts would sign. Raises Refused: not_found, not_permitted, alert_altered, drill_mismatch
    and content_changed where it is not what they saw, alert_over, alert_expired.
    """
    row, _ = _to_approve(session, ctx, name, seen)
    return row.body


def approve(
    session: Session, ctx: Context, name: str, seen: Seen, approval: bytes, *, roots: RootSet
) -> Changed[Approved]:
    """Keep one person's approval; where it is enough with those that are there, the alert goes out.

    Raises Refused as `body_to_approve`, `emergencies.grants_behind` and `release_alert`; not_your_key, withdrawn.
    """
    row, body = _to_approve(session, ctx, name, seen)
    grants = _own(ctx, grants_behind(session, ctx, row.body, approval, roots=roots))
    if row.status == "released":
        return Changed(Approved(row.id, released=True, sole=row.sole))
    by_key = replace(ctx, key_id=grants[0].key_id)
    if _keep(session, ctx, row, AlertAction.RELEASE, approval, grants[0]):
        note_deed(session, by_key, "approve", "alert", row.id, detail=_fixed(body, row.body, grants[0].area))
    held = [one for one in approvals_of(session, row.id, AlertAction.RELEASE) if _holds(session, ctx, one, row, roots)]
    try:
        enough = enough_of(session, ctx, row.body, [one.approval for one in held], roots=roots)
    except Refused as error:
        if error.code != "second_person_required":
            raise
        return Changed(Approved(row.id, released=False))
    keys = {grant.key_id.hex() for grant in enough}
    if row.bulletins:
        approved_bulletins(session, ctx, row.bulletins, field="bulletins")
    changed = release_alert(
        session, ctx, row.body, [one.approval for one in held if one.key in keys], roots=roots, title=row.title,
        bulletins=row.bulletins,
    )  # fmt: skip
    _mark_released(session, by_key, row, enough)
    return Changed(Approved(row.id, released=True, now=True, sole=row.sole), changed.outgoing)


def cancel_to_sign(session: Session, ctx: Context, name: str) -> tuple[Kind, bytes]:
    """What one person signs to end an alert: what was prepared with it, or made anew where that was altered.

    Raises Refused(not_found, not_permitted, alert_not_released, alert_over).
    """
    row = alert_row(session, ctx, name, P.ALERT_CANCEL)
    if row.status != "cancelled":
        _demand_released(row)
    if _is_cancel_of(row):
        return Kind(row.kind), row.cancel_body
    data = compose_cancel(session, ctx, [row.id])
    return read_body(data).kind, data


def cancel(session: Session, ctx: Context, name: str, data: bytes, approval: bytes, *, roots: RootSet) -> Changed[str]:
    """End an alert by one person's word; once more sends it again.

    Raises Refused as `cancel_to_sign`, `emergencies.grants_behind` and `cancel_alerts`; not_your_key.
    """
    cancel_to_sign(session, ctx, name)
    row = alert_row(session, ctx, name, P.ALERT_CANCEL)
    grants = _own(ctx, grants_behind(session, ctx, data, approval, roots=roots))
    if [one.hex() for one in read_body(data).references] != [row.id]:
        raise Refused("bad_approval", field="approval", reason="another alert")
    changed = cancel_alerts(session, ctx, data, [approval], roots=roots)
    if row.status != "cancelled":
        row.status, row.ended_by, row.ended_at = "cancelled", ctx.account, ctx.now
        session.add(row)
    _keep(session, ctx, row, AlertAction.CANCEL, approval, grants[0])
    return Changed(row.id, changed.outgoing)


def key_to_use(session: Session, ctx: Context, kind: Kind, roots: RootSet) -> str:
    """The id of the acting account's key for this kind: the newest that is in office, else the newest.

    Raises Refused(not_found).
    """
    own = [
        one.id for one in list_person_keys(session, account=ctx.account) if one.kind is kind and one.retired_at is None
    ]
    if not own:
        raise Refused("not_found", field="key", value=kind.name.lower())
    try:
        grants = authority_in_force(session, ctx, roots).grants
    except WireRefusal:
        return own[-1]
    return next((one for one in reversed(own) if bytes.fromhex(one) in grants), own[-1])


def withdraw(session: Session, ctx: Context, name: str) -> str:
    """Its author takes back what is not released yet. Doing it twice changes nothing.

    Raises Refused(not_found, not_permitted, alert_over).
    """
    row = alert_row(session, ctx, name, P.ALERT_COMPOSE)
    if row.composed_by != ctx.account:
        raise Refused("not_permitted", field="alert", value=row.composed_by)
    if row.status == "withdrawn":
        return row.id
    if row.status != "composed":
        raise Refused("alert_over", field="alert", value=row.status)
    row.status, row.ended_by, row.ended_at = "withdrawn", ctx.account, ctx.now
    session.add(row)
    note_deed(session, ctx, "withdraw", "alert", row.id, detail=row.title)
    return row.id


def approvals_of(session: Session, alert: str, action: AlertAction) -> list[AlertApproval]:
    """In the order in which they were given."""
    query = select(AlertApproval).where(AlertApproval.alert == alert, AlertApproval.action == int(action))
    return list(session.exec(query.order_by(col(AlertApproval.at), col(AlertApproval.key))))


def note_altered(session: Session, ctx: Context, name: str, field: str) -> None:
    """For the record: somebody was to approve what is not as it was composed."""
    note_deed(session, ctx, "altered", "alert", name, detail=field)


def _to_approve(session: Session, ctx: Context, name: str, seen: Seen) -> tuple[Alert, AlertBody]:
    row = alert_row(session, ctx, name, P.ALERT_RELEASE)
    body = checked_body(session, row)
    if seen.kind is not body.kind:
        raise Refused("drill_mismatch", field="kind", reason=f"this is {body.kind.name.lower()}")
    if seen.digest != digest_of_body(row.body):
        raise Refused("content_changed", field="body_sha256")
    if row.status not in ("composed", "released"):
        raise Refused("alert_over", field="alert", value=row.status)
    if body.expires_at <= ctx.now + START_AFTER_MS:
        raise Refused("alert_expired", field="alert")
    return row, body


def _fixed(body: AlertBody, data: bytes, more: str) -> str:
    """What the record holds of an alert from its composing on."""
    return f"{body.kind.name.lower()} sha256:{digest_of_body(data)} {more}"


def _composed_words(session: Session, name: str) -> str:
    query = select(RecordEntry.detail).where(
        RecordEntry.object_id == name, RecordEntry.object_kind == "alert", RecordEntry.verb == "compose"
    )
    return session.exec(query.order_by(col(RecordEntry.number)).limit(1)).first() or ""


def _demand_released(row: Alert) -> None:
    if row.status == "composed":
        raise Refused("alert_not_released", field="alert", value=row.title)
    if row.status != "released":
        raise Refused("alert_over", field="alert", value=row.status)


def _is_cancel_of(row: Alert) -> bool:
    try:
        cancel_body, body = read_body(row.cancel_body), read_body(row.body)
    except WireRefusal:
        return False
    return (
        cancel_body.action is AlertAction.CANCEL
        and [one.hex() for one in cancel_body.references] == [row.id]
        and (cancel_body.kind, cancel_body.areas, cancel_body.nodes) == (body.kind, body.areas, body.nodes)
    )


def _own(ctx: Context, grants: tuple[Grant, ...]) -> tuple[Grant, ...]:
    """Those in the name of whoever acts. Raises Refused(not_your_key): a stolen key wants its owner's session too."""
    own = tuple(grant for grant in grants if is_same_person(grant.holder, ctx.account))
    if not own:
        raise Refused("not_your_key", field="approval", value=grants[0].holder)
    return own


def _keep(session: Session, ctx: Context, row: Alert, action: AlertAction, approval: bytes, grant: Grant) -> bool:  # noqa: PLR0917
    """False where this key has approved it before."""
    key = grant.key_id.hex()
    if session.get(AlertApproval, (row.id, int(action), key)) is not None:
        return False
    session.add(
        AlertApproval(
            alert=row.id, action=int(action), key=key, account=ctx.account, holder=grant.holder, at=ctx.now,
            approval=approval,
        )
    )  # fmt: skip
    session.flush()
    return True


def _holds(session: Session, ctx: Context, one: AlertApproval, row: Alert, roots: RootSet) -> bool:
    """Whether an approval that is kept still counts: a person whose key was revoked must not hold up the others."""
    try:
        grants_behind(session, ctx, row.body, one.approval, roots=roots)
    except Refused:
        return False
    return True


def _mark_released(session: Session, ctx: Context, row: Alert, enough: tuple[Grant, ...]) -> None:
    row.status, row.released_at = "released", ctx.now
    alone = enough[0] if len(enough) == 1 and enough[0].sole else None
    if alone is not None:
        row.sole = alone.holder
        note_deed(session, ctx, "release_alone", "alert", row.id, detail=f"{alone.holder} {alone.appointed_area}")
    session.add(row)
    for name in row.updates:
        before = session.get(Alert, name)
        if before is not None and before.status == "released":
            before.status, before.ended_by, before.ended_at = "updated", ctx.account, ctx.now
            session.add(before)
