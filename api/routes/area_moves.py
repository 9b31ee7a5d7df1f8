"""Places that become others when a boundary changes."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field, StrictBool

from api.asking import DeskHere
from api.needs import needs
from api.problems import documented
from api.shapes import AreaText, Asked, Shown
from controller.permissions import Permission
from controller.services import area_moves
from controller.services.area_moves import MovePlan

router = APIRouter(prefix="/api/v1", tags=["areas"])


class AreaMoveAsked(Asked):
    to: AreaText = Field(examples=["quang-ninh/van-don/thon-1"])
    dry_run: StrictBool = Field(default=False, description="Only say what would change")


class PlaceMoved(Shown):
    path: str
    to: str


class ProgrammeMoved(Shown):
    id: str
    title: str
    fate: str = Field(description="moved, retargeted, narrowed (a target left its area), stopped (all of them did)")
    area: str
    target_areas: list[str]
    target_nodes: list[str]


class AreaMoved(Shown):
    done: bool
    areas: list[PlaceMoved]
    nodes: list[str]
    stations: list[str]
    bulletins: int
    settings: list[str] = Field(description="Places that take settings of their own along")
    programmes: list[ProgrammeMoved]


def _shown(plan: MovePlan, done: bool) -> AreaMoved:
    return AreaMoved(
        done=done,
        areas=[PlaceMoved(path=old, to=new) for old, new in plan.areas],
        nodes=list(plan.nodes),
        stations=list(plan.stations),
        bulletins=plan.bulletins,
        settings=list(plan.settings),
        programmes=[
            ProgrammeMoved(
                id=one.id, title=one.title, fate=one.fate, area=one.area, target_areas=list(one.target_areas),
                target_nodes=list(one.target_nodes),
            )
            for one in plan.programmes
        ],
    )  # fmt: skip


@router.post(
    "/areas/{path:path}/move",
    operation_id="move_area",
    responses=documented("csrf", "not_found", "already_exists", "area_moved", "area_on_air"),
)
@needs(Permission.AREA_MANAGE)
async def move_area(
    path: Annotated[AreaText, Path(examples=["quang-ninh/co-to/thon-1"])], asked: AreaMoveAsked, desk: DeskHere
) -> AreaMoved:
    """A commune or village becomes another place with all that is in it: its nodes are placed anew, programmes follow.

    What happened there stays under the old path. Posts and appointments of people are not changed.
    """
    plan = await desk.do(
        lambda session, ctx: area_moves.move_area(session, ctx, path=path, to=asked.to, dry_run=asked.dry_run)
    )
    if not asked.dry_run:
        for node in plan.nodes:
            desk.centre.events.publish("node", node, area=asked.to)
    return _shown(plan, not asked.dry_run)
