"""Alerts between people: composed by one, approved by as many as it takes, then out; cancelled by one.

What is signed is the body's bytes. They are compared with their row, and with what the record says was composed, before
anybody's approval counts: a row that somebody edited is found out. `controller.services.emergencies` puts them out.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

from controller.permissions import Permission
from controller.services.alert_bodies import AlertForm, compose_alert, compose_cancel, prepare_cancel
from controller.services.alert_release import Approved, approvals_that_hold, arm, put_out
from controller.services.alert_updates import (
    is_cancel_of,
    is_left_over,
    may_sound_yet,
    names_no_other,
    takes_place_of,
)
from controller.services.broadcasts import area_of
from controller.services.context import CONTROLLER, Changed, Context, note_deed
from controller.services.direct_rules import check_rule, kept
from controller.services.emergencies import (
    START_AFTER_MS,
    cancel_alerts,
    enough_of,
    grants_behind,
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
class Making:
    """By what an alert was made, beside its bytes: see `tables.Alert`. bulletin: the id of its own words."""

    event: str
    severity: str
    urgency: str
    template: str | None
    source: str | None
    words: list[dict[str, Any]]
    bulletin: str | None


def digest_of_body(data: bytes) -> str:
    """What people compare: the SHA-256 of the exact bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def compose(session: Session, ctx: Context, form: AlertForm, *, title: str, made: Making | None = None) -> str:
    """Write an alert down for people to approve; its id. Nothing goes out.

    Raises Refused as `alert_bodies.compose_alert` and `direct_rules.check_rule`; alert_over and alert_not_released for
    what it would update.
    """
    if form.direct is not None:
        check_rule(
            session, form.direct, kind=form.kind, nodes=form.target_nodes, updates=len(form.references)
        )  # fmt: skip
    for reference in form.references:
        replaced = alert_row(session, ctx, reference, P.ALERT_COMPOSE)
        if checked_body(session, replaced).kind is not form.kind:
            raise Refused("drill_mismatch", field="references", reason=replaced.id)
        _demand_released(replaced)
    data = compose_alert(session, ctx, form)
    if len(data) > MAX_BODY_BYTES:
        raise Refused("too_large", field="target_areas", limit=f"{MAX_BODY_BYTES} bytes")
    body = read_body(data)
    further = () if form.direct is not None else may_sound_yet(session, body, ctx.now)
    if further:
        everything = [one.hex() for one in (*body.references, *further)]
        data = compose_alert(session, ctx, replace(form, references=everything))
        body = read_body(data)
    ended_with_it = [one for one in takes_place_of(session, body) if bytes.fromhex(one.id) in body.references]
    row = Alert(
        id=body.id.hex(), kind=int(body.kind), title=title.strip()[:200],
        area=area_of(session, ctx, Targets(body.areas, body.nodes)), target_areas=[*body.areas],
        target_nodes=[*body.nodes], bulletins=_bulletins(form, made), updates=[one.hex() for one in body.references],
        composed_by=ctx.account, composed_at=body.composed_at, expires_at=body.expires_at, body=data,
        cancel_body=prepare_cancel(ctx, body, ended_with_it), direct=kept(form.direct),
    )  # fmt: skip
    if made is not None:
        row.event, row.severity, row.urgency, row.words = made.event, made.severity, made.urgency, made.words
        row.template, row.source = made.template, made.source
    session.add(row)
    session.flush()
    note_deed(session, ctx, "compose", "alert", row.id, detail=fixed_words(body, data, _made_as(row)))
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
        ("target", _is_target_of(row, body)),
        ("expires_at", body.expires_at == row.expires_at or (_is_part(row) and body.expires_at > row.expires_at)),
        ("updates", [one.hex() for one in body.references] == row.updates),
        ("body", _composed_words(session, row.id) == fixed_words(body, row.body, _made_as(row))),
    ):
        if not same:
            raise Refused("alert_altered", field=field, value=row.id)
    if row.status == "released" and session.get(Broadcast, row.id) is None:
        raise Refused("alert_altered", field="status", value=row.id)
    return body


def _is_part(row: Alert) -> bool:
    """Whether a source put out a part of it: then the row tells of that."""
    return row.released_by_cap is not None


def _is_target_of(row: Alert, body: AlertBody) -> bool:
    if _is_part(row):
        return all(any(area.covers(AreaPath(path)) for area in body.areas) for path in row.target_areas)
    return (list(body.areas), list(body.nodes)) == (row.target_areas, row.target_nodes)


def body_to_approve(session: Session, ctx: Context, name: str, seen: Seen) -> bytes:
    """The bytes that whoever acts would sign. Raises Refused: not_found, not_permitted, alert_altered, drill_mismatch
    and content_changed where it is not what they saw, alert_over, alert_expired.
    """
    row, _ = _to_approve(session, ctx, name, seen)
    return row.body


