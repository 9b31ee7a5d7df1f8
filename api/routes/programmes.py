"""Programmes: recurring slots, and the timetable that they make."""

import asyncio
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BeforeValidator, Field
from sqlmodel import Session

from api.asking import ONCE, Cursor, DeskHere, Limit
from api.idempotency import IdempotentRoute
from api.listing import programme_ids
from api.needs import needs
from api.problems import documented
from api.routes.broadcasts import BroadcastShown, broadcast_shown
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
from controller.services import areas, broadcasts, programmes, sight
from controller.services.broadcasts import BroadcastView
from controller.services.context import Context
from controller.services.programmes import ProgrammeForm, ProgrammeView
from loa.errors import Refused
from loa.names import AreaPath
from loa.precedence import Interruption, Precedence
from loa.units import InstantMs
from scheduler.rules.recurrence import check_recurrence, occurrences

MOST_IN_TIMETABLE = 5000
router = APIRouter(prefix="/api/v1", tags=["programmes"], route_class=IdempotentRoute)
WEEK_MS = 7 * 24 * 3_600_000
LONGEST_LOOK_MS = 366 * 24 * 3_600_000
CODES = ("csrf", "not_found", "bad_recurrence", "bad_start", "bad_interval", "not_approved", "volume_range",
    "fresh_code_required", "second_person_required",
)  # fmt: skip
StartsOn = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?$")]
LocalDate = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Rundown = Annotated[list[Hex16], Field(min_length=1, max_length=8)]
Rule = Annotated[str, Field(max_length=500)]
ProgrammeInPath = Annotated[Hex16, Path()]


class Slot(Asked):
    starts_on: StartsOn = Field(
        description="First time by the village's clock (Asia/Ho_Chi_Minh)", examples=["2026-11-23T05:00:00"]
    )
    recurrence: Rule = Field(
        default="", description="RFC 5545 RRULE without its name; empty for once", examples=["FREQ=DAILY;BYHOUR=5,17"]
    )
    excluded: Annotated[list[LocalDate], Field(max_length=366)] = Field(
        default_factory=list, description="Local dates on which it does not happen"
    )


class NewProgramme(Slot):
    title: Title = Field(examples=["Bản tin sáng"])
    area: AreaText = Field(examples=["quang-ninh/co-to"])
    rundown: Rundown = Field(description="Approved bulletins, in order")
    target_areas: Annotated[list[AreaText], Field(max_length=64)] = Field(
        default_factory=list, description="Places within `area`; empty for the whole of it"
    )
    target_nodes: Annotated[list[NameText], Field(max_length=32)] = Field(default_factory=list)
    precedence: PrecedenceWord = "ordinary"
    interruption: InterruptionWord = Field(default="drop", description="What becomes of it when it is interrupted")
    volume: Volume | None = None


class Changes(Asked):
    """What is given is changed."""

    # The defaults are never used: only what is set counts.
    title: Title = ""
    starts_on: StartsOn = ""
    recurrence: Rule = ""
    excluded: Annotated[list[LocalDate], Field(max_length=366)] = Field(default_factory=list)
    rundown: Rundown = Field(default_factory=list)
    precedence: PrecedenceWord = "ordinary"
    interruption: InterruptionWord = "drop"
    volume: Volume | None = None


class ProgrammeShown(Shown):
    id: str
    title: str
    area: str
    starts_on: str
    recurrence: str
    excluded: list[str]
    rundown: list[str]
    target_areas: list[str]
    target_nodes: list[str]
    precedence: PrecedenceWord
    interruption: InterruptionWord
    volume: int | None
    stopped_at: datetime | None
    created_by: str
    created_at: datetime


class Preview(Slot):
    days: Annotated[int, Field(ge=1, le=366), BeforeValidator(whole)] = 7


class Occurrences(Shown):
    occurrences: list[datetime]


def programme_shown(view: ProgrammeView) -> ProgrammeShown:
    return ProgrammeShown(
        id=view.id,
        title=view.title,
        area=view.area,
        starts_on=view.starts_on,
        recurrence=view.recurrence,
        excluded=list(view.excluded),
        rundown=list(view.rundown),
        target_areas=list(view.target_areas),
        target_nodes=list(view.target_nodes),
        precedence=word_of(view.precedence, Precedence),
        interruption=word_of(view.interruption, Interruption),
        volume=view.volume,
        stopped_at=moment_or_none(view.stopped_at),
        created_by=view.created_by,
        created_at=moment(view.created_at),
    )


@router.get("/programmes", operation_id="list_programmes", responses=documented("bad_cursor"))
@needs(Permission.PROGRAMME_READ)
async def list_programmes(
    desk: DeskHere,
    limit: Limit = 50,
    cursor: Cursor = None,
    area: Annotated[AreaText | None, Query()] = None,
    stopped: Annotated[bool, Query(description="Stopped ones too")] = False,
) -> Page[ProgrammeShown]:
    """Newest first."""
    after = from_cursor(cursor, int, str)

    def look(session: Session, ctx: Context) -> Page[ProgrammeShown]:
        ids, more = programme_ids(session, ctx, area, stopped=stopped, after=after, limit=limit)
        return Page(items=[programme_shown(programmes.programme(session, one)) for one in ids], next_cursor=more)

    return await desk.read(look)


