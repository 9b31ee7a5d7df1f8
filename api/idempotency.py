"""Requests that make sound may carry an Idempotency-Key: same key and body, same reply, and no second sound."""

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, delete

from api.needs import permitted
from controller.accounts import Caller
from controller.tables import IdempotentReply
from loa.errors import LoaError, Refused

_log = logging.getLogger("loa.api")
HEADER = "Idempotency-Key"
KEPT_MS = 7 * 24 * 3_600_000
_KEY = re.compile(r"[\x21-\x7e]{1,128}\Z")
_UNDER_WAY = 0


class OneAtATime:
    """A lock for each key, as long as somebody holds or awaits it."""

    def __init__(self) -> None:
        self._locks: dict[tuple[str, str], tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def of(self, key: tuple[str, str]) -> AsyncIterator[None]:
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks[key]
            if users == 1:
                del self._locks[key]
            else:
                self._locks[key] = (lock, users - 1)


class IdempotentRoute(APIRoute):
    """A route whose replies are kept under their Idempotency-Key. Refusals are not kept: they changed nothing."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        handle = super().get_route_handler()

        async def once(request: Request) -> Response:
            key = request.headers.get(HEADER)
            if key is None or request.method in ("GET", "HEAD"):
                return await handle(request)
            if _KEY.match(key) is None:
                raise Refused("bad_idempotency_key", field=HEADER, limit="1 to 128 printable ASCII characters")
            caller: Caller = request.state.caller
            permitted(request)  # a reply that is kept is for those who still may
            pending: OneAtATime = request.app.state.pending
            async with pending.of((caller.account, key)):
                return await _once(request, handle, caller, key)

        return once


async def _once(
    request: Request, handle: Callable[[Request], Awaitable[Response]], caller: Caller, key: str
) -> Response:
    account, body = caller.account, await request.body()
    # What somebody may do is part of what they ask: a kept reply is not for a narrower token, nor after a move.
    may = repr((caller.authority.posts, _scope(caller))).encode()
    asked = hashlib.sha256(b"\0".join([request.method.encode(), request.url.path.encode(), may, body])).hexdigest()
    centre: Any = request.app.state.centre
    now = int(centre.clock.now_ms())
    kept = await centre.unit_of_work(lambda session: _claim(session, account, key, asked, now))
    if kept is not None:
        status, reply = kept
        return Response(
            reply, status_code=status, media_type="application/json", headers={"Idempotency-Replayed": "true"}
        )
    try:
        response = await handle(request)
    except (LoaError, RequestValidationError):
        # Anything else leaves the claim: whether it sounded is not known, so it must not be done again by itself.
        await centre.unit_of_work(lambda session: _forget(session, account, key))
        raise
    if response.status_code >= 400:
        await centre.unit_of_work(lambda session: _forget(session, account, key))
        return response
    try:
        await centre.unit_of_work(
            lambda session: _keep(session, account, key, response.status_code, bytes(response.body))
        )
    except LoaError as error:
        # It is done, and that is the answer; asked again, the key's claim says that it is to be looked up.
        _log.error("the reply to %s %s could not be kept: %s", request.method, request.url.path, error)
    return response


def _scope(caller: Caller) -> tuple[list[str], str] | None:
    scope = caller.authority.scope
    return None if scope is None else (sorted(scope.permissions), scope.area)


def _claim(session: Session, account: str, key: str, asked: str, now: int) -> tuple[int, bytes] | None:
    """Reserve the key for this request, or give the reply that it already has.

    A claim that is still open here belongs to a process that died half-way: this process holds the key's lock.
    """
    session.execute(delete(IdempotentReply).where(col(IdempotentReply.created_at) < now - KEPT_MS))
    row = session.get(IdempotentReply, (account, key))
    if row is None:
        session.add(
            IdempotentReply(account=account, key=key, request_hash=asked, status=_UNDER_WAY, body=b"", created_at=now)
        )
        try:
            session.flush()
        except IntegrityError as error:
            raise Refused("idempotency_unknown", field=HEADER) from error
        return None
    if row.request_hash != asked:
        raise Refused("idempotency_conflict", field=HEADER)
    if row.status == _UNDER_WAY:
        raise Refused("idempotency_unknown", field=HEADER)
    return row.status, row.body


def _forget(session: Session, account: str, key: str) -> None:
    row = session.get(IdempotentReply, (account, key))
    if row is not None:
        session.delete(row)


def _keep(session: Session, account: str, key: str, status: int, body: bytes) -> None:
    row = session.get(IdempotentReply, (account, key))
    if row is not None:
        row.status, row.body = status, body
        session.add(row)
