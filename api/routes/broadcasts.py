"""Broadcasts: issued, recalled; their coverage and the receipts that it rests on."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BeforeValidator, Field
from sqlmodel import Session, col, select

from api.asking import ONCE, Cursor, DeskHere, Limit
from api.idempotency import IdempotentRoute
from api.listing import broadcast_ids, receipt_rows
from api.needs import needs
from api.problems import documented
from api.shapes import (
    AreaText,
    Asked,
    Hex16,
    InstantIn,
    InterruptionWord,
    NameText,
    Page,
    PrecedenceWord,
    Shown,
    Title,
    Volume,
    from_cursor,
    instant_ms,
    interruption_of,
    moment,
    moment_or_none,
    precedence_of,
    whole,
    word_of,
)  # fmt: skip
from controller.permissions import Permission
from controller.services import broadcasts, coverage, sight
from controller.services.broadcasts import BroadcastView, IssueForm
from controller.services.context import Context
from controller.services.coverage import Coverage
from controller.tables import Node, ReceiptRow
from devices.protocol.refusal import RefusalReason
from devices.protocol.reports import ReceiptCause, ReceiptEvent
from loa.precedence import Precedence

Status = Literal["planned", "issued", "recalled", "ended", "withdrawn", "crowded_out"]
router = APIRouter(prefix="/api/v1", tags=["broadcasts"], route_class=IdempotentRoute)
BroadcastInPath = Annotated[Hex16, Path()]


class NewBroadcast(Asked):
    bulletins: Annotated[list[Hex16], Field(min_length=1, max_length=8)] = Field(
        description="Approved bulletins, played one after another"
    )
    target_areas: Annotated[list[AreaText], Field(max_length=64)] = Field(
        default_factory=list, examples=[["quang-ninh/co-to"]]
    )
    target_nodes: Annotated[list[NameText], Field(max_length=32)] = Field(default_factory=list)
    precedence: PrecedenceWord = "ordinary"
    interruption: InterruptionWord = "drop"
    repeats: Annotated[int, Field(ge=1, le=10), BeforeValidator(whole)] = 1
    volume: Volume | None = None
    start_at: InstantIn | None = Field(default=None, description="As soon as the audio can be there, unless given")
    title: Title | None = None


class BroadcastShown(Shown):
    id: str
    title: str
    area: str
    status: str = Field(description="planned, issued, recalled, ended, withdrawn, crowded_out")
    scheduled: bool = Field(description="Played from the timetable; otherwise by an order")
    programme: str | None
    target_areas: list[str]
    target_nodes: list[str]
    bulletins: list[str]
    renditions: list[str]
    precedence: PrecedenceWord
    volume: int | None
    start_at: datetime
    wanted_at: datetime | None = Field(description="What was asked for, where it was moved out of another's way")
    duration_ms: int
    repeats: int
    note: str
    created_by: str
    created_at: datetime
    recalled_by: str | None
    recalled_at: datetime | None


class NodeCoverage(Shown):
    node: str
    area: str
    outcome: str
    cause: str = Field(description="Why, where there is a reason")
    reached_at: datetime | None
    ready_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    sounded_at: datetime | None
    late_ms: int | None = Field(description="First sample minus the ordered start, as the node measured it")


class CoverageShown(Shown):
    """Of the nodes that a broadcast was for: how many have signed for what."""

    broadcast: str
    nodes: int
    reached: int
    ready: int
    started: int
    finished: int
    sounded: int = Field(description="With evidence: line current or a microphone")
    unconfirmed: int = Field(description="Power failed in between: nobody knows how much was heard")
    skipped: int
    stopped: int
    refused: int
    not_ready: int
    waiting: int
    detail: list[NodeCoverage]


class ReceiptShown(Shown):
    node: str
    epoch: str
    number: int
    at: datetime = Field(description="By the node's estimate of the centre's clock")
    received_at: datetime
    event: str
    subject: str | None
    cause: str
    refusal: str | None
    position_ms: int | None
    late_ms: int | None
    time_error_ms: int | None


def broadcast_shown(view: BroadcastView) -> BroadcastShown:
    return BroadcastShown(
        id=view.id,
        title=view.title,
        area=view.area,
        status=view.status,
        scheduled=view.scheduled,
        programme=view.programme,
        target_areas=list(view.target_areas),
        target_nodes=list(view.target_nodes),
        bulletins=list(view.bulletins),
        renditions=list(view.renditions),
        precedence=word_of(view.precedence, Precedence),
        volume=view.volume,
        start_at=moment(view.start_at),
        wanted_at=moment_or_none(view.wanted_at),
        duration_ms=view.duration_ms,
        repeats=view.repeats,
        note=view.note,
        created_by=view.created_by,
        created_at=moment(view.created_at),
        recalled_by=view.recalled_by,
        recalled_at=moment_or_none(view.recalled_at),
    )


def coverage_shown(view: Coverage, homes: Mapping[str, str], *, detail: bool) -> CoverageShown:
    return CoverageShown(
        broadcast=view.broadcast,
        nodes=view.total,
        reached=view.reached,
        ready=view.ready,
        started=view.started,
        finished=view.finished,
        sounded=view.sounded,
        unconfirmed=view.unconfirmed,
        skipped=view.skipped,
        stopped=view.stopped,
        refused=view.refused,
        not_ready=view.not_ready,
        waiting=view.waiting,
        detail=[
            NodeCoverage(
                node=one.node,
                area=homes.get(one.node, ""),
                outcome=one.outcome,
                cause=one.cause.name.lower(),
                reached_at=moment_or_none(one.reached_at),
                ready_at=moment_or_none(one.ready_at),
                started_at=moment_or_none(one.started_at),
                finished_at=moment_or_none(one.finished_at),
                sounded_at=moment_or_none(one.sounded_at),
                late_ms=one.late_ms,
            )
            for one in view.nodes
        ]
        if detail
        else [],
    )


@router.get("/broadcasts", operation_id="list_broadcasts", responses=documented("bad_cursor"))
@needs(Permission.BROADCAST_READ)
async def list_broadcasts(
    desk: DeskHere,
    *,
    limit: Limit = 50,
    cursor: Cursor = None,
    area: Annotated[AreaText | None, Query(description="Only those of this place")] = None,
    status: Annotated[Status | None, Query(description="Withdrawn ones are shown only where asked for")] = None,
    until: Annotated[InstantIn | None, Query(description="Those that start no later")] = None,
) -> Page[BroadcastShown]:
    """By their start, the latest first."""
    after = from_cursor(cursor, int, str)
    bound = instant_ms(until) if until else None

    def look(session: Session, ctx: Context) -> Page[BroadcastShown]:
        ids, more = broadcast_ids(session, ctx, area=area, status=status, until=bound, after=after, limit=limit)
        return Page(items=[broadcast_shown(broadcasts.broadcast(session, one)) for one in ids], next_cursor=more)

    return await desk.read(look)


@router.post(
    "/broadcasts", operation_id="issue_broadcast", status_code=201, dependencies=ONCE,
    responses=documented(
        "csrf", "not_found", "empty_target", "not_approved", "volume_range", "bad_interval", "timezone_required",
        "emergency_needs_release", "out_of_hours", "idempotency_conflict", "fresh_code_required",
        "second_person_required",
    ),
)  # fmt: skip
@needs(Permission.BROADCAST_ISSUE)
async def issue_broadcast(asked: NewBroadcast, desk: DeskHere) -> BroadcastShown:
    """Say approved bulletins at once. The order is on its way when this returns; watch its coverage."""
    issued = await desk.centre.issue_now(
        IssueForm(
            bulletins=asked.bulletins,
            target_areas=asked.target_areas,
            target_nodes=asked.target_nodes,
            precedence=precedence_of(asked.precedence),
            interruption=interruption_of(asked.interruption),
            volume=asked.volume,
            start_at=None if asked.start_at is None else instant_ms(asked.start_at),
            repeats=asked.repeats,
            title=asked.title or "",
        ),
        account=desk.account,
    )
    return broadcast_shown(await desk.centre.broadcast(issued.broadcast_id.hex()))


@router.get("/broadcasts/{broadcast}", operation_id="get_broadcast", responses=documented("not_found"))
@needs(Permission.BROADCAST_READ)
async def get_broadcast(broadcast: BroadcastInPath, desk: DeskHere) -> BroadcastShown:
    """One broadcast."""

    def look(session: Session, ctx: Context) -> BroadcastView:
        sight.broadcast_row(session, ctx, broadcast)
        return broadcasts.broadcast(session, broadcast)

    return broadcast_shown(await desk.read(look))


@router.post(
    "/broadcasts/{broadcast}/recall", operation_id="recall_broadcast", dependencies=ONCE,
    responses=documented("csrf", "not_found", "broadcast_over", "idempotency_conflict"),
)  # fmt: skip
@needs(Permission.BROADCAST_RECALL)
async def recall(broadcast: BroadcastInPath, desk: DeskHere) -> BroadcastShown:
    """Take a broadcast back: out of the timetable where it is to come, silenced where it sounds."""
    return broadcast_shown(await desk.centre.recall(broadcast, account=desk.account))


@router.post(
    "/broadcasts/{broadcast}/stop", operation_id="stop_broadcast", dependencies=ONCE,
    responses=documented("csrf", "not_found", "broadcast_over", "idempotency_conflict"),
)  # fmt: skip
@needs(Permission.BROADCAST_RECALL)
async def stop(broadcast: BroadcastInPath, desk: DeskHere) -> BroadcastShown:
    """Silence what sounds; it does not start where it has not yet."""
    return broadcast_shown(await desk.centre.stop_broadcast(broadcast, account=desk.account))


@router.get("/broadcasts/{broadcast}/coverage", operation_id="get_coverage", responses=documented("not_found"))
@needs(Permission.BROADCAST_READ)
async def get_coverage(
    broadcast: BroadcastInPath,
    desk: DeskHere,
    detail: Annotated[bool, Query(description="Each node's own line too")] = True,
) -> CoverageShown:
    """Who heard it, by the nodes' signed receipts alone."""

    def look(session: Session, ctx: Context) -> CoverageShown:
        view = coverage.coverage_seen(session, ctx, broadcast)
        names = [one.node for one in view.nodes]
        rows = session.exec(select(Node.id, Node.area).where(col(Node.id).in_(names))).all() if detail else []
        return coverage_shown(view, dict(rows), detail=detail)

    return await desk.read(look)


