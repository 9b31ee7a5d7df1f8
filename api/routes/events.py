"""Server-sent events: what changes, as it changes."""

from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse

from api.asking import Asker, CentreHere
from api.concern import Concern
from api.events import EventBoard
from api.needs import needs
from api.problems import documented
from controller import accounts
from controller.accounts import Caller
from controller.centre import Centre
from controller.permissions import Permission
from loa.errors import Refused

router = APIRouter(prefix="/api/v1", tags=["live"])


class Hearing:
    """What a listener may hear: looked up again now and then, as posts change and tokens outlive the change."""

    def __init__(self, centre: Centre, caller: Caller) -> None:
        self._centre = centre
        self._caller = caller

    def includes(self, concern: Concern) -> bool:
        """Whether an event is for them."""
        return concern.includes(self._caller.authority)

    async def goes_on(self) -> bool:
        """Whether they are signed in yet and may still listen."""
        hashed = self._caller.token_hash
        try:
            self._caller = await self._centre.reading(lambda db: accounts.caller_with(db, self._centre, hashed))
        except Refused:
            return False
        return self._caller.authority.may(Permission.BROADCAST_READ)


@router.get(
    "/events",
    operation_id="listen",
    response_class=StreamingResponse,
    responses={
        **documented(),
        200: {
            "description": "An endless text/event-stream of node, broadcast, bulletin, programme, coverage, alert, "
            "board (who heard an alert, once a second at most) and air events, each with `id` in its data. `resync`: "
            "events were missed, read the lists again.",
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
    hearing = Hearing(centre, caller)
    return StreamingResponse(
        board.stream(last_event_id, hearing.includes, hearing.goes_on),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
