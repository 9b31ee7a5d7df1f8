"""Every error as an RFC 9457 problem document: one table from code to status, one form, two languages."""

import logging
import re
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException as RoutingError
from starlette.routing import Match

from api.shapes import AREA_PATTERN, NAME_PATTERN
from loa.errors import Fault, LoaError, OperatorNeeded, Refused
from loa.problems import Language, explain

_log = logging.getLogger("loa.api")

STATUS: dict[str, int] = {
    "auth_required": 401,
    "bad_credentials": 401,
    "csrf": 403,
    "wrong_passphrase": 403,
    "emergency_needs_release": 403,
    "emergency_needs_cancel": 403,
    "mandate_exceeded": 403,
    "mandate_expired": 403,
    "key_revoked": 403,
    "key_unknown": 403,
    "not_permitted": 403,
    "person_required": 403,
    "code_enrolment_required": 403,
    "fresh_code_required": 403,
    "fresh_sign_in_required": 403,
    "code_required": 401,
    "bad_code": 401,
    "code_used": 401,
    "last_admin": 409,
    "no_code_begun": 409,
    "not_found": 404,
    "no_such_route": 404,
    "method_not_allowed": 405,
    "content_changed": 409,
    "second_person_required": 409,
    "drill_mismatch": 409,
    "alert_expired": 409,
    "alert_over": 409,
    "board_open": 409,
    "alert_not_released": 409,
    "alert_altered": 409,
    "not_your_key": 403,
    "alerts_own_words": 409,
    "idempotency_conflict": 409,
    "idempotency_unknown": 409,
    "account_exists": 409,
    "label_used": 409,
    "enrolment_over": 409,
    "enrolment_not_ready": 409,
    "enrolment_forged": 403,
    "wrong_code": 403,
    "area_moved": 409,
    "area_on_air": 409,
    "already_exists": 409,
    "not_approved": 409,
    "withdrawn": 409,
    "locked": 409,
    "no_release_key": 409,
    "source_unsigned": 409,
    "key_retired": 409,
    "broadcast_over": 409,
    "bus_address_taken": 409,
    "import_over": 409,
    "cancelled": 409,
    "not_xml": 400,
    "bad_encoding": 400,
    "too_deep": 400,
    "dtd_forbidden": 400,
    "signature_invalid": 403,
    "alert_conflict": 409,
    "cap_not_composable": 409,
    "too_large": 413,
    "playlist_forbidden": 415,
    "container_forbidden": 415,
    "archive_forbidden": 415,
    "drm_protected": 415,
    "bad_json": 400,
    "bad_form": 400,
    "bad_range": 416,
    "rate_limited": 429,
    "internal": 500,
    "busy": 503,
    "database_busy": 503,
    "voice_unavailable": 503,
    "database_unreachable": 503,
    "centre_full": 507,
    "storage_full": 507,
}
"""Codes that are not here follow their branch: refused 422, an operator must act 503, a fault 500."""


class Problem(BaseModel):
    """RFC 9457 problem details, with what is needed to act on them."""

    model_config = ConfigDict(json_schema_extra={"example": {
        "type": "/problems/volume_range",
        "title": "A volume is a whole number, 0–100",
        "status": 422,
        "code": "volume_range",
        "detail": "volume_range field=volume limit=0–100",
        "field": "volume",
        "limit": "0–100",
        "remedy": "Choose a number within 0–100.",
    }})  # fmt: skip

    type: str = Field(description="/problems/ and the code")
    title: str = Field(description="What is wrong, in the language asked for (Accept-Language: vi, en)")
    status: int
    code: str = Field(description="Stable; what programs should look at")
    detail: str = Field(description="The code with its values, for a log")
    field: str | None = Field(default=None, description="The input at fault, dotted")
    limit: str | int | float | None = Field(default=None, description="The bound that was crossed")
    remedy: str = Field(description="What to do about it, in the language asked for")


def status_of(error: LoaError) -> int:
    """The HTTP status of an error."""
    known = STATUS.get(error.code)
    if known is not None:
        return known
    return 422 if isinstance(error, Refused) else 503 if isinstance(error, OperatorNeeded) else 500


_ACCEPT = re.compile(r"\s*([a-zA-Z*]{1,8})(?:-[a-zA-Z0-9-]*)?\s*(?:;\s*q=([0-9.]{1,5}))?\s*\Z")


def language_of(accept: str | None) -> Language:
    """Vietnamese unless English is preferred."""
    best: tuple[float, Language] = (0.0, "vi")
    for part in (accept or "")[:500].split(","):
        found = _ACCEPT.match(part)
        if found is None or found[1].lower() not in ("vi", "en"):
            continue
        try:
            weight = float(found[2]) if found[2] else 1.0
        except ValueError:
            continue
        if weight > best[0]:
            best = (weight, "en" if found[1].lower() == "en" else "vi")
    return best[1]


def problem_of(error: LoaError, language: Language) -> Problem:
    """The problem document of an error."""
    words = explain(error, language)
    return Problem(
        type=f"/problems/{error.code}",
        title=words.title,
        status=status_of(error),
        code=error.code,
        detail=str(error)[:1000],
        field=error.field,
        limit=error.limit,
        remedy=words.remedy,
    )


def problem_response(error: LoaError, accept_language: str | None) -> JSONResponse:
    """An error as it goes over HTTP."""
    language = language_of(accept_language)
    problem = problem_of(error, language)
    headers = {"Content-Language": language, "Vary": "Accept-Language", "Cache-Control": "no-store"}
    if problem.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="loa"'
    if error.code == "rate_limited":
        headers["Retry-After"] = str(error.values.get("wait_s", 1))
    if error.code == "method_not_allowed":
        headers["Allow"] = str(error.limit)
    return JSONResponse(
        problem.model_dump(), status_code=problem.status, headers=headers, media_type="application/problem+json"
    )


