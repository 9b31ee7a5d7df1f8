"""What routes are given: the centre, a desk at it for whoever asks, and an idempotency key."""

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Depends, Header, Query, Request
from fastapi.security import APIKeyCookie, HTTPBearer
from sqlmodel import Session

from api.gate import COOKIE
from controller.accounts import Caller
from controller.centre import Centre
from controller.permissions import Actor, Permission
from controller.services.context import Changed, Context, Outgoing
from loa.errors import Refused

T = TypeVar("T")
_bearer = HTTPBearer(auto_error=False, description="An API token, from `loa login` or POST /api/v1/tokens")
_cookie = APIKeyCookie(name=COOKIE, auto_error=False, description="The page's session; changes need X-CSRF-Token too")


def _centre(request: Request) -> Centre:
    centre: Centre = request.app.state.centre
    return centre


def _caller(
    request: Request,
    bearer: Annotated[object, Depends(_bearer)],  # these two only describe; the gate has looked already
    cookie: Annotated[object, Depends(_cookie)],
) -> Caller:
    del bearer, cookie
    caller = getattr(request.state, "caller", None)
    if not isinstance(caller, Caller):
        raise Refused("auth_required", field="authorization")
    return caller


CentreHere = Annotated[Centre, Depends(_centre)]
Asker = Annotated[Caller, Depends(_caller)]


class Desk:
    """The centre as one caller meets it: what is done here is done in their name."""

    def __init__(self, centre: Centre, caller: Caller) -> None:
        self.centre = centre
        self.caller = caller

    @property
    def account(self) -> Actor:
        """Whose name it is done in, with what they may do."""
        return self.caller.actor

    def everywhere(self, permission: Permission) -> None:
        """What is of the province as a whole wants the permission there. Raises Refused(not_permitted)."""
        self.centre.context(self.account).demand(permission, self.centre.province)

    async def read(self, look: Callable[[Session, Context], T]) -> T:
        """Look at the tables."""
        context = self.centre.context(self.account)
        return await self.centre.reading(lambda session: look(session, context))

    async def read_done(self, look: Callable[[Session, Context], T]) -> T:
        """Look at what was done just now: who may do it is shown it, even where they may read nothing else."""
        context = self.centre.context(self.caller.account)
        return await self.centre.reading(lambda session: look(session, context))

    async def do(self, change: Callable[[Session, Context], Changed[T]]) -> T:
        """Change the tables, and once that is committed put on the wire what the change says."""
        return await self.centre.do(self.account, change)

    async def note(self, change: Callable[[Session, Context], T]) -> T:
        """Change the tables where nothing goes out."""
        return await self.do(lambda session, context: Changed(change(session, context), Outgoing()))


def _desk(centre: CentreHere, caller: Asker) -> Desk:
    return Desk(centre, caller)


DeskHere = Annotated[Desk, Depends(_desk)]


def _idempotency_key(
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="Names this request: sent again with the same key and body, it gets the same reply and makes "
            "no second sound. Kept for seven days.",
            pattern="^[!-~]{1,128}$",
        ),
    ] = None,
) -> None:
    """Describes the header; `IdempotentRoute` has acted on it already."""
    del key


ONCE = [Depends(_idempotency_key)]
"""`dependencies` of a route that takes an Idempotency-Key."""
Limit = Annotated[int, Query(ge=1, le=200, description="How many at most")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before")]
