"""Who heard an alert: its board, live; sent again; closed; its report."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field
from sqlmodel import Session

from api.asking import Cursor, Desk, DeskHere, Limit
from api.board_shapes import (
    BoardShown,
    NodeLine,
    PlaceShown,
    SentAgain,
    StateWord,
    board_shown,
    line_shown,
    place_shown,
)
from api.needs import needs
from api.problems import documented
from api.routes.alerts import AlertInPath
from api.shapes import AreaText, Asked, Page, from_cursor, to_cursor
from controller import ladder
from controller.ladder import Place
from controller.permissions import Permission
from controller.services import alert_report, alerts, boards
from controller.services.boards import Board
from controller.services.context import Context
from loa.names import AreaPath

router = APIRouter(prefix="/api/v1/alerts", tags=["alerts"])


class AgainWhere(Asked):
    area: AreaText | None = Field(default=None, description="Only there")


async def _board(desk: Desk, alert: str) -> Board:
    wire = desk.centre.boards.wire()

    def look(session: Session, ctx: Context) -> Board:
        board = boards.board_of(session, ctx, alerts.alert_row(session, ctx, alert), wire)
        session.expunge_all()
        return board

    return await desk.read(look)


def _page(board: Board, after: tuple[int, int, int, str] | None, limit: int, state: str | None) -> Page[PlaceShown]:
    def follows(place: Place) -> bool:
        return (after is None or place.order > after) and (state is None or place.state == state)

    found = [place for place in board.places if follows(place)]
    some = found[:limit]
    more = to_cursor(*some[-1].order) if len(found) > limit else None
    return Page(items=[place_shown(place) for place in some], next_cursor=more)


@router.get(
    "/{alert}/board", operation_id="get_board",
    responses=documented("not_found", "alert_not_released", "bad_cursor"),
)  # fmt: skip
@needs(Permission.ALERT_READ)
async def get_board(
    alert: AlertInPath,
    desk: DeskHere,
    *,
    limit: Limit = 50,
    cursor: Cursor = None,
    state: Annotated[StateWord | None, Query(description="Only villages in this state")] = None,
) -> BoardShown:
    """Who heard it, as far as you see it. The event `board` says when it changed, once a second at most."""
    after = from_cursor(cursor, int, int, int, str)
    board = await _board(desk, alert)
    may = board.closed is None and ladder.may_be_closed(board.totals)
    return board_shown(board, _page(board, after, limit, state), may_be_closed=may)


@router.get(
    "/{alert}/board/nodes", operation_id="list_board_nodes",
    responses=documented("not_found", "alert_not_released", "bad_cursor"),
)  # fmt: skip
@needs(Permission.ALERT_READ)
async def list_board_nodes(
    alert: AlertInPath,
    desk: DeskHere,
    *,
    limit: Limit = 50,
    cursor: Cursor = None,
    area: Annotated[AreaText | None, Query(description="Only those placed there")] = None,
    unreached: Annotated[bool, Query(description="Only those that did not begin to sound")] = False,
) -> Page[NodeLine]:
    """Node by node, by name: how far it came and when, how it ended, what to do next."""
    after = from_cursor(cursor, str)
    board = await _board(desk, alert)
    found = [
        line
        for line in board.lines
        if (after is None or line.facts.node > after[0])
        and (area is None or AreaPath(area).covers(line.facts.area))
        and not (unreached and line.reached)
    ]
    some = found[:limit]
    more = to_cursor(some[-1].facts.node) if len(found) > limit else None
    return Page(items=[line_shown(line, board) for line in some], next_cursor=more)


@router.post(
    "/{alert}/send-again", operation_id="send_alert_again",
    responses=documented("csrf", "not_found", "alert_not_released", "alert_over"),
)  # fmt: skip
@needs(Permission.ALERT_COMPOSE)
async def send_again(alert: AlertInPath, asked: AgainWhere, desk: DeskHere) -> SentAgain:
    """The released order once more, now, to those that have not confirmed it: on their own topics and their villages'.

    It goes out again by itself anyhow. A node acts on it once.
    """
    return SentAgain(nodes=await desk.centre.boards.send_again(alert, asked.area, account=desk.account))


@router.post(
    "/{alert}/board/close", operation_id="close_board",
    responses=documented("csrf", "not_found", "alert_not_released", "board_open"),
)  # fmt: skip
@needs(Permission.ALERT_CANCEL)
async def close_board(alert: AlertInPath, desk: DeskHere) -> BoardShown:
    """Close it before its time, where each node is confirmed, cancelled, expired or unreachable now.

    It closes by itself once nothing more can come of any node. What nodes say later is shown all the same.
    """
    await desk.centre.boards.close(alert, account=desk.account)
    board = await _board(desk, alert)
    return board_shown(board, _page(board, None, 50, None), may_be_closed=False)


async def _report(desk: Desk, alert: str) -> alert_report.Report:
    wire = desk.centre.boards.wire()

    def look(session: Session, ctx: Context) -> alert_report.Report:
        row = alerts.alert_row(session, ctx, alert)
        made = alert_report.report_of(session, ctx, row, wire)
        session.expunge_all()
        return made

    return await desk.read(look)


_NO_SCRIPTS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


@router.get(
    "/{alert}/report.csv", operation_id="get_alert_report_csv", response_class=Response,
    responses={
        **documented("not_found", "alert_not_released"),
        200: {"description": "Node by node", "content": {"text/csv": {"schema": {"type": "string"}}}},
    },
)  # fmt: skip
@needs(Permission.ALERT_READ)
async def report_csv(alert: AlertInPath, desk: DeskHere) -> Response:
    """The report node by node, UTF-8 with a mark for old spreadsheet programs; no cell is taken for a formula."""
    report = await _report(desk, alert)
    headers = {**_NO_SCRIPTS, "Content-Disposition": f'attachment; filename="loa-{alert[:12]}.csv"'}
    return Response(alert_report.as_csv(report), media_type="text/csv; charset=utf-8", headers=headers)


@router.get(
    "/{alert}/report.html", operation_id="get_alert_report_page", response_class=Response,
    responses={
        **documented("not_found", "alert_not_released"),
        200: {"description": "A page to be printed", "content": {"text/html": {"schema": {"type": "string"}}}},
    },
)  # fmt: skip
@needs(Permission.ALERT_READ)
async def report_page(alert: AlertInPath, desk: DeskHere) -> Response:
    """The report as a page for A4, Vietnamese first, without scripts."""
    report = await _report(desk, alert)
    return Response(alert_report.as_page(report), media_type="text/html; charset=utf-8", headers=_NO_SCRIPTS)
