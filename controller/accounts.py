"""Accounts, sign-in and tokens. Passwords are Argon2id; of a token only its SHA-256 is kept.

A session is a person's, here and now: made by password and code, over after hours. An API token is a machine's: it has
a scope, is never wider than its owner, and needs a second person where a session needs a fresh code.
"""

import asyncio
import base64
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlmodel import Session, select

from controller import codes
from controller.permissions import Actor, Authority, Permission, Post, Role, Scope, needs_code
from controller.tables import Account, AccountPost, ApiToken
from loa.clock import Clock
from loa.entropy import Entropy
from loa.errors import Refused
from loa.names import AreaPath
from loa.units import DurationMs, InstantMs

FIRST_ACCOUNT = "admin"
FIRST_ROLES = (Role.PROVINCE_ADMIN, Role.DUTY_OFFICER)
"""Of the first account, so that one person can set a province up; a second one is needed before anything sounds."""
SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 1024
SESSION_MS = DurationMs(12 * 3_600_000)
IDLE_MS = DurationMs(2 * 3_600_000)
"""A session of which nothing was heard for this long is over."""
TOKEN_MS = DurationMs(365 * 24 * 3_600_000)
CODE_FRESH_MS = DurationMs(5 * 60_000)
"""A code that was given this long ago at most lets a session make sound."""
_USE_NOTED_EVERY_MS = 60_000
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
_hashes = PasswordHash((Argon2Hasher(),))


class Means(Protocol):
    """What this service takes from outside: time, randomness, the province, the key that seals people's secrets."""

    @property
    def clock(self) -> Clock: ...

    @property
    def entropy(self) -> Entropy: ...

    @property
    def province(self) -> AreaPath: ...

    @property
    def accounts_key(self) -> bytes: ...


@dataclass(frozen=True)
class Caller:
    """Who asks: an account, by a person's session or by an API token. `token_hash` names the token's row."""

    account: str
    session: bool
    token_hash: str
    one_time: bool = False
    """The password in use is the one printed at the first start."""
    authority: Authority = Authority()
    must_enrol: bool = False
    """They hold a role that wants codes and have none: until then they may see to that and to nothing else."""
    has_code: bool = False
    code_at: InstantMs | None = None
    """When a code was last given in this session."""
    password_at: InstantMs | None = None
    """When the password was."""
    use_is_old: bool = False
    """The last use of the token was noted a minute ago or more: `note_use` it."""

    @property
    def actor(self) -> Actor:
        """As the services take it: an account's name with what it may do."""
        return Actor(self.account, self.authority)


@dataclass(frozen=True)
class FirstAccount:
    """What is printed once at the first start: a password and what codes are made from."""

    password: str
    code_secret: str

    @property
    def address(self) -> str:
        return codes.address_of(self.code_secret, FIRST_ACCOUNT)


@dataclass(frozen=True)
class SignIn:
    """What signing in needs to know of an account. `password_hash` is None where there is none that may sign in."""

    password_hash: str | None
    has_code: bool = False


@dataclass(frozen=True)
class IssuedToken:
    """A new token; `secret` is shown this once."""

    id: str
    secret: str
    name: str
    expires_at: InstantMs


@dataclass(frozen=True)
class TokenShown:
    """A token as it is listed: never its secret."""

    id: str
    name: str
    session: bool
    permissions: tuple[str, ...] | None
    area: str | None
    created_at: InstantMs
    expires_at: InstantMs
    last_used_at: InstantMs | None


