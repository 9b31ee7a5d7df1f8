"""Every route names the permission that it needs, or no app is made."""

import pytest
from fastapi import APIRouter

from api.app import create_app
from api.needs import check_routes, need_of, needs
from api.routes import areas
from controller.permissions import Open, Permission
from loa.errors import Fault
from tests.api.office import Office

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_each_route_names_what_it_needs(office: Office) -> None:
    found = {(method, route.path): need_of(route) for route in office.app.state.ways for method in route.methods}
    assert len(found) > 40
    assert found["POST", "/api/v1/broadcasts"] is Permission.BROADCAST_ISSUE
    assert found["GET", "/healthz"] is Open.PUBLIC


async def test_a_route_without_one_is_no_route(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    router = APIRouter()

    async def forgotten() -> None: ...

    router.add_api_route("/forgotten", forgotten)
    with pytest.raises(Fault, match="route_without_permission"):
        check_routes(router.routes)
    monkeypatch.setattr(areas.router, "routes", [*areas.router.routes, *router.routes])
    with pytest.raises(Fault, match="/forgotten"):
        create_app(office.centre)
    needs(Permission.AREA_READ)(forgotten)
    create_app(office.centre)
