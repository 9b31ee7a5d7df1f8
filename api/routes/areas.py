"""Areas: province, communes, villages."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from api.asking import DeskHere
from api.needs import needs
from api.problems import documented
from api.shapes import AreaText, Asked, Page, Shown, Text, Title
from controller.permissions import Permission
from controller.services import areas
from controller.services.areas import AreaView

router = APIRouter(prefix="/api/v1", tags=["areas"])


class NewArea(Asked):
    path: AreaText = Field(examples=["quang-ninh/co-to"])
    name: Title = Field(examples=["Cô Tô"])
    kind: Annotated[Text, Field(max_length=40)] = Field(default="", examples=["đặc khu"])


class AreaShown(Shown):
    path: str
    name: str
    kind: str
    parent: str | None


def area_shown(view: AreaView) -> AreaShown:
    return AreaShown(path=view.path, name=view.name, kind=view.kind, parent=view.parent)


@router.get("/areas", operation_id="list_areas", responses=documented())
@needs(Permission.AREA_READ)
async def list_areas(
    desk: DeskHere, within: Annotated[AreaText | None, Query(description="Only this place and what lies in it")] = None
) -> Page[AreaShown]:
    """All areas by path; each place follows the one that it lies in."""
    views = await desk.read(lambda session, _: areas.list_areas(session, within=within))
    return Page(items=[area_shown(view) for view in views])


@router.post(
    "/areas", operation_id="add_area", status_code=201, responses=documented("csrf", "already_exists", "not_found")
)
@needs(Permission.AREA_MANAGE)
async def add_area(asked: NewArea, desk: DeskHere) -> AreaShown:
    """Add a commune to the province, or a village to a commune."""
    return area_shown(
        await desk.note(
            lambda session, ctx: areas.add_area(session, ctx, path=asked.path, name=asked.name, kind=asked.kind)
        )
    )


@router.get("/areas/{path:path}", operation_id="get_area", responses=documented("not_found"))
@needs(Permission.AREA_READ)
async def get_area(path: Annotated[AreaText, Path(examples=["quang-ninh/co-to"])], desk: DeskHere) -> AreaShown:
    """One area."""
    return area_shown(await desk.read(lambda session, _: areas.area(session, path)))
