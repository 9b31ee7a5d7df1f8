"""The permission that a route needs, named at the route; asked for in one place before anything of it runs.

    @router.post("/nodes", operation_id="enrol_node", …)
    @needs(Permission.NODE_ENROL)
    async def enrol_node(…): …

Where, is the services' business: they know whose area an object is in.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from fastapi import Request
from starlette.routing import BaseRoute

from controller.accounts import CODE_FRESH_MS, Caller, code_is_fresh, sign_in_is_fresh
from controller.permissions import FRESH_CODE, FRESH_SIGN_IN, Open, Permission
from loa.errors import Fault, Refused
from loa.units import InstantMs

Route = TypeVar("Route", bound=Callable[..., Any])
_NAMED = "needs_permission"


def needs(what: Permission | Open) -> Callable[[Route], Route]:
    """Name what a route needs."""

    def named(route: Route) -> Route:
        setattr(route, _NAMED, what)
        return route

    return named


def need_of(route: BaseRoute) -> Permission | Open:
    """What a route needs. Raises Fault(route_without_permission)."""
    found = getattr(getattr(route, "endpoint", None), _NAMED, None)
    if not isinstance(found, Permission | Open):
        raise Fault("route_without_permission", field="route", value=getattr(route, "path", str(route)))
    return found


def check_routes(routes: Iterable[BaseRoute]) -> None:
    """Raises Fault(route_without_permission) for the first route that names none: no app is made with it."""
    for route in routes:
        need_of(route)


def permitted(request: Request) -> None:
    """A dependency of every route. Raises Refused(auth_required, not_permitted)."""
    need = need_of(request.scope["route"])
    if need is Open.PUBLIC:
        return
    caller = getattr(request.state, "caller", None)
    if not isinstance(caller, Caller):
        raise Refused("auth_required", field="authorization")
    check_need(caller, need, request.app.state.centre.clock.now_ms())


def check_need(caller: Caller, need: Permission | Open, now: InstantMs) -> None:
    """Whether this caller may go on to a route with this need, wherever it is about.

    A session shows a fresh code before it makes sound; an API token cannot, and what it makes sound must have been
    approved by a second person, which the services see to. Raises Refused(person_required, code_enrolment_required,
    not_permitted, fresh_code_required, fresh_sign_in_required).
    """
    if isinstance(need, Open):
        if need is Open.PERSON and not caller.session:
            raise Refused("person_required", field="authorization")
        return
    if caller.must_enrol:
        raise Refused("code_enrolment_required", field="code")
    if not caller.authority.may(need):
        raise Refused("not_permitted", field="permission", value=str(need))
    if need in FRESH_SIGN_IN and not sign_in_is_fresh(caller, now):
        raise Refused("fresh_sign_in_required", field="password", limit=CODE_FRESH_MS // 1000)
    if need in FRESH_CODE and caller.session:
        require_fresh_code(caller, now)


def require_fresh_code(caller: Caller, now: InstantMs) -> None:
    """Raises Refused(fresh_code_required)."""
    if not code_is_fresh(caller, now):
        raise Refused("fresh_code_required", field="code", limit=CODE_FRESH_MS // 1000)
