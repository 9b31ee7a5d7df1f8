"""Alert bodies: what people are to approve, and the cancel that ends it. Nothing is changed here."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlmodel import Session

from controller.permissions import Permission
from controller.services.broadcasts import targets_of
from controller.services.bulletins import approved_bulletins
from controller.services.context import Context, widest
from controller.services.direct_rules import DirectRule
from controller.services.sight import broadcast_row, targets_for
from controller.services.streams import references
from controller.tables import Alert, Broadcast
from devices.protocol.alerts import LONGEST_ALERT_MS, MAX_BODY_BYTES, MAX_REFERENCES, AlertAction, AlertBody
from devices.protocol.approval import read_body
from devices.protocol.common import DRILL_ANNOUNCEMENT, MAX_ORDER_NODES, MAX_RENDITIONS, RenditionRef
from devices.protocol.documents import DEFAULT_GRACE_MS
from devices.protocol.envelope import encode
from devices.protocol.refusal import Malformed
from loa.entropy import new_id
from loa.errors import Refused
from loa.precedence import Kind, Precedence
from loa.units import DurationMs, Id16, InstantMs, Percent

SHORTEST_MS = 60_000
MOST_AREAS = 64
LONGEST_GAP_MS = 30_000
"""Silence between repeats; longer, and people take it for over."""


@dataclass(frozen=True, kw_only=True)
class AlertForm:
    """What people are to approve. `repeats` 0: until cancelled or expired. `references`: alerts that it updates.

    direct: it then waits for a source instead of going out at once.
    renditions: digests in hex of its own words, which sound before the bulletins. volume: 0 to 100, at nodes that allow
    as much; None for what each place's settings say. expires_at: instead of `lasts_ms`, which counts from now.
    """

    target_areas: Sequence[str] = ()
    target_nodes: Sequence[str] = ()
    bulletins: Sequence[str] = ()
    kind: Kind = Kind.LIVE
    siren: int = 0
    repeats: int = 1
    gap_ms: int = 0
    lasts_ms: int = 1_800_000
    renditions: Sequence[str] = ()
    volume: int | None = None
    expires_at: InstantMs | None = None
    references: Sequence[str] = ()
    direct: DirectRule | None = None


def compose_alert(session: Session, ctx: Context, form: AlertForm) -> bytes:
    """The encoded body that people approve; nothing is changed.

    Raises Refused(field_required, bad_value, not_found, not_approved, withdrawn, empty_target, too_many,
    drill_mismatch).
    """
    lasts_ms = form.lasts_ms if form.expires_at is None else form.expires_at - ctx.now
    _check_form(form, lasts_ms)
    targets = targets_for(session, ctx, Permission.ALERT_RELEASE, form.target_areas, form.target_nodes)
    if len(targets.areas) > MOST_AREAS:
        raise Refused("too_many", field="target_areas", limit=MOST_AREAS)
    if len(targets.nodes) > MAX_ORDER_NODES:
        raise Refused("too_many", field="target_nodes", limit=MAX_ORDER_NODES)
    bulletins = approved_bulletins(session, ctx, form.bulletins, field="bulletins") if form.bulletins else []
    digests = [*form.renditions, *(digest for row in bulletins for digest in row.renditions)]
    if len(digests) > MAX_RENDITIONS:
        raise Refused("too_many", field="bulletins", limit=MAX_RENDITIONS)
    refs = references(session, set(digests))
    updated = [emergency_row(session, one) for one in form.references]
    check_kinds(form.kind, updated)
    body = AlertBody(
        id=new_id(ctx.entropy),
        kind=form.kind,
        areas=targets.areas,
        nodes=targets.nodes,
        renditions=tuple(_without_stream(refs[digest]) for digest in digests),
        siren=form.siren,
        repeats=form.repeats,
        gap_ms=DurationMs(form.gap_ms),
        volume=None if form.volume is None else Percent(form.volume),
        not_before=ctx.now,
        expires_at=InstantMs(ctx.now + lasts_ms),
        references=tuple(id_of(row) for row in updated),
        composed_at=ctx.now,
    )
    return _readable(body)


def compose_cancel(session: Session, ctx: Context, alerts: Sequence[str]) -> bytes:
    """The encoded body by which a person ends these alerts; nothing is changed.

    Raises Refused(field_required, too_many, not_found, drill_mismatch, broadcast_over).
    """
    if not alerts:
        raise Refused("field_required", field="alerts")
    if len(alerts) > MAX_REFERENCES:
        raise Refused("too_many", field="alerts", limit=MAX_REFERENCES)
    rows = [emergency_row(session, one) for one in alerts]
    for row in rows:
        broadcast_row(session, ctx, row.id, Permission.ALERT_CANCEL)
    check_kinds(Kind(rows[0].kind), rows)
    for row in rows:
        if row.status not in ("issued", "recalled") or row.expires_at <= ctx.now:
            raise Refused("broadcast_over", field="alerts", value=row.title)
    targets = [targets_of(row) for row in rows]
    body = AlertBody(
        id=new_id(ctx.entropy),
        action=AlertAction.CANCEL,
        kind=Kind(rows[0].kind),
        areas=widest(area for one in targets for area in one.areas),
        nodes=tuple(sorted({name for one in targets for name in one.nodes})),
        not_before=ctx.now,
        # As long as one of the alerts might still come late to a node.
        expires_at=InstantMs(max(ctx.now + DEFAULT_GRACE_MS, *(row.expires_at for row in rows))),
        references=tuple(id_of(row) for row in rows),
        composed_at=ctx.now,
    )
    return _readable(body)


def prepare_cancel(ctx: Context, body: AlertBody, replaced: Sequence[Alert] = ()) -> bytes:
    """The encoded body by which a person ends an alert that is not released yet; nothing is changed.

    replaced: what the alert takes the place of, which is ended with it: a node that missed the update sounds it still.
    """
    longest = body.composed_at + LONGEST_ALERT_MS
    over_at = max([body.expires_at, *(row.expires_at for row in replaced)])
    cancel = AlertBody(
        id=new_id(ctx.entropy),
        action=AlertAction.CANCEL,
        kind=body.kind,
        areas=body.areas,
        nodes=body.nodes,
        not_before=body.not_before,
        expires_at=InstantMs(min(over_at + DEFAULT_GRACE_MS, longest)),
        references=(body.id, *(Id16(bytes.fromhex(row.id)) for row in replaced)),
        composed_at=body.composed_at,
    )
    return _readable(cancel)


def _check_form(form: AlertForm, lasts_ms: int) -> None:
    if not (form.bulletins or form.renditions or form.siren):
        raise Refused("field_required", field="bulletins")
    for field, value, least, most in (
        ("siren", form.siren, 0, DRILL_ANNOUNCEMENT - 1),
        ("repeats", form.repeats, 0, 255),
        ("gap_ms", form.gap_ms, 0, LONGEST_GAP_MS),
        ("volume", 0 if form.volume is None else form.volume, 0, 100),
        ("lasts_ms" if form.expires_at is None else "expires_at", lasts_ms, SHORTEST_MS, LONGEST_ALERT_MS),
        ("references", len(form.references), 0, MAX_REFERENCES),
    ):
        if not least <= value <= most:
            raise Refused("bad_value", field=field, limit=f"{least}–{most}", reason=value)


def _readable(body: AlertBody) -> bytes:
    """Its bytes; people must not approve what no node can read. Raises Refused(too_many): places, above all."""
    data = encode(body)
    try:
        read_body(data)
    except Malformed as error:
        raise Refused("too_many", field="target_areas", limit=f"{MOST_AREAS}, {MAX_BODY_BYTES} bytes") from error
    return data


def check_kinds(kind: Kind, rows: Sequence[Broadcast]) -> None:
    for row in rows:
        if row.kind != int(kind):
            raise Refused("drill_mismatch", field="references", reason=row.id)


def emergency_row(session: Session, id: str) -> Broadcast:  # noqa: A002
    row = session.get(Broadcast, id)
    if row is None or row.precedence != int(Precedence.EMERGENCY):
        raise Refused("not_found", field="alert", value=id[:64])
    return row


def id_of(row: Broadcast) -> Id16:
    return Id16(bytes.fromhex(row.id))


def _without_stream(ref: RenditionRef) -> RenditionRef:
    return replace(ref, stream_at=None, pace=None)