def token_hash(secret: str) -> str:
    """What is kept of a token: hex of its SHA-256. Tokens are 256 random bits, so no slow hash is needed."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def csrf_token(secret: str) -> str:
    """The CSRF token of a session: known to whoever can read our replies, not to another site that can only send."""
    return hmac.new(secret.encode(), b"loa csrf", hashlib.sha256).hexdigest()[:32]


async def hash_password(password: str) -> str:
    """Argon2id in a thread (about 0.1 s). Raises Refused(weak_password, too_large)."""
    _check_strength(password)
    return await asyncio.to_thread(_hashes.hash, password)


def _check_strength(password: str) -> None:
    if len(password) < SHORTEST_PASSWORD:
        raise Refused("weak_password", field="password", limit=SHORTEST_PASSWORD)
    if len(password) > LONGEST_PASSWORD:
        raise Refused("too_large", field="password", limit=f"{LONGEST_PASSWORD} characters")


@cache
def _no_account() -> str:
    """Verified against where there is no such account, so that the time taken does not tell."""
    return _hashes.hash("nobody has this password")


def _fits(password: str, stored: str | None) -> bool:
    return _hashes.verify(password, stored if stored is not None else _no_account()) and stored is not None


async def verify_password(password: str, stored: str | None) -> bool:
    """Whether the password fits, in a thread; takes as long where there is no such account."""
    if len(password) > LONGEST_PASSWORD:
        return False
    return await asyncio.to_thread(_fits, password, stored)


def one_time_password(entropy: Entropy) -> str:
    """80 random bits, in groups that can be read out."""
    return "-".join(base64.b32encode(entropy(5)).decode().lower()[:4] for _ in range(4))


def has_accounts(session: Session) -> bool:
    """Whether there is any account, disabled ones too."""
    return session.exec(select(Account.name).limit(1)).first() is not None


def ensure_first_account(session: Session, means: Means) -> FirstAccount | None:
    """Make the account `admin` where there is no account at all. Returns what is to be printed once."""
    if has_accounts(session):
        return None
    first = FirstAccount(one_time_password(means.entropy), codes.new_secret(means.entropy))
    session.add(
        Account(
            name=FIRST_ACCOUNT,
            password_hash=_hashes.hash(first.password),
            one_time=True,
            code_secret=codes.seal_secret(first.code_secret, FIRST_ACCOUNT, means.accounts_key, means.entropy),
            created_at=means.clock.now_ms(),
        )
    )
    session.flush()
    session.add_all(AccountPost(account=FIRST_ACCOUNT, role=role, area=means.province) for role in FIRST_ROLES)
    session.flush()
    return first


def sign_in_of(session: Session, name: str) -> SignIn:
    """What signing in to this account needs; one that is disabled is as none."""
    account = session.get(Account, name)
    if account is None or account.disabled_at is not None:
        return SignIn(None)
    return SignIn(account.password_hash, account.code_secret is not None)


def password_hash_of(session: Session, name: str) -> str | None:
    """The stored hash, or None where there is no such account."""
    account = session.get(Account, name)
    return None if account is None else account.password_hash


def check_name(name: str) -> str:
    """Raises Refused(bad_value)."""
    if _NAME.match(name) is None:
        raise Refused("bad_value", field="name", limit="1 to 64 of [a-z0-9._-]", reason="not an account name")
    return name


def end_sessions(session: Session, name: str, *, but: str = "", tokens: bool = False) -> None:
    """End an account's sessions at once, all but one; its API tokens too where asked."""
    for row in session.exec(select(ApiToken).where(ApiToken.account == name)):
        if row.token_hash != but and (row.session or tokens):
            session.delete(row)
    session.flush()


def change_password(session: Session, *, caller: Caller, password_hash: str) -> None:
    """Set a new password and end the account's other sessions; API tokens stay."""
    account = session.get(Account, caller.account)
    if account is None:
        raise Refused("auth_required")
    account.password_hash = password_hash
    account.one_time = False
    session.add(account)
    end_sessions(session, caller.account, but=caller.token_hash)


def issue_token(
    session: Session,
    means: Means,
    *,
    account: str,
    name: str,
    page_session: bool,
    lasts_ms: DurationMs,
    scope: Scope | None = None,
    code_given: bool = False,
) -> IssuedToken:
    """A new session, or an API token with its scope; sessions that are over are cleared away on the way."""
    now = means.clock.now_ms()
    for old in session.exec(
        select(ApiToken).where(ApiToken.account == account, ApiToken.session, ApiToken.expires_at <= now)
    ):
        session.delete(old)
    secret = ("loas_" if page_session else "loa_") + base64.urlsafe_b64encode(means.entropy(32)).decode().rstrip("=")
    expires_at = InstantMs(now + lasts_ms)
    hashed = token_hash(secret)
    session.add(
        ApiToken(
            token_hash=hashed, account=account, name=name, session=page_session,
            permissions=None if scope is None else sorted(scope.permissions),
            area=None if scope is None else scope.area,
            code_at=now if code_given else None, password_at=now if page_session else None,
            created_at=now, expires_at=expires_at,
        )
    )  # fmt: skip
    session.flush()
    return IssuedToken(id=hashed[:16], secret=secret, name=name, expires_at=expires_at)


