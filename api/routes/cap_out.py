"""Our own alerts for others: feeds and files in CAP 1.2. Drills have a feed of their own."""

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from lxml import etree

from api.asking import Desk, DeskHere
from api.needs import needs
from api.problems import documented
from controller.cap.writing import MEDIA_TYPE, FeedEntry, document, feed, written
from controller.permissions import Permission
from controller.services import cap_out
from controller.services.cap_out import Message
from loa.precedence import Kind
from loa.units import InstantMs

router = APIRouter(prefix="/api/v1/cap", tags=["cap"])
ATOM = "application/atom+xml"
Responses = dict[int | str, dict[str, Any]]
_MessageId = Annotated[
    str, Path(pattern=r"^[0-9a-f]{32}(-cancel)?$", description="An alert's id; `-cancel` for its end")
]
_FEED: Responses = {200: {"content": {ATOM: {"schema": {"type": "string"}}}, "description": "Atom, the alerts inside"}}
_FILE: Responses = {200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}, "description": "CAP 1.2"}}
_UNCHANGED: Responses = {304: {"description": "As `If-None-Match` has it"}}


def _xml(desk: Desk, message: Message) -> etree._Element:
    alert, signer = written(message.message), desk.centre.cap_signer
    return alert if signer is None else signer.signed(alert)


async def _feed(request: Request, desk: Desk, kind: Kind, title: str) -> Response:
    centre = desk.centre
    found = await desk.read(lambda session, ctx: cap_out.messages(session, ctx, kind=kind, sender=centre.cap_sender))
    # Signatures may differ from one making to the next; what they sign does not.
    plain = hashlib.sha256(b"\0".join(document(written(one.message)) for one in found)).hexdigest()[:32]
    if f'"{plain}"' in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers={"ETag": f'"{plain}"'})
    base = str(request.url).partition("?")[0]

    def make() -> bytes:
        entries = [
            FeedEntry(f"{base.rpartition('/')[0]}/out/{one.id}.xml", one.title, one.message.sent, _xml(desk, one))
            for one in found
        ]
        updated = max((one.message.sent for one in found), default=InstantMs(0))
        return feed(entries, url=base, title=title, author=centre.cap_sender, updated=updated)

    return Response(await centre.aside(make), media_type=ATOM, headers={"ETag": f'"{plain}"'})


@router.get(
    "/out.atom", operation_id="cap_feed", response_class=Response, responses={**_FEED, **_UNCHANGED, **documented()}
)
@needs(Permission.ALERT_READ)
async def cap_feed(request: Request, desk: DeskHere) -> Response:
    """Live alerts that were released, their updates and cancels, newest first; those of your areas."""
    return await _feed(request, desk, Kind.LIVE, "Cảnh báo khẩn cấp")


@router.get(
    "/out-drills.atom", operation_id="cap_drill_feed", response_class=Response,
    responses={**_FEED, **_UNCHANGED, **documented()},
)  # fmt: skip
@needs(Permission.ALERT_READ)
async def cap_drill_feed(request: Request, desk: DeskHere) -> Response:
    """The same of drills: status Exercise, and nothing live."""
    return await _feed(request, desk, Kind.DRILL, "Diễn tập cảnh báo")


@router.get(
    "/out/{message}.xml", operation_id="cap_file", response_class=Response,
    responses={**_FILE, **documented("not_found")},
)  # fmt: skip
@needs(Permission.ALERT_READ)
async def cap_file(message: _MessageId, desk: DeskHere) -> Response:
    """One of them by itself."""
    sender = desk.centre.cap_sender
    found = await desk.read(lambda session, ctx: cap_out.message(session, ctx, message, sender=sender))
    return Response(await desk.centre.aside(lambda: document(_xml(desk, found))), media_type=MEDIA_TYPE)
