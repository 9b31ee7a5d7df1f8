"""Accounts, sign-in and tokens. Passwords are Argon2id; of a token only its SHA-256 is kept."""

import asyncio
import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlmodel import Session, select

from controller.permissions import Authority, all_of
from controller.tables import Account, ApiToken
from loa.clock import Clock
from loa.entropy import Entropy
from loa.errors import Refused
from loa.names import AreaPath
from loa.units import DurationMs, InstantMs

FIRST_ACCOUNT = "admin"
SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 1024
SESSION_MS = DurationMs(12 * 3_600_000)
TOKEN_MS = DurationMs(365 * 24 * 3_600_000)
_USE_NOTED_EVERY_MS = 60_000
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
_hashes = PasswordHash((Argon2Hasher(),))


class Means(Protocol):
    """What this service takes from outside: time and randomness."""

    @property
    def clock(self) -> Clock: ...

    @property
    def entropy(self) -> Entropy: ...

    @property
    def province(self) -> AreaPath: ...


@dataclass(frozen=True)
class Caller:
    """Who asks: an account, by a page's session or by an API token. `token_hash` names the token's row."""

    account: str
    session: bool
    token_hash: str
    one_time: bool = False
    """The password in use is the one printed at the first start."""
    authority: Authority = Authority()
    use_is_old: bool = False
    """The last use of the token was noted a minute ago or more: `note_use` it."""


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


def ensure_first_account(session: Session, means: Means) -> str | None:
    """Make the account `admin` where there is no account at all. Returns its one-time password, to be printed once."""
    if session.exec(select(Account.name).limit(1)).first() is not None:
        return None
    password = "-".join(base64.b32encode(means.entropy(5)).decode().lower()[:4] for _ in range(4))
    session.add(
        Account(
            name=FIRST_ACCOUNT,
            password_hash=_hashes.hash(password),
            one_time=True,
            created_at=means.clock.now_ms(),
        )
    )
    session.flush()
    return password


def password_hash_of(session: Session, name: str) -> str | None:
    """The stored hash, or None where there is no such account."""
    account = session.get(Account, name)
    return None if account is None else account.password_hash


def add_account(session: Session, means: Means, *, name: str, full_name: str, password_hash: str) -> Account:
    """A new account. Raises Refused(bad_value, account_exists)."""
    if _NAME.match(name) is None:
        raise Refused("bad_value", field="name", limit="1 to 64 of [a-z0-9._-]", reason="not an account name")
    if session.get(Account, name) is not None:
        raise Refused("account_exists", field="name", value=name)
    account = Account(
        name=name, full_name=full_name, password_hash=password_hash, one_time=True, created_at=means.clock.now_ms()
    )
    session.add(account)
    session.flush()
    return account


def change_password(session: Session, *, caller: Caller, password_hash: str) -> None:
    """Set a new password and end the account's other sessions; API tokens stay."""
    account = session.get(Account, caller.account)
    if account is None:
        raise Refused("auth_required")
    account.password_hash = password_hash
    account.one_time = False
    session.add(account)
    for token in session.exec(select(ApiToken).where(ApiToken.account == caller.account, ApiToken.session)):
        if token.token_hash != caller.token_hash:
            session.delete(token)


def issue_token(
    session: Session, means: Means, *, account: str, name: str, page_session: bool, lasts_ms: DurationMs
) -> IssuedToken:
    """A new token; sessions that are over are cleared away on the way."""
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
            token_hash=hashed, account=account, name=name, session=page_session, created_at=now, expires_at=expires_at
        )
    )
    session.flush()
    return IssuedToken(id=hashed[:16], secret=secret, name=name, expires_at=expires_at)


def caller_of(session: Session, means: Means, secret: str) -> Caller:
    """Who this token belongs to. Raises Refused(auth_required) for one that is unknown, over or revoked."""
    now = means.clock.now_ms()
    token = session.get(ApiToken, token_hash(secret))
    if token is None or token.expires_at <= now:
        raise Refused("auth_required", field="authorization")
    account = session.get(Account, token.account)
    if account is None:
        raise Refused("auth_required", field="authorization")
    use_is_old = token.last_used_at is None or now - token.last_used_at >= _USE_NOTED_EVERY_MS
    return Caller(token.account, token.session, token.token_hash, account.one_time, all_of(means.province), use_is_old)


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
            InstantMs(row.created_at),
            InstantMs(row.expires_at),
            None if row.last_used_at is None else InstantMs(row.last_used_at),
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