def posts_of(session: Session, name: str) -> tuple[Post, ...]:
    """An account's posts, sorted."""
    rows = session.exec(select(AccountPost.role, AccountPost.area).where(AccountPost.account == name))
    return tuple(sorted(Post(Role(role), AreaPath(area)) for role, area in rows))


def caller_of(session: Session, means: Means, secret: str) -> Caller:
    """Who this token belongs to. Raises Refused(auth_required) for one that is unknown, over, idle or revoked."""
    return caller_with(session, means, token_hash(secret))


def caller_with(session: Session, means: Means, hashed: str) -> Caller:
    """As `caller_of`, by what is kept of the token."""
    now = means.clock.now_ms()
    token = session.get(ApiToken, hashed)
    if token is None or token.expires_at <= now:
        raise Refused("auth_required", field="authorization")
    if token.session and now - (token.last_used_at or token.created_at) > IDLE_MS:
        raise Refused("auth_required", field="authorization")
    account = session.get(Account, token.account)
    if account is None or account.disabled_at is not None:
        raise Refused("auth_required", field="authorization")
    posts = posts_of(session, account.name)
    use_is_old = token.last_used_at is None or now - token.last_used_at >= _USE_NOTED_EVERY_MS
    return Caller(
        account.name, token.session, token.token_hash, account.one_time, Authority(posts, _scope_of(token)),
        must_enrol=account.code_secret is None and needs_code(post.role for post in posts),
        has_code=account.code_secret is not None, code_at=_instant(token.code_at),
        password_at=_instant(token.password_at), use_is_old=use_is_old,
    )  # fmt: skip


def code_is_fresh(caller: Caller, now: InstantMs) -> bool:
    """Whether a code was given in this session in the last minutes."""
    return caller.session and caller.code_at is not None and 0 <= now - caller.code_at <= CODE_FRESH_MS


def sign_in_is_fresh(caller: Caller, now: InstantMs) -> bool:
    """Whether the password was given in this session in the last minutes."""
    return caller.session and caller.password_at is not None and 0 <= now - caller.password_at <= CODE_FRESH_MS


def scope_for(owner: Authority, permissions: Iterable[Permission], area: AreaPath) -> Scope:
    """The scope of a new token of somebody. Raises Refused(not_permitted) for what they do not have there."""
    scope = Scope(frozenset(permissions), area)
    narrowed = Authority(owner.posts, scope)
    for one in sorted(scope.permissions):
        if not narrowed.may(one, area):
            raise Refused("not_permitted", field="permissions", value=str(one))
    return scope


def _scope_of(token: ApiToken) -> Scope | None:
    if token.session:
        return None
    return Scope(frozenset(Permission(one) for one in token.permissions or ()), AreaPath(token.area or "nowhere"))


def _instant(value: int | None) -> InstantMs | None:
    return None if value is None else InstantMs(value)


def note_use(session: Session, means: Means, hashed: str) -> None:
    """Write down that a token was used now."""
    token = session.get(ApiToken, hashed)
    if token is not None:
        token.last_used_at = means.clock.now_ms()
        session.add(token)


def tokens_of(session: Session, account: str) -> list[TokenShown]:
    """An account's tokens, newest first."""
    rows = session.exec(select(ApiToken).where(ApiToken.account == account))
    return [
        TokenShown(
            row.token_hash[:16],
            row.name,
            row.session,
            None if row.permissions is None else tuple(row.permissions),
            row.area,
            InstantMs(row.created_at),
            InstantMs(row.expires_at),
            _instant(row.last_used_at),
        )
        for row in sorted(rows, key=lambda row: (-row.created_at, row.token_hash))
    ]


def revoke_token(session: Session, account: str, token_id: str) -> None:
    """End a token at once, by the id that the list shows. Raises Refused(not_found)."""
    for row in session.exec(select(ApiToken).where(ApiToken.account == account)):
        if hmac.compare_digest(row.token_hash[:16].encode(), token_id.encode("utf-8", "replace")):
            session.delete(row)
            return
    raise Refused("not_found", field="token", value=token_id[:100])
