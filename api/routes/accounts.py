"""People's accounts, as the province administrator keeps them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import Field, StrictBool

from api.asking import DeskHere
from api.needs import needs
from api.problems import documented
from api.routes.session import FreshPassword, PostShown, post_shown
from api.shapes import AreaText, Asked, Page, Shown, Text, moment, moment_or_none
from controller import accounts
from controller.permissions import Permission, Post, Role
from controller.services import people
from controller.services.people import MOST_POSTS, PersonView
from loa.names import AreaPath

router = APIRouter(prefix="/api/v1", tags=["accounts"])
AccountName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
AccountInPath = Annotated[AccountName, Path(examples=["lan"])]
CHANGES = ("csrf", "not_found", "fresh_code_required", "last_admin")


class PostAsked(Asked):
    role: Role = Field(examples=["operator"])
    area: AreaText = Field(examples=["quang-ninh/co-to"])


Posts = Annotated[list[PostAsked], Field(max_length=MOST_POSTS)]


class NewAccount(Asked):
    name: AccountName = Field(examples=["lan"])
    full_name: Text = Field(default="", examples=["Nguyễn Thị Lan"])
    roles: Posts = Field(default_factory=list)
    password: FreshPassword | None = Field(
        default=None, description="The first one; made up unless given", examples=["một mật khẩu dài"]
    )


class NewRoles(Asked):
    roles: Posts


class Reset(Asked):
    code: StrictBool = Field(default=False, description="Set codes up anew too: the device is lost")


class AccountShown(Shown):
    name: str
    full_name: str
    roles: list[PostShown]
    status: Literal["active", "disabled"]
    needs_code: bool = Field(description="Their role wants codes")
    has_code: bool = Field(description="Their authenticator app is set up")
    change_password: bool = Field(description="They have not changed the password that was given to them")
    disabled_at: datetime | None
    created_at: datetime


class AccountMade(AccountShown):
    one_time_password: str | None = Field(description="Where it was made up; shown this once")


def account_shown(view: PersonView) -> AccountShown:
    return AccountShown(
        name=view.name,
        full_name=view.full_name,
        roles=[post_shown(post) for post in view.posts],
        status="active" if view.disabled_at is None else "disabled",
        needs_code=view.needs_code,
        has_code=view.has_code,
        change_password=view.one_time,
        disabled_at=moment_or_none(view.disabled_at),
        created_at=moment(view.created_at),
    )


def _posts(asked: Sequence[PostAsked]) -> list[Post]:
    return [Post(one.role, AreaPath(one.area)) for one in asked]


def _made(view: PersonView, password: str | None) -> AccountMade:
    return AccountMade(**account_shown(view).model_dump(), one_time_password=password)


@router.get("/accounts", operation_id="list_accounts", responses=documented())
@needs(Permission.ACCOUNT_READ)
async def list_accounts(desk: DeskHere) -> Page[AccountShown]:
    """Everyone who may sign in, and who no longer may."""
    return Page(items=[account_shown(view) for view in await desk.read(people.list_people)])


@router.get("/accounts/{account}", operation_id="get_account", responses=documented("not_found"))
@needs(Permission.ACCOUNT_READ)
async def get_account(account: AccountInPath, desk: DeskHere) -> AccountShown:
    """One of them."""
    return account_shown(await desk.read(lambda session, ctx: people.person(session, ctx, account)))


@router.post(
    "/accounts", operation_id="add_account", status_code=201,
    responses=documented(
        "account_exists", "csrf", "weak_password", "not_found", "role_needs_province", "fresh_code_required"
    ),
)  # fmt: skip
@needs(Permission.ACCOUNT_MANAGE)
async def add_account(asked: NewAccount, desk: DeskHere) -> AccountMade:
    """A new account with its roles. At the first sign-in its person sets codes up, where the role wants them."""
    made_up = None if asked.password is not None else accounts.one_time_password(desk.centre.entropy)
    hashed = await accounts.hash_password(asked.password or made_up or "")
    posts = _posts(asked.roles)
    view = await desk.note(
        lambda session, ctx: people.add_person(
            session, ctx, name=asked.name, full_name=asked.full_name, password_hash=hashed, posts=posts
        )
    )
    return _made(view, made_up)


@router.put(
    "/accounts/{account}/roles", operation_id="set_roles", responses=documented(*CHANGES, "role_needs_province")
)
@needs(Permission.ACCOUNT_MANAGE)
async def set_roles(account: AccountInPath, asked: NewRoles, desk: DeskHere) -> AccountShown:
    """Give these roles instead of those they had. Their sessions end."""
    posts = _posts(asked.roles)
    return account_shown(
        await desk.note(lambda session, ctx: people.set_posts(session, ctx, name=account, posts=posts))
    )


@router.post("/accounts/{account}/disable", operation_id="disable_account", responses=documented(*CHANGES))
@needs(Permission.ACCOUNT_MANAGE)
async def disable_account(account: AccountInPath, desk: DeskHere) -> AccountShown:
    """They cannot sign in any more; sessions and API tokens end at once."""
    return account_shown(await desk.note(lambda session, ctx: people.disable(session, ctx, name=account)))


@router.post("/accounts/{account}/enable", operation_id="enable_account", responses=documented(*CHANGES))
@needs(Permission.ACCOUNT_MANAGE)
async def enable_account(account: AccountInPath, desk: DeskHere) -> AccountShown:
    """They may sign in again."""
    return account_shown(await desk.note(lambda session, ctx: people.enable(session, ctx, name=account)))


@router.post("/accounts/{account}/reset", operation_id="reset_account", responses=documented(*CHANGES))
@needs(Permission.ACCOUNT_MANAGE)
async def reset_account(account: AccountInPath, asked: Reset, desk: DeskHere) -> AccountMade:
    """A new one-time password; with `code`, codes are set up anew at the next sign-in. Sessions and tokens end."""
    password = accounts.one_time_password(desk.centre.entropy)
    hashed = await accounts.hash_password(password)
    view = await desk.note(
        lambda session, ctx: people.reset(session, ctx, name=account, password_hash=hashed, code=asked.code)
    )
    return _made(view, password)