_BOUNDS = {"ge": "≥", "le": "≤", "gt": ">", "lt": "<"}
_OF_PATTERN = {AREA_PATTERN: "bad_area_path", NAME_PATTERN: "bad_node_id"}
"""Codes with an example of what is right, which says more to people than a pattern."""


def refusal_of(errors: Sequence[Any]) -> Refused:
    """The first of FastAPI's validation errors in our own words."""
    first: Mapping[str, Any] = errors[0] if errors else {"type": "unknown", "loc": (), "msg": ""}
    kind, context = str(first["type"]), first.get("ctx") or {}
    path = [str(part) for part in first["loc"]]
    if path and path[0] in ("body", "query", "path", "header", "cookie"):
        path = path[1:]
    field = ".".join(path)[:200] or "body"
    own = context.get("error")
    if isinstance(own, LoaError) and isinstance(own, Refused):
        return Refused(own.code, field=own.field or field, limit=own.limit, **own.values)
    if kind == "json_invalid":
        return Refused("bad_json", field="body")
    if kind == "extra_forbidden":
        return Refused("unknown_field", field=field)
    if kind == "missing":
        return Refused("field_required", field=field)
    if kind == "timezone_aware":
        return Refused("timezone_required", field=field, limit="RFC 3339 with a zone")
    if kind == "volume_range":
        return Refused(kind, field=field, limit=context["limit"])
    if (code := _OF_PATTERN.get(str(context.get("pattern")))) is not None:
        return Refused(code, field=field, value=str(first.get("input", ""))[:100])
    if first.get("input", "") is None:
        return Refused("field_required", field=field)
    for name, sign in _BOUNDS.items():
        if name in context:  # in signs and figures, which need no language
            return Refused(
                "bad_value", field=field, limit=f"{sign} {context[name]}", reason=str(first.get("input"))[:80]
            )
    bounds = [f"{name} {context[name]}" for name in sorted(context) if isinstance(context[name], str | int | float)]
    return Refused("bad_value", field=field, limit="; ".join(bounds) or kind, reason=str(first.get("msg", ""))[:200])


def _told(request: Request, error: LoaError) -> JSONResponse:
    """Counted and answered."""
    request.app.state.refused.count(error.code, request.client.host if request.client else "?")
    return problem_response(error, request.headers.get("accept-language"))


class RefusedRequests:
    """Requests that got no for an answer since the server started, by code; read by metrics."""

    def __init__(self) -> None:
        self.by_code: Counter[str] = Counter()

    def count(self, code: str, origin: str) -> None:
        """One more; said in the log once for each power of ten."""
        self.by_code[code] += 1
        so_far = self.by_code[code]
        if str(so_far).strip("0") == "1":
            _log.warning("refused a request from %s: %s (%d so far)", origin, code, so_far)


async def _on_loa_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, LoaError)
    if status_of(error) >= 500:
        _log.error("%s %s: %s", request.method, request.url.path, error, exc_info=error)
    return _told(request, error)


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return _told(request, refusal_of(error.errors()))


async def _on_routing_error(request: Request, error: Exception) -> JSONResponse:
    """Starlette's own 404, 405 and bad forms; also what was raised of ours while a body was being read."""
    assert isinstance(error, RoutingError)
    cause = error.__cause__
    if isinstance(cause, LoaError):
        return _told(request, cause)
    path = request.url.path[:200]
    if error.status_code == 404:
        ours: LoaError = Refused("no_such_route", field="path", value=path)
    elif error.status_code == 405:
        allowed = _allowed(request)
        ours = Refused("method_not_allowed", field="method", limit=allowed, value=request.method)
    elif error.status_code == 413:
        ours = Refused("too_large", field="body", limit=str(error.detail)[:100])
    elif "form-data" in request.headers.get("content-type", ""):
        ours = Refused("bad_form", field="body")
    else:
        ours = Refused("bad_json", field="body")
    return _told(request, ours)


def _allowed(request: Request) -> str:
    """The methods of every route at this path, for Allow."""
    scope = {"type": "http", "path": request.url.path, "path_params": {}, "root_path": "", "headers": []}
    methods: set[str] = set()
    for route in request.app.state.ways:
        for method in route.methods:
            if route.matches({**scope, "method": method})[0] is Match.FULL:
                methods.add(method)
    return ", ".join(sorted(methods))


def internal_problem(error: Exception, method: str, path: str, accept_language: str | None) -> JSONResponse:
    """A 500 that tells nothing but a number, under which the log holds the rest."""
    if isinstance(error, OSError) and error.errno in (28, 122):
        full = Fault("centre_full", field="disk")
        _log.error("%s %s: the disk is full", method, path)
        return problem_response(full, accept_language)
    number = uuid.uuid4().hex[:12]
    _log.error("%s %s failed [%s]", method, path, number, exc_info=error)
    return problem_response(Fault("internal", value=number), accept_language)


def install(app: FastAPI) -> None:
    """Give an app these answers to what goes wrong."""
    app.add_exception_handler(LoaError, _on_loa_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(RoutingError, _on_routing_error)


def documented(*codes: str) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's `responses` for a route that may answer with these codes."""
    by_status: dict[int, list[str]] = {}
    for code in ("auth_required", "not_permitted", "rate_limited", *codes):
        by_status.setdefault(STATUS.get(code, 422), []).append(code)
    return {
        status: {
            "description": ", ".join(f"`{code}`" for code in found),
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, found in sorted(by_status.items())
    }
