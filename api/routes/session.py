"""Signing in with password and code, setting codes up, giving a fresh one before something sounds, passwords."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import Field

from api.asking import Asker, CentreHere
from api.gate import COOKIE, ApiLimits, Throttle
from api.needs import needs, require_fresh_code
from api.problems import documented
from api.qr import qr_svg
from api.shapes import AccountText, Asked, Shown, Text, moment
from controller import accounts, code_keeping, codes
from controller.accounts import CODE_FRESH_MS, Caller
from controller.peoplekeys import opens
from controller.permissions import Open, Post
from controller.services import people_keys
from loa.errors import Refused

router = APIRouter(prefix="/api/v1", tags=["accounts"])
Password = Annotated[str, Field(max_length=accounts.LONGEST_PASSWORD)]
FreshPassword = Annotated[Password, Field(json_schema_extra={"minLength": accounts.SHORTEST_PASSWORD})]
Code = Annotated[str, Field(min_length=6, max_length=20)]


class SignIn(Asked):
    account: AccountText = Field(examples=["admin"])
    password: Password = Field(examples=["abcd-efgh-ijkl-mnop"])
    code: Code | None = Field(
        default=None, description="Six digits of the authenticator app, or a recovery code", examples=["123456"]
    )
    token_name: Text | None = Field(
        default=None, description="Give the session as a bearer token of this name instead of a cookie, as `loa login`"
    )


class PostShown(Shown):
    role: str
    area: str


class SessionShown(Shown):
    account: str
    roles: list[PostShown]
    may: dict[str, list[str]] = Field(description="Each permission that you have, and the areas where")
    csrf_token: str | None = Field(description="Send it as X-CSRF-Token with every change; null without a cookie")
    change_password: bool = Field(description="The password is the one that was printed once: change it")
    set_up_code: bool = Field(description="Your role wants codes and you have none: POST /api/v1/session/code")
    has_code: bool
    fresh_until: datetime | None = Field(description="Until then nothing that sounds asks for another code")
    token: str | None = Field(default=None, description="The bearer token where one was asked for; shown this once")


class NewPassword(Asked):
    old_password: Password
    new_password: FreshPassword


class StepUp(Asked):
    code: Code = Field(examples=["123456"])
    password: Password | None = Field(default=None, description="Where a fresh sign-in is wanted")


class GivenCode(Asked):
    code: Code = Field(examples=["123456"])


class CodeBegun(Shown):
    secret: str = Field(description="Base32; shown this once")
    address: str = Field(description="otpauth://…, what the QR code holds")
    qr: str = Field(description="An SVG drawing of the QR code")


class RecoveryCodes(Shown):
    recovery_codes: list[str] = Field(description="Each stands in for a code once; shown this once")


def post_shown(post: Post) -> PostShown:
    return PostShown(role=str(post.role), area=post.area)


def session_shown(caller: Caller, *, csrf: str | None, token: str | None = None) -> SessionShown:
    return SessionShown(
        account=caller.account,
        roles=[post_shown(post) for post in caller.authority.posts],
        may={str(one): [*caller.authority.reach(one)] for one in sorted(caller.authority.permissions())},
        csrf_token=csrf,
        change_password=caller.one_time,
        set_up_code=caller.must_enrol,
        has_code=caller.has_code,
        fresh_until=None if caller.code_at is None else moment(caller.code_at + CODE_FRESH_MS),
        token=token,
    )


async def _check_password(request: Request, centre: CentreHere, asked: SignIn) -> bool:
    """Whether the account has codes. Raises Refused(bad_credentials, rate_limited, code_used).

    Attempts are counted before the slow hash is begun. Whoever shows a right code is heard all the same: strangers'
    guesses must not keep a duty officer out.
    """
    throttle: Throttle = request.app.state.throttle
    limits: ApiLimits = request.app.state.limits
    address = request.client.host if request.client else "?"
    try:
        throttle.count(limits.sign_in_rate, "sign-in", asked.account, address)
        throttle.count(limits.sign_in_rate, "sign-in", asked.account, times=5)
    except Refused:
        if asked.code is None or not await _shows_code(request, centre, asked.account, asked.code):
            raise
    known = await centre.reading(lambda session: accounts.sign_in_of(session, asked.account))
    if not await accounts.verify_password(asked.password, known.password_hash):
        raise Refused("bad_credentials", field="password")
    throttle.forgive(limits.sign_in_rate, "sign-in", asked.account, address)
    return known.has_code


async def _shows_code(request: Request, centre: CentreHere, account: str, code: str) -> bool:
    """Whether a code is right, without using it up. Raises Refused(code_used, rate_limited).

    Six digits can be guessed, so they are counted here too, apart from those of who has the password; a recovery code
    of 50 bits cannot, and opens this way whatever others do.
    """
    throttle: Throttle = request.app.state.throttle
    limits: ApiLimits = request.app.state.limits
    if not codes.is_recovery_code(code):
        throttle.count(limits.code_rate, "code before password", account)
    right = await centre.reading(lambda db: code_keeping.is_right(db, centre, account, code))
    if right:
        throttle.forgive(limits.code_rate, "code before password", account)
    return right


async def _check_own_password(request: Request, centre: CentreHere, caller: Caller, password: str) -> None:
    """Of somebody who is signed in: nobody else's attempts count. Raises Refused(bad_credentials, rate_limited)."""
    throttle: Throttle = request.app.state.throttle
    limits: ApiLimits = request.app.state.limits
    throttle.count(limits.sign_in_rate, "own password", caller.account)
    known = await centre.reading(lambda session: accounts.sign_in_of(session, caller.account))
    if not await accounts.verify_password(password, known.password_hash):
        raise Refused("bad_credentials", field="password")
    throttle.forgive(limits.sign_in_rate, "own password", caller.account)


