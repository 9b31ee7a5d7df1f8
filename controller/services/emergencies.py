"""Emergencies: an alert body that people approved is released or cancelled (`alert_bodies` composes them).

Who suffices is asked by the very rule that every node asks (`devices.protocol.approval`), so nobody is told "released"
about what the nodes would refuse. The order goes the way of every order: owed until each node confirms it.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from sqlmodel import Session

from controller.permissions import Permission
from controller.services.alert_bodies import check_kinds, emergency_row, id_of
from controller.services.alert_languages import give_where_spoken
from controller.services.broadcasts import area_of, expect_nodes, mark_recalled, targets_of
from controller.services.context import Changed, Context, Outgoing, note_deed
from controller.services.direct_rules import Within
from controller.services.orders import Targets, give_order, owe_longer
from controller.services.sight import targets_for
from controller.services.streams import references, slowest_rate, stream_now
from controller.services.trust import authority_in_force
from controller.tables import Alert, Broadcast, Node
from devices.protocol import cose
from devices.protocol.alerts import AlertAction, AlertBody
from devices.protocol.approval import MAX_APPROVAL_BYTES, check_approvals, covers_all, read_body
from devices.protocol.common import RenditionRef
from devices.protocol.grants import Grant
from devices.protocol.orders import MAX_APPROVALS, Order, OrderAction
from devices.protocol.refusal import RefusalReason, WireRefusal
from devices.protocol.trust import Power, RootSet
from loa.entropy import new_id
from loa.errors import Refused
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from loa.units import InstantMs, NodeId
from scheduler.rules.spread import StreamStart, pace_for

START_AFTER_MS = 500
"""An emergency starts this long after its issue: one trip through the network, and late ones join in phase."""
_CODES = {
    RefusalReason.APPROVAL_MISSING: "second_person_required",
    RefusalReason.MANDATE_EXCEEDED: "mandate_exceeded",
    RefusalReason.DRILL_MISMATCH: "drill_mismatch",
    RefusalReason.REVOKED: "key_revoked",
    RefusalReason.EXPIRED: "mandate_expired",
    RefusalReason.UNTRUSTED_KEY: "key_unknown",
}


def release_alert(
    session: Session,
    ctx: Context,
    data: bytes,
    approvals: Sequence[bytes],
    *,
    roots: RootSet,
    title: str = "",
    bulletins: Sequence[str] = (),
    only_where_spoken: Collection[str] = (),
    within: Within | None = None,
) -> Changed[str]:
    """Put out an alert that enough people approved; its id is the broadcast's. `data` is the body as composed.

    only_where_spoken: languages that are left out where nobody speaks them. within: the part of it that goes out;
    nodes hold it against what was approved.
    Raises Refused(second_person_required, mandate_exceeded, mandate_expired, drill_mismatch, key_revoked, key_unknown,
    bad_approval, alert_expired, already_exists, not_found, empty_target).
    """
    body = _read(data, AlertAction.RELEASE)
    if body.expires_at <= ctx.now + START_AFTER_MS:
        raise Refused("alert_expired", field="body")
    if session.get(Broadcast, body.id.hex()) is not None:
        raise Refused("already_exists", field="body", value=body.id.hex())
    grants = _checked(session, ctx, data, body, approvals, roots)
    updated = [emergency_row(session, reference.hex()) for reference in body.references]
    _check_reach(session, grants, updated, body.kind)
    areas, until = (body.areas, body.expires_at) if within is None else (within.areas, within.expires_at)
    targets = targets_for(session, ctx, Permission.ALERT_RELEASE, areas, body.nodes)
    refs = _streamed(session, ctx, body, targets)
    row = _row(session, ctx, body, targets, title=title, bulletins=bulletins, until=until)
    for one in updated:
        if one.status == "issued":
            _take_place(session, ctx, one, row, whole=_whole(session, targets))
    order = Order(
        id=body.id, action=OrderAction.PLAY, nodes=(NodeId("any"),), precedence=Precedence.EMERGENCY, kind=body.kind,
        issued_at=ctx.now, start_at=InstantMs(row.start_at), expires_at=until, renditions=refs,
        repeats=body.repeats, gap_ms=body.gap_ms, siren=body.siren, volume=body.volume,
        replaces=body.references, alert_body=data, approvals=_carried(data, approvals, grants),
    )  # fmt: skip
    note_deed(session, _under(ctx, grants), "release", "broadcast", row.id, detail=_by_whom(grants))
    out = give_where_spoken(session, ctx, order, targets, only_where_spoken)
    owe_longer(session, row.id, InstantMs(max((one.expires_at for one in updated), default=0)))
    return Changed(row.id, out)


def cancel_alerts(
    session: Session, ctx: Context, data: bytes, approvals: Sequence[bytes], *, roots: RootSet
) -> Changed[tuple[str, ...]]:
    """End the alerts that an approved cancel names; their ids. Once more changes nothing but sends it again.

    Raises Refused as `release_alert`, without empty_target.
    """
    body = _read(data, AlertAction.CANCEL)
    if body.expires_at <= ctx.now:
        raise Refused("alert_expired", field="body")
    grants = _checked(session, ctx, data, body, approvals, roots)
    rows = [emergency_row(session, reference.hex()) for reference in body.references]
    _check_reach(session, grants, rows, body.kind)
    out = Outgoing()
    for row in rows:
        if row.status == "issued":
            mark_recalled(session, ctx, row)
        note_deed(session, _under(ctx, grants), "cancel", "broadcast", row.id, detail=_by_whom(grants))
        order = Order(
            id=new_id(ctx.entropy), action=OrderAction.STOP, nodes=(NodeId("any"),), precedence=Precedence.EMERGENCY,
            kind=body.kind, issued_at=ctx.now, start_at=InstantMs(max(ctx.now, body.not_before)),
            expires_at=body.expires_at, subject=id_of(row), alert_body=data,
            approvals=_carried(data, approvals, grants),
        )  # fmt: skip
        targets = targets_of(row)
        if targets.anybody(session):
            out += give_order(session, ctx, order, targets)
    return Changed(tuple(row.id for row in rows), out)


def check_enough(
    session: Session, ctx: Context, data: bytes, approvals: Sequence[bytes], *, roots: RootSet
) -> tuple[str, ...]:
    """The holders by whose word this body would count now. Raises Refused as `release_alert` where too few approved."""
    return tuple(grant.holder for grant in _checked(session, ctx, data, _read(data), approvals, roots))


def enough_of(
    session: Session, ctx: Context, data: bytes, approvals: Sequence[bytes], *, roots: RootSet
) -> tuple[Grant, ...]:
    """The grants by which this body would count now. Raises Refused as `check_enough`."""
    return _checked(session, ctx, data, _read(data), approvals, roots)


def grants_behind(session: Session, ctx: Context, data: bytes, approval: bytes, *, roots: RootSet) -> tuple[Grant, ...]:
    """By which its signer may approve this body now, alone or as one of two.

    Raises Refused(bad_approval, key_unknown, key_revoked, mandate_expired, mandate_exceeded, drill_mismatch).
    """
    body = _read(data)
    try:
        signature = cose.read_detached(approval, data, max_bytes=MAX_APPROVAL_BYTES)
        authority = authority_in_force(session, ctx, roots)
        return authority.grants_in_force(
            authority.check_signature(signature), power=Power.APPROVE, now_ms=ctx.now,
            areas=whole_of(session, body.areas, body.nodes), precedence=Precedence.EMERGENCY, kind=body.kind,
        )  # fmt: skip
    except WireRefusal as refusal:
        code = _CODES.get(refusal.reason, "bad_approval")
        raise Refused(code, field="approval", reason=refusal.detail) from refusal


def whole_of(session: Session, areas: Sequence[AreaPath], nodes: Sequence[NodeId]) -> tuple[AreaPath, ...]:
    """All places that an alert to these is for."""
    return _whole(session, Targets(tuple(areas), tuple(nodes)))


def _read(data: bytes, action: AlertAction | None = None) -> AlertBody:
    try:
        body = read_body(data)
    except WireRefusal as refusal:
        raise Refused("bad_approval", field="body", reason=refusal.detail) from refusal
    if action is not None and body.action is not action:
        raise Refused("bad_approval", field="body", reason=f"not a {action.name.lower()}")
    return body


def _checked(  # noqa: PLR0917
    session: Session, ctx: Context, data: bytes, body: AlertBody, approvals: Sequence[bytes], roots: RootSet
) -> tuple[Grant, ...]:
    whole = _whole(session, Targets(body.areas, body.nodes))
    try:
        return check_approvals(
            data,
            approvals,
            authority_in_force(session, ctx, roots),
            whole=whole,
            now_ms=ctx.now,
            carrier=ctx.keys.key_id,
        )
    except WireRefusal as refusal:
        code = _CODES.get(refusal.reason, "bad_approval")
        raise Refused(code, field="approvals", limit=2, reason=refusal.detail) from refusal


def _whole(session: Session, targets: Targets) -> tuple[AreaPath, ...]:
    """All places that an alert is for."""
    rows = [session.get(Node, name) for name in targets.nodes]
    return (*targets.areas, *(AreaPath(row.area) for row in rows if row is not None))


def _carried(data: bytes, approvals: Sequence[bytes], grants: Sequence[Grant]) -> tuple[bytes, ...]:
    """What an order has room for: those that are enough, then others, should a node not know one of the first yet."""
    enough = {grant.key_id for grant in grants}
    signers = {one: cose.read_detached(one, data, max_bytes=MAX_APPROVAL_BYTES).key_id for one in approvals}
    return tuple(sorted(signers, key=lambda one: signers[one] not in enough)[:MAX_APPROVALS])


def _take_place(
    session: Session, ctx: Context, old: Broadcast, new: Broadcast, *, whole: Sequence[AreaPath]
) -> None:  # fmt: skip
    """An update counts at the nodes that it is for. Elsewhere the alert goes on: nobody there hears of its end."""
    if all(any(wider.covers(place) for wider in whole) for place in _whole(session, targets_of(old))):
        mark_recalled(session, ctx, old)
        old.note = f"updated by {new.id}"
    else:
        old.note = f"updated by {new.id} in part"
    session.add(old)


def _check_reach(session: Session, grants: Sequence[Grant], rows: Sequence[Broadcast], kind: Kind) -> None:
    """Whether these people may end those alerts."""
    check_kinds(kind, rows)
    reach = [grant.area for grant in grants]
    for row in rows:
        if not covers_all(reach, _approved_for(session, row)):
            raise Refused("mandate_exceeded", field="references", reason=f"{row.id} is for more than {reach[0]}")


def _approved_for(session: Session, row: Broadcast) -> tuple[AreaPath, ...]:
    """All places that people approved it for, where a source put out a part of it: nodes hold that against it."""
    alert = session.get(Alert, row.id)
    if alert is None or alert.released_by_cap is None:
        return _whole(session, targets_of(row))
    body = _read(alert.body)
    return _whole(session, Targets(body.areas, body.nodes))


def reach_needed(session: Session, body: AlertBody) -> tuple[AreaPath, ...]:
    """All places that whoever releases it must be appointed over: its own, and those of what it takes the place of."""
    updated = [session.get(Broadcast, reference.hex()) for reference in body.references]
    whole = _whole(session, Targets(body.areas, body.nodes))
    return (*whole, *(place for row in updated if row is not None for place in _approved_for(session, row)))


def _streamed(session: Session, ctx: Context, body: AlertBody, targets: Targets) -> tuple[RenditionRef, ...]:
    """The renditions as the order names them; those that never had a stream get one at once."""
    digests = [ref.digest.hex() for ref in body.renditions]
    refs = references(session, set(digests))
    for digest in digests:
        if digest not in refs:
            raise Refused("not_found", field="rendition", value=digest)
    pace = pace_for(slowest_rate(session, targets.are_meant()))
    late = [ref for ref in refs.values() if ref.stream_at is None or ref.stream_at > ctx.now]
    stream_now(session, [StreamStart(ref.digest, InstantMs(ctx.now + START_AFTER_MS), pace) for ref in late])
    fresh = references(session, set(digests))
    return tuple(fresh[digest] for digest in digests)


def _row(
    session: Session,
    ctx: Context,
    body: AlertBody,
    targets: Targets,
    *,
    title: str,
    bulletins: Sequence[str],
    until: InstantMs,
) -> Broadcast:
    start_at = InstantMs(max(ctx.now + START_AFTER_MS, body.not_before))
    once = sum(ref.duration_ms for ref in body.renditions) + body.gap_ms
    lasts = until - start_at if body.repeats == 0 or not body.renditions else once * body.repeats
    row = Broadcast(
        id=body.id.hex(),
        scheduled=False,
        title=title.strip()[:200] or body.id.hex(),
        area=area_of(session, ctx, targets),
        target_areas=[str(path) for path in targets.areas],
        target_nodes=[str(name) for name in targets.nodes],
        bulletins=list(bulletins),
        renditions=[ref.digest.hex() for ref in body.renditions],
        precedence=int(Precedence.EMERGENCY),
        kind=int(body.kind),
        start_at=start_at,
        duration_ms=min(lasts, until - start_at),
        expires_at=until,
        status="issued",
        repeats=body.repeats,
        replaces=[reference.hex() for reference in body.references],
        created_by=ctx.account,
        created_at=ctx.now,
    )
    session.add(row)
    session.flush()
    expect_nodes(session, row.id, targets)
    return row


def _under(ctx: Context, grants: Sequence[Grant]) -> Context:
    """For the record: what is released went out under the approvers' keys."""
    return replace(ctx, key_id=b"".join(grant.key_id for grant in grants))


def _by_whom(grants: Sequence[Grant]) -> str:
    """For the record; a sole appointment's use is always told."""
    return ", ".join(f"{grant.holder}{' (sole)' if grant.sole else ''}" for grant in grants)
