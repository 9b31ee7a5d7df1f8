"""Areas: province, communes, villages; one by one or from a GeoJSON file."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from sqlmodel import Session

from api.asking import DeskHere
from api.needs import needs
from api.problems import documented
from api.shapes import AreaText, Asked, Page, Shown, Text, Title, whole
from controller.permissions import Permission
from controller.services import areas, geography
from controller.services.areas import AreaView
from controller.services.context import Context
from controller.services.geography import MOST_FEATURES, AreaFeature, AreasImported
from loa.names import AreaPath

router = APIRouter(prefix="/api/v1", tags=["areas"])
Kind = Annotated[Text, Field(max_length=40)]
Population = Annotated[int, Field(ge=0, le=100_000_000), BeforeValidator(whole)]
Language = Annotated[str, Field(pattern="^[a-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}$")]
Codes = Annotated[list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,40}$")]], Field(max_length=16)]
Languages = Annotated[list[Language], Field(max_length=16)]


class NewArea(Asked):
    path: AreaText = Field(examples=["quang-ninh/co-to"])
    name: Title = Field(examples=["Cô Tô"])
    kind: Kind = Field(default="", examples=["đặc khu"])
    population: Population | None = Field(default=None, examples=[7151])
    languages: Languages = Field(default_factory=list, description="Spoken there, the first one first; BCP 47")


class AreaShown(Shown):
    path: str
    name: str
    kind: str
    parent: str | None
    population: int | None
    languages: list[str]
    has_geometry: bool


class AreaWithGeometry(AreaShown):
    geometry: dict[str, Any] | None = Field(description="GeoJSON Polygon or MultiPolygon, WGS 84")


class GeoProperties(BaseModel):
    """What Loa takes of a feature's properties; others are let be, as map programs write many."""

    model_config = ConfigDict(extra="ignore")

    path: AreaText = Field(examples=["quang-ninh/co-to"])
    name: Title | None = Field(default=None, examples=["Cô Tô"])
    kind: Kind | None = None
    population: Population | None = None
    languages: Languages | None = None
    codes: Codes | None = Field(
        default=None, description="Others that stand for it in alerts (CAP geocodes)", examples=[["07207"]]
    )


class GeoFeature(BaseModel):
    model_config = ConfigDict(extra="ignore")

    type: Literal["Feature"]
    properties: GeoProperties
    geometry: dict[str, Any] | None = None


class GeoFeatures(BaseModel):
    """A GeoJSON FeatureCollection (RFC 7946)."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["FeatureCollection"]
    features: Annotated[list[GeoFeature], Field(min_length=1, max_length=MOST_FEATURES)]


class Imported(Shown):
    dry_run: bool
    added: list[str]
    changed: list[str]
    unchanged: list[str]


def area_shown(view: AreaView) -> AreaShown:
    return AreaShown(
        path=view.path,
        name=view.name,
        kind=view.kind,
        parent=view.parent,
        population=view.population,
        languages=list(view.languages),
        has_geometry=view.geometry is not None,
    )


@router.get("/areas", operation_id="list_areas", responses=documented())
@needs(Permission.AREA_READ)
async def list_areas(
    desk: DeskHere, within: Annotated[AreaText | None, Query(description="Only this place and what lies in it")] = None
) -> Page[AreaShown]:
    """All areas by path; each place follows the one that it lies in."""
    views = await desk.read(lambda session, ctx: areas.list_areas(session, within=within, seen=areas.areas_seen(ctx)))
    return Page(items=[area_shown(view) for view in views])


@router.post(
    "/areas", operation_id="add_area", status_code=201, responses=documented("csrf", "already_exists", "not_found")
)
@needs(Permission.AREA_MANAGE)
async def add_area(asked: NewArea, desk: DeskHere) -> AreaShown:
    """Add a commune to the province, or a village to a commune."""
    return area_shown(
        await desk.note(
            lambda session, ctx: areas.add_area(
                session, ctx, path=asked.path, name=asked.name, kind=asked.kind, population=asked.population,
                languages=asked.languages,
            )
        )
    )  # fmt: skip


@router.post(
    "/areas/import", operation_id="import_areas",
    responses=documented("csrf", "bad_polygon", "bad_area_path", "not_found", "already_exists", "too_large"),
)  # fmt: skip
@needs(Permission.AREA_MANAGE)
async def import_areas(
    asked: GeoFeatures,
    desk: DeskHere,
    dry_run: Annotated[bool, Query(description="Check and say what would be done; keep nothing")] = False,
) -> Imported:
    """Areas from a GeoJSON file: those that are new are added, of others what the file states is changed.

    All of it is taken, or nothing.
    """
    features = await desk.centre.aside(lambda: _checked(asked.features))

    def work(session: Session, ctx: Context) -> AreasImported:
        return geography.import_areas(session, ctx, features, dry_run=dry_run)

    done = await (desk.read(work) if dry_run else desk.note(work))
    return Imported(dry_run=dry_run, added=[*done.added], changed=[*done.changed], unchanged=[*done.unchanged])


def _checked(features: Sequence[GeoFeature]) -> list[AreaFeature]:
    found = []
    for number, one in enumerate(features):
        said = one.properties
        if one.geometry is not None:
            geography.check_geometry(one.geometry, name=said.path, field=f"features.{number}.geometry")
        languages = None if said.languages is None else tuple(said.languages)
        codes = None if said.codes is None else tuple(said.codes)
        found.append(
            AreaFeature(AreaPath(said.path), said.name, said.kind, said.population, languages, one.geometry, codes)
        )
    return found


@router.get("/areas/{path:path}", operation_id="get_area", responses=documented("not_found"))
@needs(Permission.AREA_READ)
async def get_area(path: Annotated[AreaText, Path(examples=["quang-ninh/co-to"])], desk: DeskHere) -> AreaWithGeometry:
    """One area, with its shape."""

    def look(session: Session, ctx: Context) -> AreaView:
        areas.place_seen(session, ctx, path)
        return areas.area(session, path)

    view = await desk.read(look)
    geometry = None if view.geometry is None else dict(view.geometry)
    return AreaWithGeometry(**area_shown(view).model_dump(), geometry=geometry)