async def _take_code(request: Request, centre: CentreHere, account: str, code: str) -> None:
    """Raises Refused(bad_code, code_used, rate_limited). Wrong ones are counted for the account, from anywhere, but for
    recovery codes, which nobody guesses.
    """
    throttle: Throttle = request.app.state.throttle
    limits: ApiLimits = request.app.state.limits
    if not codes.is_recovery_code(code):
        throttle.count(limits.code_rate, "code", account)
    await centre.unit_of_work(lambda db: code_keeping.take_code(db, centre, account, code))
    throttle.forgive(limits.code_rate, "code", account)


@router.post(
    "/session",
    operation_id="sign_in",
    responses=documented("bad_credentials", "code_required", "bad_code", "code_used", "bad_value"),
    openapi_extra={"security": []},
)
@needs(Open.PUBLIC)
async def sign_in(asked: SignIn, request: Request, response: Response, centre: CentreHere) -> SessionShown:
    """Sign in: a cookie for the page, or a bearer token where `token_name` is given. Whoever has codes gives one."""
    has_code = await _check_password(request, centre, asked)
    if has_code:
        if asked.code is None:
            raise Refused("code_required", field="code")
        await _take_code(request, centre, asked.account, asked.code)
    made = await centre.unit_of_work(
        lambda db: accounts.issue_token(
            db, centre, account=asked.account, name=asked.token_name or "", page_session=True,
            lasts_ms=accounts.SESSION_MS, code_given=has_code,
        )
    )  # fmt: skip
    caller = await centre.reading(lambda db: accounts.caller_of(db, centre, made.secret))
    if asked.token_name is not None:
        return session_shown(caller, csrf=None, token=made.secret)
    response.set_cookie(
        COOKIE,
        made.secret,
        max_age=accounts.SESSION_MS // 1000,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        path="/",
    )
    return session_shown(caller, csrf=accounts.csrf_token(made.secret))


@router.get("/session", operation_id="who_am_i", responses=documented())
@needs(Open.SIGNED_IN)
async def who_am_i(request: Request, caller: Asker) -> SessionShown:
    """Who this request is from and what they may do; for the page, its CSRF token again."""
    return session_shown(caller, csrf=getattr(request.state, "csrf", None))


@router.delete("/session", operation_id="sign_out", status_code=204, responses=documented("csrf"))
@needs(Open.SIGNED_IN)
async def sign_out(request: Request, response: Response, caller: Asker, centre: CentreHere) -> None:
    """End this session, or revoke the API token that this request carries."""
    del request
    await centre.unit_of_work(lambda db: accounts.revoke_token(db, caller.account, caller.token_hash[:16]))
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")