@router.post(
    "/programmes", operation_id="add_programme", status_code=201, dependencies=ONCE,
    responses=documented(*CODES, "idempotency_conflict"),
)  # fmt: skip
@needs(Permission.PROGRAMME_MANAGE)
async def add_programme(asked: NewProgramme, desk: DeskHere) -> ProgrammeShown:
    """A recurring slot. Its broadcasts of the next seven days go into the timetable at once."""
    form = ProgrammeForm(
        area=asked.area,
        title=asked.title,
        starts_on=asked.starts_on,
        recurrence=asked.recurrence,
        excluded=asked.excluded,
        rundown=asked.rundown,
        target_areas=asked.target_areas,
        target_nodes=asked.target_nodes,
        precedence=precedence_of(asked.precedence),
        interruption=interruption_of(asked.interruption),
        volume=asked.volume,
    )
    return programme_shown(await desk.centre.add_programme(form, account=desk.account))


@router.post("/occurrences", operation_id="preview_programme", responses=documented(*CODES))
@needs(Permission.PROGRAMME_READ)
async def preview(asked: Preview, desk: DeskHere) -> Occurrences:
    """When a slot would happen, from its start or from now on; nothing is kept."""
    now = desk.centre.clock.now_ms()
    window = (now, InstantMs(now + asked.days * 24 * 3_600_000))
    check_recurrence(asked.starts_on, asked.recurrence, asked.excluded)
    found = await asyncio.to_thread(occurrences, asked.starts_on, asked.recurrence, asked.excluded, window)
    return Occurrences(occurrences=[moment(at) for at in found])


@router.get("/programmes/{programme}", operation_id="get_programme", responses=documented("not_found"))
@needs(Permission.PROGRAMME_READ)
async def get_programme(programme: ProgrammeInPath, desk: DeskHere) -> ProgrammeShown:
    """One programme."""
    return programme_shown(await desk.read(_seen(programme)))


@router.patch(
    "/programmes/{programme}", operation_id="change_programme", dependencies=ONCE,
    responses=documented(*CODES, "idempotency_conflict"),
)  # fmt: skip
@needs(Permission.PROGRAMME_MANAGE)
async def change_programme(programme: ProgrammeInPath, asked: Changes, desk: DeskHere) -> ProgrammeShown:
    """Change what is given; coming broadcasts are planned anew, what has begun is let be."""
    given = asked.model_dump(exclude_unset=True)
    if "precedence" in given:
        given["precedence"] = precedence_of(given["precedence"])
    if "interruption" in given:
        given["interruption"] = interruption_of(given["interruption"])
    now = await desk.read(_seen(programme))
    form = replace(_form_of(now), **given)
    return programme_shown(await desk.centre.change_programme(programme, form, account=desk.account))


def _seen(programme: str) -> Callable[[Session, Context], ProgrammeView]:
    def look(session: Session, ctx: Context) -> ProgrammeView:
        sight.programme_row(session, ctx, programme)
        return programmes.programme(session, programme)

    return look


def _form_of(view: ProgrammeView) -> ProgrammeForm:
    return ProgrammeForm(**{part.name: getattr(view, part.name) for part in fields(ProgrammeForm)})


@router.post(
    "/programmes/{programme}/stop", operation_id="stop_programme", dependencies=ONCE,
    responses=documented("csrf", "not_found", "idempotency_conflict"),
)  # fmt: skip
@needs(Permission.PROGRAMME_STOP)
async def stop_programme(programme: ProgrammeInPath, desk: DeskHere) -> ProgrammeShown:
    """No more broadcasts of it; what is on the air ends by itself."""
    return programme_shown(await desk.centre.stop_programme(programme, account=desk.account))


@router.get("/timetable", operation_id="timetable", responses=documented("not_found", "bad_interval"))
@needs(Permission.BROADCAST_READ)
async def timetable(
    desk: DeskHere,
    area: Annotated[AreaText, Query(examples=["quang-ninh/co-to"])],
    since: Annotated[InstantIn | None, Query(alias="from")] = None,
    until: Annotated[InstantIn | None, Query(alias="to")] = None,
) -> Page[BroadcastShown]:
    """The coming broadcasts heard in an area or in a part of it: a week of them unless told otherwise."""
    begin = instant_ms(since) if since else desk.centre.clock.now_ms()
    end = instant_ms(until) if until else InstantMs(begin + WEEK_MS)
    if end <= begin:
        raise Refused("bad_interval", field="to", limit="after from")
    if end - begin > LONGEST_LOOK_MS:
        raise Refused("bad_value", field="to", limit="366 days after from", reason="too long")

    def look(session: Session, ctx: Context) -> Page[BroadcastShown]:
        place = areas.place_seen(session, ctx, area)
        views = broadcasts.list_broadcasts(
            session, since=begin, until=end, statuses=("planned", "issued"), limit=MOST_IN_TIMETABLE,
            seen=sight.broadcasts_seen(ctx),
        )  # fmt: skip
        return Page(items=[broadcast_shown(view) for view in views if view.scheduled and _heard_in(view, place)])

    return await desk.read(look)


def _heard_in(view: BroadcastView, place: AreaPath) -> bool:
    """Whether a broadcast is for this place, for a part of it, or for one that holds it."""
    return place.covers(view.area) or any(place.covers(area) or area.covers(place) for area in view.target_areas)
