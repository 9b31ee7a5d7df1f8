"""Bulletins: recordings on their way in, approval, their sound."""

import asyncio
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import Field, ValidationError
from sqlmodel import Session

from api.asking import Cursor, DeskHere, Limit
from api.imports import Import, Imports
from api.listing import bulletin_ids
from api.needs import needs
from api.problems import Problem, documented, language_of, problem_of, refusal_of
from api.shapes import (
    AreaText,
    Asked,
    Hex16,
    Hex32,
    Page,
    Shown,
    Title,
    from_cursor,
    moment,
    moment_or_none,
)
from api.sound import SOUND, sound_reply
from api.upload import Uploaded, receive_form
from controller.permissions import Permission
from controller.services import areas, bulletins, sight
from controller.services.bulletins import BulletinView
from controller.services.context import Context
from loa.errors import Refused
from loa.units import Digest

router = APIRouter(prefix="/api/v1", tags=["bulletins"])
LONGEST_WAIT_S = 30
FILE_CODES = (
    "empty_audio", "silent_audio", "decode_failed", "duration_limit", "channel_limit", "bad_name", "too_large",
    "playlist_forbidden", "container_forbidden", "archive_forbidden", "drm_protected", "bad_form", "busy",
)  # fmt: skip


class NewBulletin(Asked):
    """The text fields that come with a recording."""

    title: Title
    area: AreaText
    language: Annotated[str, Field(pattern="^[a-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}$")] = "vi"
    chime: bool = Field(default=True, description="Chimes around it")
    accept_part: bool = Field(default=False, description="Take the part that plays of a damaged file")


class RenditionShown(Shown):
    digest: str
    language: str
    duration_ms: int
    length_bytes: int
    loudness_lufs: float
    true_peak_dbtp: float
    audio: str = Field(description="Where to hear it")


class BulletinShown(Shown):
    id: str
    title: str
    area: str
    status: Literal["draft", "approved", "withdrawn"]
    content_hash: str = Field(description="What an approval names, so that changed content cannot slip through")
    author: str
    approved_by: str | None
    approved_at: datetime | None
    created_at: datetime
    source_name: str
    duration_ms: int
    renditions: list[RenditionShown]
    note: str
    alert: str | None = Field(
        description="Of an alert's own words: that alert, which approves them and airs them alone"
    )


class ImportShown(Shown):
    id: str
    status: Literal["running", "done", "failed", "cancelled"]
    progress: float = Field(description="0 to 1")
    stage: str = Field(description="reading, encoding, checking")
    title: str
    file_name: str
    begun_at: datetime
    bulletin: str | None = Field(description="Its id, once done")
    problem: Problem | None = Field(description="Why it failed")


class Approval(Asked):
    content_hash: Hex32 = Field(description="Of the content that was heard")


def bulletin_shown(view: BulletinView) -> BulletinShown:
    return BulletinShown(
        id=view.id,
        title=view.title,
        area=view.area,
        status=view.status,
        content_hash=view.content_hash,
        author=view.author,
        approved_by=view.approved_by,
        approved_at=moment_or_none(view.approved_at),
        created_at=moment(view.created_at),
        source_name=view.source_name,
        duration_ms=view.duration_ms,
        renditions=[
            RenditionShown(
                digest=rendition.digest.hex(),
                language=rendition.language,
                duration_ms=rendition.duration_ms,
                length_bytes=rendition.length_bytes,
                loudness_lufs=rendition.loudness_centi_lufs / 100,
                true_peak_dbtp=rendition.peak_centi_db / 100,
                audio=f"/api/v1/renditions/{rendition.digest.hex()}/audio",
            )
            for rendition in view.renditions
        ],
        note=view.note,
        alert=view.alert or None,
    )


def import_shown(item: Import, request: Request) -> ImportShown:
    language = language_of(request.headers.get("accept-language"))
    return ImportShown(
        id=item.id,
        status=item.status,
        progress=round(item.progress, 3),
        stage=item.stage,
        title=item.title,
        file_name=item.file_name,
        begun_at=moment(item.begun_at),
        bulletin=item.bulletin,
        problem=None if item.error is None else problem_of(item.error, language),
    )


@router.get("/bulletins", operation_id="list_bulletins", responses=documented("bad_cursor"))
@needs(Permission.BULLETIN_READ)
async def list_bulletins(
    desk: DeskHere, limit: Limit = 50, cursor: Cursor = None, area: Annotated[AreaText | None, Query()] = None
) -> Page[BulletinShown]:
    """Newest first."""
    after = from_cursor(cursor, int, str)

    def look(session: Session, ctx: Context) -> Page[BulletinShown]:
        ids, more = bulletin_ids(session, ctx, area, after, limit)
        return Page(items=[bulletin_shown(bulletins.bulletin(session, one)) for one in ids], next_cursor=more)

    return await desk.read(look)


def _form() -> dict[str, Any]:
    """The multipart form in OpenAPI's words: the text fields and the file."""
    schema = NewBulletin.model_json_schema()
    schema["required"] = [*schema["required"], "file"]
    schema["properties"]["file"] = {
        "type": "string",
        "format": "binary",
        "description": "MP3, M4A/AAC, WAV, OGG, FLAC, AMR/3GP",
    }
    example = {"title": "Lịch cắt điện", "area": "quang-ninh/co-to", "chime": True}
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema, "example": example}}}
    }