@router.post(
    "/session/step-up",
    operation_id="step_up",
    responses=documented("csrf", "person_required", "bad_code", "code_used", "bad_credentials"),
)
@needs(Open.PERSON)
async def step_up(asked: StepUp, request: Request, caller: Asker, centre: CentreHere) -> SessionShown:
    """Give a fresh code in this session: for five minutes it may make sound. With the password, a release too."""
    if asked.password is not None:
        await _check_own_password(request, centre, caller, asked.password)
    await _take_code(request, centre, caller.account, asked.code)
    with_password = asked.password is not None
    await centre.unit_of_work(
        lambda db: code_keeping.step_up(db, centre, caller.token_hash, with_password=with_password)
    )
    return await _shown_again(request, centre, caller)


@router.post(
    "/session/code",
    operation_id="begin_code",
    status_code=201,
    responses=documented("csrf", "person_required", "fresh_code_required"),
)
@needs(Open.PERSON)
async def begin_code(caller: Asker, centre: CentreHere) -> CodeBegun:
    """A secret for an authenticator app. It counts once a code of it is confirmed; until then the old one does."""
    if caller.has_code:
        require_fresh_code(caller, centre.clock.now_ms())
    secret = await centre.unit_of_work(lambda db: code_keeping.begin_code(db, centre, caller.account))
    address = codes.address_of(secret, caller.account)
    return CodeBegun(secret=secret, address=address, qr=qr_svg(address))


@router.post(
    "/session/code/confirm",
    operation_id="confirm_code",
    responses=documented("csrf", "person_required", "no_code_begun", "bad_code"),
)
@needs(Open.PERSON)
async def confirm_code(asked: GivenCode, request: Request, caller: Asker, centre: CentreHere) -> RecoveryCodes:
    """Show that the app works by a first code. Other sessions of yours end."""
    throttle: Throttle = request.app.state.throttle
    limits: ApiLimits = request.app.state.limits
    throttle.count(limits.code_rate, "code", caller.account)
    fresh = await centre.unit_of_work(lambda db: code_keeping.confirm_code(db, centre, caller, asked.code))
    throttle.forgive(limits.code_rate, "code", caller.account)
    return RecoveryCodes(recovery_codes=list(fresh))


@router.post(
    "/session/recovery-codes",
    operation_id="renew_recovery_codes",
    responses=documented("csrf", "person_required", "fresh_code_required"),
)
@needs(Open.PERSON)
async def renew_recovery_codes(caller: Asker, centre: CentreHere) -> RecoveryCodes:
    """New recovery codes; those that there were count no more."""
    require_fresh_code(caller, centre.clock.now_ms())
    fresh = await centre.unit_of_work(lambda db: code_keeping.renew_recovery_codes(db, centre, caller.account))
    return RecoveryCodes(recovery_codes=list(fresh))


@router.post(
    "/session/password",
    operation_id="change_password",
    status_code=204,
    responses=documented("bad_credentials", "csrf", "person_required", "weak_password", "passphrase_is_password"),
)
@needs(Open.PERSON)
async def change_password(asked: NewPassword, request: Request, caller: Asker, centre: CentreHere) -> None:
    """Set a new password. The account's other sessions end; its API tokens stay."""
    await _check_own_password(request, centre, caller, asked.old_password)
    sealed = await centre.reading(lambda db: people_keys.sealed_seeds_of(db, caller.account))
    if await centre.aside(lambda: any(opens(one, asked.new_password) for one in sealed)):
        raise Refused("passphrase_is_password", field="new_password")
    hashed = await accounts.hash_password(asked.new_password)
    await centre.unit_of_work(lambda db: accounts.change_password(db, caller=caller, password_hash=hashed))


async def _shown_again(request: Request, centre: CentreHere, caller: Caller) -> SessionShown:
    fresh = await centre.reading(lambda db: accounts.caller_with(db, centre, caller.token_hash))
    return session_shown(fresh, csrf=getattr(request.state, "csrf", None))
