"""API tokens: a machine's, with a scope; and the list of one's own sessions."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BeforeValidator, Field

from api.asking import Asker, CentreHere
from api.needs import needs, require_fresh_code
from api.problems import documented
from api.shapes import AreaText, Asked, Page, Shown, Text, moment, moment_or_none, whole
from controller import accounts
from controller.permissions import TOKEN_MAY, Open, Permission
from controller.services.areas import place_seen
from loa.units import DurationMs

router = APIRouter(prefix="/api/v1", tags=["accounts"])
DAY_MS = 24 * 3_600_000


class NewToken(Asked):
    name: Text = Field(examples=["máy ở trạm"])
    permissions: Annotated[list[Permission], Field(min_length=1, max_length=64)] = Field(
        description="Of your own, those that a machine may have: " + ", ".join(sorted(TOKEN_MAY)),
        examples=[["node.read", "broadcast.read"]],
    )
    area: AreaText = Field(description="Where it counts; within your own", examples=["quang-ninh"])
    lasts_days: Annotated[int, Field(ge=1, le=3650), BeforeValidator(whole)] = 365


class TokenShown(Shown):
    id: str
    name: str
    session: bool = Field(description="A session of a person's, not an API token")
    permissions: list[str] | None = Field(description="Its scope; null for a session, which may do what you may")
    area: str | None
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


class TokenMade(Shown):
    id: str
    name: str
    token: str = Field(description="Shown this once")
    expires_at: datetime


@router.get("/tokens", operation_id="list_tokens", responses=documented())
@needs(Open.SIGNED_IN)
async def list_tokens(caller: Asker, centre: CentreHere) -> Page[TokenShown]:
    """Your own tokens and sessions, newest first; never their secrets."""
    rows = await centre.reading(lambda db: accounts.tokens_of(db, caller.account))
    return Page(
        items=[
            TokenShown(
                id=row.id,
                name=row.name,
                session=row.session,
                permissions=None if row.permissions is None else list(row.permissions),
                area=row.area,
                created_at=moment(row.created_at),
                expires_at=moment(row.expires_at),
                last_used_at=moment_or_none(row.last_used_at),
            )
            for row in rows
        ]
    )


@router.post(
    "/tokens", operation_id="add_token", status_code=201,
    responses=documented("csrf", "bad_value", "not_found", "person_required", "fresh_code_required"),
)  # fmt: skip
@needs(Open.PERSON)
async def add_token(asked: NewToken, caller: Asker, centre: CentreHere) -> TokenMade:
    """A token for a machine. It may do what it is given here and you may, and makes no sound without a second person.

    Its secret is in this reply and nowhere else.
    """
    if caller.has_code:
        require_fresh_code(caller, centre.clock.now_ms())
    context = centre.context(caller.actor)
    area = await centre.reading(lambda db: place_seen(db, context, asked.area))
    scope = accounts.scope_for(caller.authority, asked.permissions, area)
    made = await centre.unit_of_work(
        lambda db: accounts.issue_token(
            db, centre, account=caller.account, name=asked.name, page_session=False,
            lasts_ms=DurationMs(asked.lasts_days * DAY_MS), scope=scope,
        )
    )  # fmt: skip
    return TokenMade(id=made.id, name=made.name, token=made.secret, expires_at=moment(made.expires_at))


@router.delete(
    "/tokens/{token}", operation_id="revoke_token", status_code=204,
    responses=documented("csrf", "not_found", "person_required"),
)  # fmt: skip
@needs(Open.PERSON)
async def revoke_token(
    token: Annotated[str, Path(pattern="^[0-9a-f]{16}$")], caller: Asker, centre: CentreHere
) -> None:
    """End a token or session of yours at once."""
    await centre.unit_of_work(lambda db: accounts.revoke_token(db, caller.account, token))
