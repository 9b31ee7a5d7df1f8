"""The HTTP face of a centre: everything under /api/v1, live events, the first page."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI
from fastapi.openapi.utils import get_openapi

from api import problems
from api.concern import Concerns
from api.events import EventBoard
from api.gate import ApiLimits, Gate, Throttle
from api.idempotency import OneAtATime
from api.imports import Imports
from api.metrics import Gauges
from api.needs import check_routes, permitted
from api.routes import accounts as account_routes
from api.routes import (
    alert_approvals,
    alert_boards,
    alert_making,
    alerts,
    area_moves,
    areas,
    broadcasts,
    bulletins,
    cap,
    cap_out,
    enrolments,
    escalation,
    events,
    health,
    keys,
    nodes,
    page,
    people_keys,
    programmes,
    record,
    session,
    tokens,
)
from api.squeeze import Squeeze
from controller import accounts
from controller.accounts import Caller
from loa.errors import Fault, LoaError, OperatorNeeded

if TYPE_CHECKING:
    from controller.centre import Centre

_log = logging.getLogger("loa.api")
_NOTE_WITHIN_S = 0.1

DESCRIPTION = """\
Decide what every village loudspeaker says and when, and see what was heard.

* Instants are RFC 3339 with a zone; lengths of time are milliseconds in fields that end with `_ms`; ids are hex.
* Errors are RFC 9457 problem documents with a stable `code`, the `field`, the `limit` and the `remedy`, in Vietnamese
  or English by Accept-Language.
* Whatever makes sound takes an `Idempotency-Key`: the same request sent again with it is answered, not done, twice.
* Lists come in pages: give `next_cursor` as `cursor` to go on.
"""
TAGS = [
    {"name": "accounts", "description": "Signing in, passwords, API tokens"},
    {"name": "areas", "description": "Province, communes, villages"},
    {"name": "nodes", "description": "Loudspeakers and stations"},
    {"name": "enrolment", "description": "Labels, boxes that show one, their confirmation; passwords at the broker"},
    {"name": "bulletins", "description": "Content: recordings, their import, approval, sound"},
    {"name": "programmes", "description": "Recurring slots and the timetable they make"},
    {"name": "broadcasts", "description": "Airings, recall, coverage, receipts"},
    {
        "name": "alerts",
        "description": "Emergencies: composed by one, approved by as many as it takes, cancelled by one",
    },
    {
        "name": "cap",
        "description": "Alerts of others in CAP, and ours for others; nothing from outside sounds by itself",
    },
    {"name": "keys", "description": "Who may release what: roots, appointments, people's keys"},
    {"name": "record", "description": "Who did what, and where it was heard"},
    {"name": "live", "description": "Events as they happen"},
    {"name": "running", "description": "For those who run the server"},
]


def create_app(centre: "Centre", *, limits: ApiLimits | None = None, tls_pin: bytes | None = None) -> FastAPI:
    """The app of a centre that has been started. Events flow while the app's lifespan runs.

    tls_pin: of the key in the certificate that it is served with; labels carry it.
    Raises Fault(route_without_permission).
    """
    limits = limits or ApiLimits()
    board = EventBoard(centre.clock, centre.entropy(6).hex())
    throttle = Throttle()

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        feed = asyncio.create_task(_feed(centre, board), name="api-events")
        try:
            yield
        finally:
            board.close()
            await imports.close()
            feed.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await feed

    app = FastAPI(
        title="Loa",
        version=version("loa"),
        description=DESCRIPTION,
        openapi_tags=TAGS,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    imports = Imports(centre, limits.imports_at_once)
    app.state.centre, app.state.limits, app.state.throttle = centre, limits, throttle
    app.state.board, app.state.pending, app.state.imports = board, OneAtATime(), imports
    app.state.tls_pin = tls_pin
    app.state.refused = problems.RefusedRequests()
    app.state.gauges = Gauges(centre, board, app.state.refused.by_code)
    problems.install(app)
    parts = (
        session, account_routes, tokens, areas, area_moves, nodes, enrolments, bulletins, programmes, broadcasts,
        alerts, alert_approvals, alert_making, alert_boards, escalation, cap_out, cap, people_keys, keys, record,
        events, health, page,
    )  # fmt: skip
    app.state.ways = [route for part in parts for route in part.router.routes]
    check_routes(app.state.ways)
    for part in parts:
        app.include_router(part.router, dependencies=[Depends(permitted)])
    app.add_middleware(Squeeze)
    app.add_middleware(Gate, lookup=_lookup_in(centre), limits=limits, throttle=throttle, refused=app.state.refused)
    _describe(app)
    return app


def _lookup_in(centre: "Centre") -> Any:
    async def lookup(secret: str) -> Caller:
        caller = await centre.reading(lambda db: accounts.caller_of(db, centre, secret))
        if caller.use_is_old and centre.db.trouble is None:
            # Worth a note, and nobody's waiting: whoever releases an alert must not be held up by it.
            with contextlib.suppress(OperatorNeeded, Fault):
                await centre.db.unit_of_work(
                    lambda db: accounts.note_use(db, centre, caller.token_hash), patience_s=_NOTE_WITHIN_S, hurry=True
                )
        return caller

    return lookup


async def _feed(centre: "Centre", board: EventBoard) -> None:
    """Carry the centre's events to the board for as long as the app runs."""
    concerns = Concerns(centre)
    with centre.events.subscribed() as subscription:
        async for change in subscription:
            try:
                concern = await concerns.of(change.kind, change.id, change.data)
            except LoaError as error:
                _log.error("whom %s %s concerns is not known: %s", change.kind, change.id, error)
                board.tell("resync", {})
                continue
            board.tell(change.kind, {"id": change.id, **change.data}, concern)


def _describe(app: FastAPI) -> None:
    """OpenAPI with the problem document as the form of every refusal."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title, version=app.version, description=DESCRIPTION, tags=TAGS, routes=app.routes
            )
            components = schema.setdefault("components", {}).setdefault("schemas", {})
            components["Problem"] = problems.Problem.model_json_schema()
            for unused in ("HTTPValidationError", "ValidationError"):
                components.pop(unused, None)
            for path in schema["paths"].values():
                for operation in path.values():
                    _refusals(operation["responses"], body="requestBody" in operation)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _refusals(responses: dict[str, Any], *, body: bool) -> None:
    form = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    common = [("422", "something asked for is not valid"), ("500", "`internal`"), ("503", "`database_busy`")]
    if body:
        common += [("400", "`bad_json`, `bad_form`"), ("413", "`too_large`")]
    for status, words in common:
        if status not in responses or "HTTPValidationError" in str(responses[status]):
            responses[status] = {"description": words, "content": form}
