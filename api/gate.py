"""What every request passes first: the rate limit, who asks, the CSRF token, the size of the body, safe headers.

Nothing is answered without credentials but what `PUBLIC` lists; a new route is closed unless somebody opens it here.
"""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import RefusedRequests, internal_problem, problem_response
from controller.accounts import Caller, csrf_token
from controller.services.context import ORIGIN
from loa.errors import LoaError, Refused

COOKIE = "loa_session"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
PUBLIC: frozenset[tuple[str, str]] = frozenset(
    {
        ("GET", "/"),
        ("GET", "/healthz"),
        ("GET", "/openapi.json"),
        ("POST", "/api/v1/session"),
    }
)
PUBLIC_FOLDER = "/page/"
_ENROLLING = re.compile(r"/api/v1/enrolments(?:/[0-9a-f]{32}/state)?\Z")
"""What a box asks for that has a label and no account yet: believed by its MAC alone."""
_SECRET = re.compile(r"loas?_[A-Za-z0-9_-]{43}\Z")

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SAFE_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True)
class ApiLimits:
    """How much the API takes. Rates are written as `limits` reads them."""

    known_rate: str = "3000/minute"
    """Of one account."""
    stranger_rate: str = "300/minute"
    """Of one address without credentials."""
    sign_in_rate: str = "10/5 minutes"
    """Attempts for one account from one address; five times that from all addresses."""
    code_rate: str = "6/5 minutes"
    """Wrong codes for one account: a guess is right three times in a million, and they have the password already."""
    enrol_rate: str = "30/minute"
    """Boxes that begin an enrolment at one address; ten times that for asking how it stands."""
    body_bytes: int = 1 << 20
    map_bytes: int = 32 << 20
    """Of a GeoJSON file."""
    cap_bytes: int = 8 << 20
    """Of alerts in CAP: as much as `loa cap check` reads."""
    upload_bytes: int = 512 << 20
    imports_at_once: int = 4


class Throttle:
    """Counts requests by key; raises Refused(rate_limited)."""

    def __init__(self) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def count(self, rate: str, *key: str, times: int = 1) -> None:
        """One more by this key, of which `times` × `rate` are allowed."""
        item = _rate(rate, times)
        if not self._limiter.hit(item, *key):
            raise Refused("rate_limited", limit=f"{item.amount}/{item.get_expiry()} s", wait_s=item.get_expiry())

    def forgive(self, rate: str, *key: str) -> None:
        """Forget what was counted by this key."""
        self._limiter.clear(parse(rate), *key)


def _rate(rate: str, times: int) -> RateLimitItem:
    item = parse(rate)
    return item if times == 1 else type(item)(item.amount * times, item.multiples)


def secret_of(headers: Headers) -> tuple[str | None, bool]:
    """The token that a request carries, and whether it came as the page's cookie."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    if bearer:
        return (bearer.strip() if scheme.lower() == "bearer" else None), False
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None, False
    return (morsel.value, True) if morsel is not None else (None, False)


Lookup = Callable[[str], Awaitable[Caller]]


class Gate:
    """ASGI middleware around the whole app."""

    def __init__(
        self, app: ASGIApp, *, lookup: Lookup, limits: ApiLimits, throttle: Throttle, refused: RefusedRequests
    ) -> None:
        self._app = app
        self._refused = refused
        self._lookup = lookup
        self._limits = limits
        self._throttle = throttle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        ORIGIN.set(str((scope.get("client") or ("?", 0))[0]))
        headers = Headers(scope=scope)
        answer = _Answer(send)
        try:
            await self._admit(scope, headers)
            await self._app(scope, _counted(receive, self._body_limit(scope, headers)), answer)
        except LoaError as error:
            self._refused.count(error.code, (scope.get("client") or ("?", 0))[0])
            response = problem_response(error, headers.get("accept-language"))
            await self._instead(answer, response, scope, receive, error)
        except Exception as error:  # noqa: BLE001 - the last resort of the whole API: a 500 without its traceback
            response = internal_problem(error, scope["method"], scope["path"], headers.get("accept-language"))
            await self._instead(answer, response, scope, receive, error)

    async def _instead(
        self, answer: "_Answer", response: ASGIApp, scope: Scope, receive: Receive, why: Exception
    ) -> None:
        if answer.begun:
            raise why  # too late to say anything else: the server cuts the connection
        await response(scope, receive, answer)

    async def _admit(self, scope: Scope, headers: Headers) -> None:
        method, path = scope["method"], scope["path"]
        secret, by_cookie = secret_of(headers)
        state: MutableMapping[str, Any] = scope.setdefault("state", {})
        address = (scope.get("client") or ("?", 0))[0]
        public = is_public(method, path)
        if secret is None or _SECRET.match(secret) is None or (public and path != "/api/v1/session"):
            self._throttle.count(self._limits.stranger_rate, "stranger", address)
            if not public:
                raise Refused("auth_required", field="authorization")
            return
        try:
            caller = await self._lookup(secret)
        except Refused:
            self._throttle.count(self._limits.stranger_rate, "stranger", address)
            if public:
                return
            raise
        self._throttle.count(self._limits.known_rate, "account", caller.account)
        if public:
            return
        if by_cookie and method not in SAFE_METHODS and headers.get("x-csrf-token") != csrf_token(secret):
            raise Refused("csrf", field="X-CSRF-Token")
        state["caller"] = caller
        state["csrf"] = csrf_token(secret) if by_cookie else None

    def _body_limit(self, scope: Scope, headers: Headers) -> int:
        wide = {
            "/api/v1/bulletins": self._limits.upload_bytes,
            "/api/v1/areas/import": self._limits.map_bytes,
            "/api/v1/cap": self._limits.cap_bytes,
        }
        limit = self._limits.body_bytes
        if scope["method"] == "POST":
            limit = wide.get(scope["path"], limit)
        length = headers.get("content-length", "0")
        if length.isascii() and length.isdigit() and int(length[:18]) > limit:
            raise _too_large(limit)
        return limit


def is_public(method: str, path: str) -> bool:
    """Whether this may be asked for without credentials."""
    method = "GET" if method == "HEAD" else method
    if method == "POST" and _ENROLLING.match(path) is not None:
        return True
    return (method, path) in PUBLIC or (method == "GET" and path.startswith(PUBLIC_FOLDER))


def _too_large(limit: int) -> Refused:
    return Refused("too_large", field="body", limit=f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit} bytes")


def _counted(receive: Receive, limit: int) -> Receive:
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            if taken > limit:
                raise _too_large(limit)
        return message

    return counted


class _Answer:
    """`send` with the safe headers put in, remembering whether the answer has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(scope=message)
            for name, value in SAFE_HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        await self._send(message)