@router.get("/receipts", operation_id="list_receipts", responses=documented("bad_cursor"))
@needs(Permission.RECEIPT_READ)
async def list_receipts(
    desk: DeskHere,
    limit: Limit = 50,
    cursor: Cursor = None,
    node: Annotated[NameText | None, Query()] = None,
    broadcast: Annotated[Hex16 | None, Query()] = None,
) -> Page[ReceiptShown]:
    """What the nodes signed, the newest first."""
    after = from_cursor(cursor, int, str, str, int)
    rows, more = await desk.read(
        lambda session, ctx: receipt_rows(session, ctx, node=node, broadcast=broadcast, after=after, limit=limit)
    )
    return Page(items=[_receipt_shown(row) for row in rows], next_cursor=more)


def _receipt_shown(row: ReceiptRow) -> ReceiptShown:
    return ReceiptShown(
        node=row.node,
        epoch=row.epoch,
        number=row.number,
        at=moment(row.at),
        received_at=moment(row.received_at),
        event=ReceiptEvent(row.event).name.lower(),
        subject=row.subject,
        cause=ReceiptCause(row.cause).name.lower(),
        refusal=None if row.refusal is None else RefusalReason(row.refusal).name.lower(),
        position_ms=row.position_ms,
        late_ms=row.late_ms,
        time_error_ms=row.time_error_ms,
    )
