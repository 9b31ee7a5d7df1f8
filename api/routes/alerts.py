"""Alerts: composed, looked at, withdrawn. Approving and cancelling are in `alert_approvals`."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from sqlmodel import Session

from api.alert_shapes import AlertDetail, AlertShown, NewAlert, StatusWord, alert_detail, alert_shown, kind_of
from api.asking import ONCE, Cursor, Desk, DeskHere, Limit
from api.idempotency import IdempotentRoute
from api.listing import alert_ids
from api.needs import needs
from api.problems import documented
from api.shapes import AreaText, Hex16, Page, from_cursor
from controller.permissions import Permission
from controller.services import alert_views, alerts
from controller.services.alert_views import AlertView
from controller.services.context import Context
from controller.services.emergencies import AlertForm

router = APIRouter(prefix="/api/v1/alerts", tags=["alerts"], route_class=IdempotentRoute)
AlertInPath = Annotated[Hex16, Path()]


async def detail_of(desk: Desk, alert: str) -> AlertDetail:
    """Everything about an alert that whoever asks sees. Raises Refused(not_found)."""
    roots = desk.centre.keys.roots

    def look(session: Session, ctx: Context) -> AlertView:
        return alert_views.alert_view(session, ctx, alerts.alert_row(session, ctx, alert), roots=roots)

    return alert_detail(await desk.read(look))


@router.post(
    "", operation_id="compose_alert", status_code=201, dependencies=ONCE,
    responses=documented(
        "csrf", "not_found", "empty_target", "field_required", "not_approved", "withdrawn", "drill_mismatch",
        "alert_over", "alert_not_released", "alert_altered", "too_many", "too_large", "idempotency_conflict",
    ),
)  # fmt: skip
@needs(Permission.ALERT_COMPOSE)
async def compose_alert(asked: NewAlert, desk: DeskHere) -> AlertDetail:
    """Write an alert down for people to approve, with the cancel that would end it. It makes no sound.

    Look at `words`, at `reach`, and at `could_approve`: those are the people to call.
    """
    form = AlertForm(
        target_areas=asked.target_areas, target_nodes=asked.target_nodes, bulletins=asked.bulletins,
        kind=kind_of(asked.kind), siren=asked.siren, repeats=asked.repeats, gap_ms=asked.gap_ms,
        lasts_ms=asked.lasts_ms, references=asked.updates,
    )  # fmt: skip
    made = await desk.centre.alerts.compose(form, title=asked.title, account=desk.account)
    return await detail_of(desk, made)


@router.get("", operation_id="list_alerts", responses=documented("bad_cursor"))
@needs(Permission.ALERT_READ)
async def list_alerts(
    desk: DeskHere,
    *,
    limit: Limit = 50,
    cursor: Cursor = None,
    area: Annotated[AreaText | None, Query(description="Only those of this place")] = None,
    status: Annotated[StatusWord | None, Query(description="composed: those that wait for people")] = None,
) -> Page[AlertShown]:
    """The newest first."""
    after = from_cursor(cursor, int, str)

    def look(session: Session, ctx: Context) -> Page[AlertShown]:
        ids, more = alert_ids(session, ctx, area=area, status=status, after=after, limit=limit)
        rows = [alerts.alert_row(session, ctx, one) for one in ids]
        shown = [alert_shown(row, alert_views.status_of(session, row, ctx.now)) for row in rows]
        return Page(items=shown, next_cursor=more)

    return await desk.read(look)


@router.get("/{alert}", operation_id="get_alert", responses=documented("not_found"))
@needs(Permission.ALERT_READ)
async def get_alert(alert: AlertInPath, desk: DeskHere) -> AlertDetail:
    """One alert: its words, its bytes, whom it means, who has approved it and who could."""
    return await detail_of(desk, alert)


@router.post(
    "/{alert}/withdraw", operation_id="withdraw_alert", responses=documented("csrf", "not_found", "alert_over")
)
@needs(Permission.ALERT_COMPOSE)
async def withdraw_alert(alert: AlertInPath, desk: DeskHere) -> AlertDetail:
    """Take back what you composed and nobody has released. What is released is cancelled."""
    await desk.centre.alerts.withdraw(alert, account=desk.account)
    return await detail_of(desk, alert)
