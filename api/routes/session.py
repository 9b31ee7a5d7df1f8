"""Signing in at the page, passwords, accounts and API tokens."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import BeforeValidator, Field
from sqlmodel import select

from api.asking import Asker, CentreHere
from api.gate import COOKIE, ApiLimits, Throttle
from api.needs import needs
from api.problems import documented
from api.shapes import Asked, Page, Shown, Text, moment, moment_or_none, whole
from controller import accounts
from controller.accounts import IssuedToken
from controller.peoplekeys import opens
from controller.permissions import Open, Permission
from controller.services import people_keys
from controller.tables import Account
from loa.errors import Refused
from loa.units import DurationMs

router = APIRouter(prefix="/api/v1", tags=["accounts"])
Password = Annotated[str, Field(max_length=accounts.LONGEST_PASSWORD)]
FreshPassword = Annotated[Password, Field(json_schema_extra={"minLength": accounts.SHORTEST_PASSWORD})]
AccountName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class SignIn(Asked):
    account: Annotated[str, Field(max_length=64)] = Field(examples=["admin"])
    password: Password = Field(examples=["abcd-efgh-ijkl-mnop"])
    token_name: Text | None = Field(
        default=None, description="Give an API token of this name instead of a cookie, as `loa login` does"
    )


class SessionShown(Shown):
    account: str
    csrf_token: str | None = Field(description="Send it as X-CSRF-Token with every change; null for an API token")
    change_password: bool = Field(description="The password is the one that was printed once: change it")
    token: str | None = Field(default=None, description="The API token where one was asked for; shown this once")


class NewPassword(Asked):
    old_password: Password
    new_password: FreshPassword


class NewAccount(Asked):
    name: AccountName = Field(examples=["lan"])
    full_name: Text = Field(default="", examples=["Nguyễn Thị Lan"])
    password: FreshPassword = Field(examples=["một mật khẩu dài"])


class AccountShown(Shown):
    name: str
    full_name: str
    created_at: datetime


class NewToken(Asked):
    name: Text = Field(examples=["máy ở trạm"])
    lasts_days: Annotated[int, Field(ge=1, le=3650), BeforeValidator(whole)] = 365


class TokenShown(Shown):
    id: str
    name: str
    session: bool = Field(description="A page's session, not an API token")
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


class TokenMade(Shown):
    id: str
    name: str
    token: str = Field(description="Shown this once")
    expires_at: datetime


async def _check_password(request: Request, centre: CentreHere, account: str, password: str) -> None:
    """Raises Refused(bad_credentials, rate_limited). Attempts are counted before the slow hash is begun."""
    throttle: Throttle = request.app.state.throttle
    limits: ApiLimits = request.app.state.limits
    address = request.client.host if request.client else "?"
    throttle.count(limits.sign_in_rate, "sign-in", account, address)
    throttle.count(limits.sign_in_rate, "sign-in", account, times=5)
    stored = await centre.reading(lambda session: accounts.password_hash_of(session, account))
    if not await accounts.verify_password(password, stored):
        raise Refused("bad_credentials", field="password")
    throttle.forgive(limits.sign_in_rate, "sign-in", account, address)


def _https(request: Request) -> bool:
    return request.url.scheme == "https"


async def _token(centre: CentreHere, account: str, name: str, *, session: bool, lasts_ms: int) -> IssuedToken:
    return await centre.unit_of_work(
        lambda db: accounts.issue_token(
            db, centre, account=account, name=name, page_session=session, lasts_ms=DurationMs(lasts_ms)
        )
    )


@router.post(
    "/session",
    operation_id="sign_in",
    responses=documented("bad_credentials", "bad_value"),
    openapi_extra={"security": []},
)
@needs(Open.PUBLIC)
async def sign_in(asked: SignIn, request: Request, response: Response, centre: CentreHere) -> SessionShown:
    """Sign in: a cookie for the page, or an API token where `token_name` is given."""
    await _check_password(request, centre, asked.account, asked.password)
    one_time = await centre.reading(lambda db: bool((row := db.get(Account, asked.account)) and row.one_time))
    if asked.token_name is not None:
        made = await _token(centre, asked.account, asked.token_name, session=False, lasts_ms=accounts.TOKEN_MS)
        return SessionShown(account=asked.account, csrf_token=None, change_password=one_time, token=made.secret)
    made = await _token(centre, asked.account, "", session=True, lasts_ms=accounts.SESSION_MS)
    response.set_cookie(
        COOKIE,
        made.secret,
        max_age=accounts.SESSION_MS // 1000,
        httponly=True,
        samesite="strict",
        secure=_https(request),
        path="/",
    )
    return SessionShown(account=asked.account, csrf_token=accounts.csrf_token(made.secret), change_password=one_time)


@router.get("/session", operation_id="who_am_i", responses=documented())
@needs(Open.SIGNED_IN)
async def who_am_i(request: Request, caller: Asker) -> SessionShown:
    """Who this request is from; for the page, its CSRF token again."""
    return SessionShown(
        account=caller.account, csrf_token=getattr(request.state, "csrf", None), change_password=caller.one_time
    )


@router.delete("/session", operation_id="sign_out", status_code=204, responses=documented("csrf"))
@needs(Open.SIGNED_IN)
async def sign_out(request: Request, response: Response, caller: Asker, centre: CentreHere) -> None:
    """End this session, or revoke the API token that this request carries."""
    del request
    await centre.unit_of_work(lambda db: accounts.revoke_token(db, caller.account, caller.token_hash[:16]))
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")


@router.post(
    "/session/password",
    operation_id="change_password",
    status_code=204,
    responses=documented("bad_credentials", "csrf", "weak_password", "passphrase_is_password"),
)
@needs(Open.SIGNED_IN)
async def change_password(asked: NewPassword, request: Request, caller: Asker, centre: CentreHere) -> None:
    """Set a new password. The account's other sessions end; its API tokens stay."""
    await _check_password(request, centre, caller.account, asked.old_password)
    sealed = await centre.reading(lambda db: people_keys.sealed_seeds_of(db, caller.account))
    if await centre.aside(lambda: any(opens(one, asked.new_password) for one in sealed)):
        raise Refused("passphrase_is_password", field="new_password")
    hashed = await accounts.hash_password(asked.new_password)
    await centre.unit_of_work(lambda db: accounts.change_password(db, caller=caller, password_hash=hashed))


