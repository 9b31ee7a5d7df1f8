"""Alerts that were approved beforehand and wait for a source: what its word puts out (`direct_rules` says when)."""

from sqlmodel import Session, col, select

from controller.services.alert_release import Approved, approvals_that_hold, put_out
from controller.services.alerts import checked_body
from controller.services.context import Changed, Context, note_deed
from controller.services.direct_rules import Heard, has_keys, meant_by, rule_of
from controller.services.emergencies import enough_of
from controller.tables import Alert, Area, Broadcast, Bulletin
from devices.protocol.trust import RootSet
from loa.errors import Refused


def standing_of(session: Session, ctx: Context, row: Alert, roots: RootSet) -> tuple[bool, bool]:
    """Whether its approvals still are enough, and whether it would go out: its source has keys, its places are there
    and its recordings approved.
    """
    rule = rule_of(row)
    held = approvals_that_hold(session, ctx, row, roots)
    try:
        enough_of(session, ctx, row.body, [one.approval for one in held], roots=roots)
    except Refused:
        return False, False
    return True, rule is not None and has_keys(session, rule) and _is_all_there(session, row)


def _is_all_there(session: Session, row: Alert) -> bool:
    sounds = session.exec(select(Bulletin.status).where(col(Bulletin.id).in_(row.bulletins))).all()
    return all(one == "approved" for one in sounds) and all(session.get(Area, path) for path in row.target_areas)


def put_out_armed(
    session: Session, ctx: Context, name: str, heard: Heard, *, roots: RootSet
) -> Changed[Approved | None]:
    """Put out what waits for this source, in those of its places that the source names; None where it does not wait
    any more.

    Raises Refused as `alerts.checked_body` and `emergencies.release_alert`: people have the alert that is composed of
    the source's all the same.
    """
    row, within = session.get(Alert, name), meant_by(session, heard, ctx.now).get(name)
    if row is None or within is None:
        return Changed(None)
    checked_body(session, row)
    held = approvals_that_hold(session, ctx, row, roots)
    enough = enough_of(session, ctx, row.body, [one.approval for one in held], roots=roots)
    changed = put_out(session, ctx, row, held, enough, roots=roots, within=within)
    row.target_areas, row.area = [*within.areas], session.get_one(Broadcast, row.id).area
    row.expires_at, row.released_by_cap = within.expires_at, heard.cap
    session.add(row)
    note_deed(
        session, ctx, "release_direct", "alert", row.id, detail=f"{heard.cap} {heard.sender} {heard.identifier}"[:200]
    )
    return Changed(Approved(row.id, released=True, now=True, sole=row.sole), changed.outgoing)


def note_silent(session: Session, ctx: Context, name: str, heard: Heard, code: str) -> None:
    """For the record: a source's word would have put it out, and it could not be."""
    note_deed(session, ctx, "direct_refused", "alert", name, detail=f"{code} {heard.cap}"[:200])
