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

from controller.accounts import Caller
from controller.permissions import Open, Permission
from loa.errors import Fault, Refused

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
    if isinstance(need, Permission):
        check_need(caller, need)


def check_need(caller: Caller, need: Permission) -> None:
    """Raises Refused(not_permitted)."""
    if not caller.authority.may(need):
        raise Refused("not_permitted", field="permission", value=str(need))