@router.get("/accounts", operation_id="list_accounts", responses=documented())
@needs(Permission.ACCOUNT_READ)
async def list_accounts(caller: Asker, centre: CentreHere) -> Page[AccountShown]:
    """Everyone who may sign in."""
    del caller
    rows = await centre.reading(lambda db: list(db.exec(select(Account).order_by(Account.name))))
    return Page(items=[AccountShown(name=r.name, full_name=r.full_name, created_at=moment(r.created_at)) for r in rows])


@router.post(
    "/accounts",
    operation_id="add_account",
    status_code=201,
    responses=documented("account_exists", "csrf", "weak_password"),
)
@needs(Permission.ACCOUNT_MANAGE)
async def add_account(asked: NewAccount, caller: Asker, centre: CentreHere) -> AccountShown:
    """A new account; its first password should be changed at the first sign-in."""
    del caller
    hashed = await accounts.hash_password(asked.password)
    row = await centre.unit_of_work(
        lambda db: accounts.add_account(db, centre, name=asked.name, full_name=asked.full_name, password_hash=hashed)
    )
    return AccountShown(name=row.name, full_name=row.full_name, created_at=moment(row.created_at))


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
                created_at=moment(row.created_at),
                expires_at=moment(row.expires_at),
                last_used_at=moment_or_none(row.last_used_at),
            )
            for row in rows
        ]
    )


@router.post("/tokens", operation_id="add_token", status_code=201, responses=documented("csrf", "bad_value"))
@needs(Open.SIGNED_IN)
async def add_token(asked: NewToken, caller: Asker, centre: CentreHere) -> TokenMade:
    """A new API token for your account. Its secret is in this reply and nowhere else."""
    made = await _token(centre, caller.account, asked.name, session=False, lasts_ms=asked.lasts_days * 24 * 3_600_000)
    return TokenMade(id=made.id, name=made.name, token=made.secret, expires_at=moment(made.expires_at))


@router.delete(
    "/tokens/{token}", operation_id="revoke_token", status_code=204, responses=documented("csrf", "not_found")
)
@needs(Open.SIGNED_IN)
async def revoke_token(
    token: Annotated[str, Path(pattern="^[0-9a-f]{16}$")], caller: Asker, centre: CentreHere
) -> None:
    """End a token or session of yours at once."""
    await centre.unit_of_work(lambda db: accounts.revoke_token(db, caller.account, token))
