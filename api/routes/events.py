"""Server-sent events: what changes, as it changes."""

from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse

from api.asking import Asker, CentreHere
from api.events import EventBoard
from api.needs import needs
from api.problems import documented
from controller.accounts import caller_with
from controller.permissions import Permission
from loa.errors import Refused

router = APIRouter(prefix="/api/v1", tags=["live"])


@router.get(
    "/events",
    operation_id="listen",
    response_class=StreamingResponse,
    responses={
        **documented(),
        200: {
            "description": "An endless text/event-stream of node, broadcast, bulletin, programme, coverage and air "
            "events, each with `id` in its data. `resync`: events were missed, read the lists again.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
    },
)
@needs(Permission.BROADCAST_READ)
async def listen(
    request: Request,
    caller: Asker,
    centre: CentreHere,
    last_event_id: Annotated[str | None, Header(max_length=100, description="Go on after this event")] = None,
) -> StreamingResponse:
    """Events of what you see, as they happen; a comment every 15 s keeps the line open."""
    board: EventBoard = request.app.state.board

    async def still() -> bool:
        try:
            await centre.reading(lambda db: caller_with(db, centre, caller.token_hash))
        except Refused:
            return False
        return True

    return StreamingResponse(
        board.stream(last_event_id, lambda concern: concern.includes(caller.authority), still),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
