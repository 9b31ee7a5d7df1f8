"""Alerts: composed, looked at, withdrawn. Approving and cancelling are in `alert_approvals`."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import FileResponse
from sqlmodel import Session

from api.alert_drafts import draft_of
from api.alert_shapes import (
    AlertDetail,
    AlertShown,
    LanguageText,
    NewAlert,
    StatusWord,
    alert_detail,
    alert_shown,
    kind_of,
)
from api.asking import ONCE, Cursor, Desk, DeskHere, Limit
from api.idempotency import IdempotentRoute
from api.listing import alert_ids
from api.needs import needs
from api.problems import documented
from api.shapes import AreaText, Hex16, Hex32, Page, from_cursor
from api.sound import SOUND, sound_reply
from controller.permissions import Permission
from controller.services import alert_views, alerts
from controller.services.alert_bodies import AlertForm
from controller.services.alert_views import AlertView
from controller.services.cap_alerts import asked_of
from controller.services.context import Context
from controller.tables import CapAlert
from devices.protocol.alerts import LONGEST_ALERT_MS
from devices.protocol.media import Manifest
from loa.errors import Refused

router = APIRouter(prefix="/api/v1/alerts", tags=["alerts"], route_class=IdempotentRoute)
AlertInPath = Annotated[Hex16, Path()]
_HALF_AN_HOUR_MS = 1_800_000


async def detail_of(desk: Desk, alert: str) -> AlertDetail:
    """Everything about an alert that whoever asks sees. Raises Refused(not_found)."""
    roots = desk.centre.keys.roots

    ctx = desk.centre.context(desk.account)

    def look(session: Session) -> tuple[AlertView, CapAlert | None]:
        view = alert_views.alert_view(session, ctx, alerts.alert_row(session, ctx, alert), roots=roots)
        return view, asked_of(session, [alert]).get(alert)

    return alert_detail(*await desk.centre.alerts.look(alert, look))


@router.post(
    "", operation_id="compose_alert", status_code=201, dependencies=ONCE,
    responses=documented(
        "csrf", "not_found", "empty_target", "field_required", "not_approved", "withdrawn", "drill_mismatch",
        "alert_over", "alert_not_released", "alert_altered", "too_many", "too_large", "idempotency_conflict",
        "alerts_own_words", "source_unsigned", "no_voice", "text_empty", "blank_empty", "already_exists",
        "voice_unavailable",
    ),
)  # fmt: skip
@needs(Permission.ALERT_COMPOSE)
async def compose_alert(asked: NewAlert, desk: DeskHere) -> AlertDetail:
    """Write an alert down for people to approve, with the cancel that would end it. It makes no sound.

    By `words`, or a `template` with its blanks filled, it is spoken here in each language that has a voice; with
    `severity` and `urgency` it sounds as `/alert-levels` says, but for what is given. Or of `bulletins` and `siren`.

    With `direct` it waits for a source once it is approved: no longer than 31 days, for no more than `target_areas`.

    Look at `words`, at `reach`, and at `could_approve`: those are the people to call.
    """
    if asked.is_worded:
        draft = await desk.read(lambda session, ctx: draft_of(session, ctx, asked))
        return await detail_of(desk, await desk.centre.alerts.compose_words(draft, account=desk.account))
    form = AlertForm(
        target_areas=asked.target_areas, target_nodes=asked.target_nodes, bulletins=asked.bulletins,
        kind=kind_of(asked.kind), siren=asked.siren or 0, repeats=1 if asked.repeats is None else asked.repeats,
        gap_ms=asked.gap_ms or 0, volume=asked.volume, references=asked.updates,
        lasts_ms=asked.lasts_ms or (_HALF_AN_HOUR_MS if asked.direct is None else LONGEST_ALERT_MS),
        direct=asked.direct.rule() if asked.direct is not None else None,
    )  # fmt: skip
    if asked.title is None:
        raise Refused("field_required", field="title")
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
        asked = asked_of(session, ids)
        shown = [alert_shown(row, alert_views.status_of(session, row, ctx.now), asked.get(row.id)) for row in rows]
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
    """Take back what you composed and nobody has released; of what waits for a source, whoever may compose for all its
    places. What is released is cancelled."""
    await desk.centre.alerts.withdraw(alert, account=desk.account)
    return await detail_of(desk, alert)


@router.get(
    "/{alert}/audio", operation_id="hear_alert", response_class=FileResponse,
    responses=documented("not_found", "bad_range", "alert_altered", "content_changed") | SOUND,
)  # fmt: skip
@needs(Permission.ALERT_READ)
async def hear_alert(
    alert: AlertInPath,
    request: Request,
    desk: DeskHere,
    language: Annotated[LanguageText | None, Query(description="The first sound in this language")] = None,
    rendition: Annotated[Hex32 | None, Query(description="One of its `sounds`, by digest")] = None,
) -> FileResponse:
    """What will be heard after the siren: the first sound unless one is named. Read through before it is given, so that
    what is heard here is what the signed bytes name.
    """

    def look(session: Session, ctx: Context) -> Manifest:
        row = alerts.alert_row(session, ctx, alert)
        return alert_views.sound_of(session, row, language=language, rendition=rendition)

    manifest = await desk.read(look)
    media = desk.centre.context(desk.account).media
    return sound_reply(await asyncio.to_thread(media.checked_path, manifest), request)
