"""Alerts of others in CAP: taken by POST, looked at, composed where a person has to choose; their sources."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from sqlmodel import Session

from api.alert_shapes import AlertDetail
from api.asking import Cursor, DeskHere, Limit
from api.cap_shapes import (
    CapAnswers,
    CapAreas,
    CapDetail,
    CapShown,
    CapSourceShown,
    NewCapSource,
    StateWord,
    answer,
    cap_detail,
    cap_shown,
    source_shown,
)
from api.listing import cap_rows
from api.needs import needs
from api.problems import documented, language_of
from api.routes.alerts import detail_of
from api.shapes import Hex16, LookedAt, NameText, Page, from_cursor
from controller.permissions import Permission
from controller.services import cap_alerts, cap_sources
from controller.services.context import Context
from controller.tables import CapSource
from loa.problems import Language
from loa.problems_cap import CAP_PROBLEMS

router = APIRouter(prefix="/api/v1/cap", tags=["cap"])
CapInPath = Annotated[Hex16, Path()]
SourceInPath = Annotated[NameText, Path()]
P = Permission
_BODY = {
    "requestBody": {
        "required": True,
        "description": "One alert in CAP 1.0, 1.1 or 1.2, or a feed or wrapper with several",
        "content": {"application/cap+xml": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_SEVERAL = 207


def _language(request: Request) -> Language:
    return language_of(request.headers.get("accept-language"))


@router.post(
    "", operation_id="submit_cap", response_model=CapAnswers, status_code=201, openapi_extra=_BODY,
    responses={
        200: {"model": CapAnswers, "description": "`already_known`"},
        202: {"model": CapAnswers, "description": "`accepted_exercise`, `accepted_test`; or kept, and not composed"},
        207: {"model": CapAnswers, "description": "Several alerts, each with a status of its own"},
        **documented("csrf", "not_found", "too_large", *sorted(CAP_PROBLEMS)),
    },
)  # fmt: skip
@needs(P.CAP_SUBMIT)
async def submit_cap(
    request: Request,
    desk: DeskHere,
    source: Annotated[NameText | None, Query(description="By which of the known sources it comes")] = None,
) -> Response:
    """Hand in an alert of somebody else's. Nothing sounds: an Actual becomes an alert, an Exercise a drill, that waits
    for people; a Test is kept. The judgement is that of `loa cap check`, held against this province's areas.
    """
    desk.everywhere(P.CAP_SUBMIT)
    kept = await desk.centre.cap.submit(await request.body(), account=desk.account, source=source or "")
    if len(kept) == 1 and kept[0].verdict.problem is not None:
        raise kept[0].verdict.problem
    language = _language(request)
    answers = [answer(one, language) for one in kept]
    status = answers[0].http_status if len(answers) == 1 else _SEVERAL
    if status == 201 and answers[0].alert is None:
        status = 202
    return JSONResponse(CapAnswers(items=answers).model_dump(mode="json"), status_code=status)


@router.get("", operation_id="list_cap", responses=documented("bad_cursor"))
@needs(P.ALERT_READ)
async def list_cap(
    request: Request,
    desk: DeskHere,
    *,
    limit: Limit = 50,
    cursor: Cursor = None,
    state: Annotated[StateWord | None, Query(description="needs_area, cancel_asked: those that wait for you")] = None,
    source: Annotated[NameText | None, Query(description="Only what came by this source")] = None,
    refused: Annotated[bool | None, Query(description="Only those that were, or were not")] = None,
) -> Page[CapShown]:
    """Alerts of others, the newest first."""
    desk.everywhere(P.ALERT_READ)
    after = from_cursor(cursor, int, str)
    language = _language(request)

    def look(session: Session, _: Context) -> Page[CapShown]:
        rows, more = cap_rows(session, state=state, source=source, refused=refused, after=after, limit=limit)
        return Page(items=[cap_shown(row, language) for row in rows], next_cursor=more)

    return await desk.read(look)


@router.get("/sources", operation_id="list_cap_sources", responses=documented())
@needs(P.ALERT_READ)
async def list_cap_sources(request: Request, desk: DeskHere) -> Page[CapSourceShown]:
    """Whose alerts are taken, by name, and how their feeds are doing."""
    desk.everywhere(P.ALERT_READ)
    rows = await desk.read(lambda session, _: cap_sources.sources(session))
    return Page(items=[source_shown(row, _language(request)) for row in rows])


@router.put(
    "/sources/{source}", operation_id="put_cap_source",
    responses=documented(
        "csrf", "bad_source_url", "bad_key_file", "bad_value", "field_required", "too_many", "fresh_code_required",
        "content_changed",
    ),
)  # fmt: skip
@needs(P.KEY_MANAGE)
async def put_cap_source(source: SourceInPath, asked: NewCapSource, request: Request, desk: DeskHere) -> CapSourceShown:
    """Add a source, or put it in the place of the one of this name. Its feed is read at once."""

    def work(session: Session, ctx: Context) -> CapSource:
        return cap_sources.put_source(session, ctx, asked.form(source), seen=asked.content_hash)

    row = await desk.note(work)
    desk.centre.cap_feeds.look_again()
    return source_shown(row, _language(request))


@router.delete(
    "/sources/{source}", operation_id="remove_cap_source", status_code=204,
    responses=documented("csrf", "not_found", "fresh_code_required", "content_changed"),
)  # fmt: skip
@needs(P.KEY_MANAGE)
async def remove_cap_source(
    source: SourceInPath,
    desk: DeskHere,
    content_hash: Annotated[LookedAt, Query(description="Of what you looked at")] = None,
) -> None:
    """Its keys count no more, its feed is not read. What came from it stays."""
    await desk.note(lambda session, ctx: cap_sources.remove_source(session, ctx, source, seen=content_hash))
    desk.centre.cap_feeds.look_again()


@router.get("/{cap}", operation_id="get_cap", responses=documented("not_found"))
@needs(P.ALERT_READ)
async def get_cap(cap: CapInPath, request: Request, desk: DeskHere) -> CapDetail:
    """An alert of somebody else's as it came, with what was made of it."""
    desk.everywhere(P.ALERT_READ)
    row = await desk.read(lambda session, _: cap_alerts.cap_row(session, cap))
    return cap_detail(row, await desk.centre.cap.refusal_of(row), _language(request))


@router.post(
    "/{cap}/compose", operation_id="compose_cap", status_code=201,
    responses=documented("csrf", "not_found", "cap_not_composable", "empty_target", "expired", "voice_unavailable"),
)  # fmt: skip
@needs(P.ALERT_COMPOSE)
async def compose_cap(cap: CapInPath, asked: CapAreas, desk: DeskHere) -> AlertDetail:
    """Say where an alert is for that only named its areas. It is composed for there, and waits for people."""
    desk.everywhere(P.ALERT_COMPOSE)
    return await detail_of(desk, await desk.centre.cap.compose(cap, asked.target_areas, account=desk.account))


@router.post("/{cap}/settle", operation_id="settle_cap", responses=documented("csrf", "not_found"))
@needs(P.ALERT_CANCEL)
async def settle_cap(cap: CapInPath, request: Request, desk: DeskHere) -> CapShown:
    """Its source wants alerts cancelled; you looked at it, and it need not be shown as asked any more."""
    desk.everywhere(P.ALERT_CANCEL)
    row = await desk.note(lambda session, ctx: cap_alerts.settle(session, ctx, cap))
    return cap_shown(row, _language(request))