@router.post(
    "/bulletins", operation_id="add_bulletin", status_code=202, openapi_extra=_form(),
    responses=documented("csrf", "not_found", *FILE_CODES),
)  # fmt: skip
@needs(Permission.BULLETIN_DRAFT)
async def add_bulletin(
    request: Request,
    response: Response,
    desk: DeskHere,
    wait: Annotated[int, Query(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for the end")] = 0,
) -> ImportShown:
    """Upload a recording. It is levelled and encoded in the background: watch the import that this returns."""
    imports: Imports = request.app.state.imports
    imports.check_room()
    uploaded = await receive_form(request, desk.centre.incoming_folder)
    try:
        asked = _fields_of(uploaded)
        await desk.read(lambda session, ctx: areas.place_for(session, ctx, asked.area, Permission.BULLETIN_DRAFT))
        item = imports.begin(
            uploaded.path, account=desk.account, file_name=uploaded.file_name or "", asked=asked.model_dump()
        )
    except BaseException:
        uploaded.path.unlink(missing_ok=True)
        raise
    response.headers["Location"] = f"/api/v1/imports/{item.id}"
    if wait:
        await imports.wait(item, wait)
    return import_shown(item, request)


def _fields_of(uploaded: Uploaded) -> NewBulletin:
    for name, values in uploaded.fields.items():
        if len(values) > 1:
            raise Refused("bad_value", field=name, limit="once", reason="given more than once")
    try:
        asked = NewBulletin.model_validate({name: values[0] for name, values in uploaded.fields.items()})
    except ValidationError as error:
        raise refusal_of(error.errors()) from error
    if uploaded.file_name is None:
        raise Refused("field_required", field="file")
    if uploaded.length == 0:
        raise Refused("empty_audio", field="file")
    return asked


@router.get("/imports/{import_id}", operation_id="get_import", responses=documented("not_found"))
@needs(Permission.BULLETIN_DRAFT)
async def get_import(
    import_id: Annotated[Hex16, Path()],
    request: Request,
    desk: DeskHere,
    wait: Annotated[int, Query(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for the end")] = 0,
) -> ImportShown:
    """How far an import of yours is."""
    imports: Imports = request.app.state.imports
    item = imports.get(import_id, desk.account)
    if wait:
        await imports.wait(item, wait)
    return import_shown(item, request)


@router.delete(
    "/imports/{import_id}", operation_id="cancel_import", status_code=202,
    responses=documented("csrf", "not_found", "import_over"),
)  # fmt: skip
@needs(Permission.BULLETIN_DRAFT)
async def cancel_import(import_id: Annotated[Hex16, Path()], request: Request, desk: DeskHere) -> ImportShown:
    """Stop an import at its next step; nothing of it is kept."""
    imports: Imports = request.app.state.imports
    item = imports.get(import_id, desk.account)
    imports.cancel(item)
    return import_shown(item, request)


@router.get("/bulletins/{bulletin}", operation_id="get_bulletin", responses=documented("not_found"))
@needs(Permission.BULLETIN_READ)
async def get_bulletin(bulletin: Annotated[Hex16, Path()], desk: DeskHere) -> BulletinShown:
    """One bulletin."""

    def look(session: Session, ctx: Context) -> BulletinView:
        sight.bulletin_row(session, ctx, bulletin)
        return bulletins.bulletin(session, bulletin)

    return bulletin_shown(await desk.read(look))


@router.post(
    "/bulletins/{bulletin}/approve", operation_id="approve_bulletin",
    responses=documented(
        "csrf", "not_found", "content_changed", "withdrawn", "second_person_required", "alerts_own_words"
    ),
)  # fmt: skip
@needs(Permission.BULLETIN_APPROVE)
async def approve(bulletin: Annotated[Hex16, Path()], asked: Approval, desk: DeskHere) -> BulletinShown:
    """Approve what you heard, named by its content hash. Nobody approves their own."""
    return bulletin_shown(await desk.centre.approve(bulletin, content_hash=asked.content_hash, account=desk.account))


@router.post(
    "/bulletins/{bulletin}/withdraw", operation_id="withdraw_bulletin", responses=documented("csrf", "not_found")
)
@needs(Permission.BULLETIN_WITHDRAW)
async def withdraw(bulletin: Annotated[Hex16, Path()], desk: DeskHere) -> BulletinShown:
    """Take a bulletin out: it is not broadcast any more, and leaves the timetable."""
    return bulletin_shown(await desk.centre.withdraw(bulletin, account=desk.account))


@router.get(
    "/renditions/{digest}/audio", operation_id="hear", response_class=FileResponse,
    responses=documented("not_found", "bad_range") | SOUND,
)  # fmt: skip
@needs(Permission.BULLETIN_READ)
async def hear(digest: Annotated[Hex32, Path()], request: Request, desk: DeskHere) -> FileResponse:
    """The sound as loudspeakers get it; ranges are served, so that a browser can jump about."""
    if not await desk.read(lambda session, ctx: sight.hears(session, ctx, digest)):
        raise Refused("not_found", field="rendition", value=digest)
    media = desk.centre.context(desk.account).media
    path = await asyncio.to_thread(media.open_path, Digest(bytes.fromhex(digest)))
    return sound_reply(path, request)
