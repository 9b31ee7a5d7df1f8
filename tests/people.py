"""People for tests: accounts with posts, codes set up, signed in."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlmodel import Session

from controller import accounts, code_keeping, codes
from controller.accounts import Caller
from controller.permissions import Post, Role, needs_code
from controller.services import people
from controller.services.context import Changed, Context
from loa.clock import Clock, StoppedClock, SystemClock
from loa.entropy import Entropy
from loa.names import AreaPath

if TYPE_CHECKING:
    from controller.centre import Centre

PASSWORD = "mật khẩu để thử"
AS_SHIPPED = accounts._hashes
"""What passwords are hashed by outside tests."""
_hashed: list[str] = []


def hash_lightly() -> None:
    """From here on in this process: Argon2id still, at a cost that suits tests."""
    accounts._hashes = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))


@dataclass(frozen=True)
class SignedIn:
    """Somebody's session: its bearer token, and what their codes are made from (empty where they have none)."""

    name: str
    token: str
    secret: str


@dataclass
class _Moment:
    """What an account's code is taken with, at one instant: no step ends between making a code and showing it."""

    clock: Clock
    accounts_key: bytes
    entropy: Entropy
    province: AreaPath


def code_now(secret: str, now_ms: int, *, steps_on: int = 0) -> str:
    """The code that an authenticator app shows, or the one of so many steps later."""
    return codes.code_of(secret, now_ms // codes.STEP_MS + steps_on)


_TO_TYPE_MS = 10_000


@dataclass
class App:
    """An authenticator app that never shows the same code twice."""

    secret: str
    used: int = 0

    def code(self) -> str:
        """The oldest that was not shown yet and still counts when it has been typed and sent."""
        then = (SystemClock().now_ms() + _TO_TYPE_MS) // codes.STEP_MS
        self.used = max(self.used + 1, then - codes.WINDOW)
        return codes.code_of(self.secret, self.used)


async def join(centre: "Centre", name: str, *posts: tuple[Role, str], with_code: bool = False) -> SignedIn:
    """A new person, signed in with password and code a moment ago; their password is PASSWORD.

    with_code: even where no role of theirs wants codes.
    """
    if not _hashed:
        _hashed.append(await accounts.hash_password(PASSWORD))
    held = [Post(role, AreaPath(area)) for role, area in posts]

    def work(session: Session, ctx: Context) -> Changed[SignedIn]:
        people.add_person(session, ctx, name=name, full_name="", password_hash=_hashed[0], posts=held)
        secret = ""
        made = accounts.issue_token(
            session, centre, account=name, name="tests", page_session=True, lasts_ms=accounts.SESSION_MS
        )
        if with_code or needs_code(post.role for post in held):
            secret = code_keeping.begin_code(session, centre, name)
            who = Caller(name, session=True, token_hash=accounts.token_hash(made.secret))
            moment = _Moment(StoppedClock(centre.clock.now_ms()), centre.accounts_key, centre.entropy, centre.province)
            early = code_now(secret, moment.clock.now_ms(), steps_on=-1)  # leaves this step's for the test
            code_keeping.confirm_code(session, moment, who, early)
        return Changed(SignedIn(name, made.secret, secret))

    return await centre.do("tests", work)


async def freshen(centre: "Centre", token: str) -> None:
    """As if a code had been given in this session just now."""
    await centre.unit_of_work(lambda db: code_keeping.step_up(db, centre, accounts.token_hash(token)))