def approve(
    session: Session, ctx: Context, name: str, seen: Seen, approval: bytes, *, roots: RootSet
) -> Changed[Approved]:
    """Keep one person's approval; where it is enough with those that are there, the alert goes out, or is armed.

    Raises Refused as `body_to_approve`, `emergencies.grants_behind` and `release_alert`; not_your_key, withdrawn.
    """
    row, body = _to_approve(session, ctx, name, seen)
    grants = _own(ctx, grants_behind(session, ctx, row.body, approval, roots=roots))
    if row.status == "released":
        return Changed(Approved(row.id, released=True, sole=row.sole))
    by_key = replace(ctx, key_id=grants[0].key_id)
    if _keep(session, ctx, row, AlertAction.RELEASE, approval, grants[0]):
        note_deed(session, by_key, "approve", "alert", row.id, detail=fixed_words(body, row.body, grants[0].area))
    held = approvals_that_hold(session, ctx, row, roots)
    try:
        enough = enough_of(session, ctx, row.body, [one.approval for one in held], roots=roots)
    except Refused as error:
        if error.code != "second_person_required":
            raise
        return Changed(Approved(row.id, released=False, armed=row.status == "armed"))
    if row.direct is not None:
        return Changed(arm(session, by_key, row))
    changed = put_out(session, by_key, row, held, enough, roots=roots)
    return Changed(Approved(row.id, released=True, now=True, sole=row.sole), changed.outgoing)


def cancel_to_sign(session: Session, ctx: Context, name: str) -> tuple[Kind, bytes]:
    """What one person signs to end an alert: what was prepared with it, or made anew where that was altered.

    Raises Refused(not_found, not_permitted, alert_not_released, alert_over).
    """
    row = alert_row(session, ctx, name, P.ALERT_CANCEL)
    if row.status != "cancelled" and not is_left_over(session, row, ctx.now):
        _demand_released(row)
    if is_cancel_of(session, row):
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
    if not names_no_other(session, data, row):
        raise Refused("bad_approval", field="approval", reason="another alert")
    changed = cancel_alerts(session, ctx, data, [approval], roots=roots)
    if row.status != "cancelled":
        row.status, row.ended_by, row.ended_at = "cancelled", ctx.account, ctx.now
        session.add(row)
    _keep(session, ctx, row, AlertAction.CANCEL, approval, grants[0])
    return Changed(row.id, changed.outgoing)


def key_to_use(session: Session, ctx: Context, kind: Kind, roots: RootSet) -> str:
    """The id of the acting account's key for this kind: the newest that is in office, else the newest.

    Raises Refused(no_release_key).
    """
    own = [
        one.id for one in list_person_keys(session, account=ctx.account) if one.kind is kind and one.retired_at is None
    ]
    if not own:
        raise Refused("no_release_key", field="key", value=kind.name.lower())
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
    # Of what nobody here composed, and of what waits for weeks, whoever could have.
    if row.status != "armed" and row.composed_by not in (ctx.account, CONTROLLER):
        raise Refused("not_permitted", field="alert", value=row.composed_by)
    if row.status == "withdrawn":
        return row.id
    if row.status not in ("composed", "armed"):
        raise Refused("alert_over", field="alert", value=row.status)
    row.status, row.ended_by, row.ended_at = "withdrawn", ctx.account, ctx.now
    session.add(row)
    note_deed(session, ctx, "withdraw", "alert", row.id, detail=row.title)
    return row.id


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
    if row.status not in ("composed", "armed", "released"):
        raise Refused("alert_over", field="alert", value=row.status)
    if body.expires_at <= ctx.now + START_AFTER_MS:
        raise Refused("alert_expired", field="alert")
    return row, body


def fixed_words(body: AlertBody, data: bytes, more: str) -> str:
    """What the record holds of an alert from its composing on."""
    return f"{body.kind.name.lower()} sha256:{digest_of_body(data)} {more}"


def _made_as(row: Alert) -> str:
    """Title, and where it was made of words: a digest of them, so that nobody edits what approvers read."""
    rule = "" if row.direct is None else f" direct:{json.dumps(row.direct, sort_keys=True)}"
    if not row.event:
        return row.title + rule
    made = [row.event, row.severity, row.urgency, row.template, row.source, row.words]
    return f"{row.title} made:{hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()}{rule}"


def _bulletins(form: AlertForm, made: Making | None) -> list[str]:
    own = [made.bulletin] if made is not None and made.bulletin is not None else []
    return [*own, *form.bulletins]


def _composed_words(session: Session, name: str) -> str:
    query = select(RecordEntry.detail).where(
        RecordEntry.object_id == name, RecordEntry.object_kind == "alert", RecordEntry.verb == "compose"
    )
    return session.exec(query.order_by(col(RecordEntry.number)).limit(1)).first() or ""


def _demand_released(row: Alert) -> None:
    if row.status in ("composed", "armed"):
        raise Refused("alert_not_released", field="alert", value=row.title)
    if row.status != "released":
        raise Refused("alert_over", field="alert", value=row.status)


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
