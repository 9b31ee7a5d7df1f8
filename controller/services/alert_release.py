"""An alert that enough people approved: it goes out, or is armed to wait for its source."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from controller.services.bulletins import approve_alert_words, approved_bulletins
from controller.services.context import Changed, Context, note_deed
from controller.services.direct_rules import Within
from controller.services.emergencies import grants_behind, release_alert
from controller.tables import Alert, AlertApproval, Broadcast
from devices.protocol.alerts import AlertAction
from devices.protocol.grants import Grant
from devices.protocol.trust import RootSet
from loa.errors import Refused

RECORDING = "recording"
"""Instead of a voice's name: a standing recording, which lies at the nodes."""


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
    armed: bool = False
    """Approved, and it waits for its source."""


def put_out(
    session: Session,
    ctx: Context,
    row: Alert,
    held: Sequence[AlertApproval],
    enough: tuple[Grant, ...],
    *,
    roots: RootSet,
    within: Within | None = None,
) -> Changed[str]:
    """An alert goes out by the approvals that hold, as a whole or that part of it. enough: the grants among them that
    are, as `enough_of` says.

    Raises Refused as `emergencies.release_alert`; withdrawn, not_approved for the recordings that it names.
    """
    keys = {grant.key_id.hex() for grant in enough}
    _approve_words(session, ctx, row)
    changed = release_alert(
        session, ctx, row.body, [one.approval for one in held if one.key in keys], roots=roots,
        title=row.title, bulletins=row.bulletins, only_where_spoken=_only_where_spoken(row), within=within,
    )  # fmt: skip
    _mark_released(session, ctx, row, enough)
    return changed


def arm(session: Session, ctx: Context, row: Alert) -> Approved:
    """Enough people have said that it may go out when its source says so."""
    if row.status == "composed":
        _approve_words(session, ctx, row)
        row.status, row.armed_at = "armed", ctx.now
        session.add(row)
        note_deed(
            session,
            ctx,
            "arm",
            "alert",
            row.id,
            detail=json.dumps(row.direct, sort_keys=True, ensure_ascii=False)[:200],
        )
    return Approved(row.id, released=False, armed=True)


def approvals_of(session: Session, alert: str, action: AlertAction) -> list[AlertApproval]:
    """In the order in which they were given."""
    query = select(AlertApproval).where(AlertApproval.alert == alert, AlertApproval.action == int(action))
    return list(session.exec(query.order_by(col(AlertApproval.at), col(AlertApproval.key))))


def approvals_that_hold(session: Session, ctx: Context, row: Alert, roots: RootSet) -> list[AlertApproval]:
    """Those that still count: a person whose key was revoked must not hold up the others."""
    given = approvals_of(session, row.id, AlertAction.RELEASE)
    return [one for one in given if _holds(session, ctx, one, row, roots)]


def _only_where_spoken(row: Alert) -> frozenset[str]:
    """Languages that nobody worded: of them there are recordings, for those who speak them."""
    return frozenset(one["language"] for one in row.words if one["voice"] == RECORDING and not one["text"])


def _holds(session: Session, ctx: Context, one: AlertApproval, row: Alert, roots: RootSet) -> bool:
    """Whether an approval that is kept still counts: a person whose key was revoked must not hold up the others."""
    try:
        grants_behind(session, ctx, row.body, one.approval, roots=roots)
    except Refused:
        return False
    return True


def _approve_words(session: Session, ctx: Context, row: Alert) -> None:
    others = approve_alert_words(session, ctx, row.id, row.bulletins)
    if others:
        approved_bulletins(session, ctx, others, field="bulletins")


def _mark_released(session: Session, ctx: Context, row: Alert, enough: tuple[Grant, ...]) -> None:
    row.status, row.released_at = "released", ctx.now
    alone = enough[0] if len(enough) == 1 and enough[0].sole else None
    if alone is not None:
        row.sole = alone.holder
        note_deed(session, ctx, "release_alone", "alert", row.id, detail=f"{alone.holder} {alone.appointed_area}")
    session.add(row)
    for name in row.updates:
        before, sent = session.get(Alert, name), session.get(Broadcast, name)
        # One that goes on elsewhere stays released: people must see it, and be able to end it.
        if before is not None and before.status == "released" and (sent is None or sent.status != "issued"):
            before.status, before.ended_by, before.ended_at = "updated", ctx.account, ctx.now
            session.add(before)
