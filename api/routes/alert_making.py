"""By what alerts are made: how they sound, what they say, what lies at the nodes beforehand."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from sqlmodel import Session

from api.alert_making_shapes import (
    LevelsShown,
    NewLevels,
    NewTemplate,
    ShippedAsked,
    SoundAsked,
    StoredSoundsShown,
    TemplateName,
    TemplateShown,
    levels_shown,
    sound_shown,
    template_shown,
)
from api.asking import Desk, DeskHere
from api.needs import needs
from api.problems import documented
from api.shapes import AreaText
from controller.permissions import Permission
from controller.services import alert_levels, alert_templates, stored_sounds
from controller.services.alert_levels import Level
from controller.services.context import Context
from controller.services.sounds_held import Held, held_at
from loa.errors import Refused

router = APIRouter(prefix="/api/v1", tags=["alerts"])
TemplateInPath = Annotated[TemplateName, Path()]
CodeInPath = Annotated[int, Path(ge=1, le=255)]
AreaAsked = Annotated[AreaText, Query()]


@router.get("/alert-levels", operation_id="get_alert_levels", responses=documented())
@needs(Permission.ALERT_READ)
async def get_alert_levels(desk: DeskHere) -> LevelsShown:
    """How alerts sound, by CAP's severity and urgency."""
    return levels_shown(await desk.read(lambda session, _: alert_levels.level_table(session)))


@router.put(
    "/alert-levels", operation_id="change_alert_levels",
    responses=documented("csrf", "content_changed", "volume_range", "bad_value"),
)  # fmt: skip
@needs(Permission.SETTINGS_MANAGE)
async def change_alert_levels(asked: NewLevels, desk: DeskHere) -> LevelsShown:
    """Change rows of the table, for the whole province. Every version is on the record."""
    rows: dict[tuple[str, str], Level] = {(row.severity, row.urgency): row.level() for row in asked.levels}
    if len(rows) != len(asked.levels):
        raise Refused("already_exists", field="levels", value="severity, urgency")
    return levels_shown(
        await desk.note(lambda session, ctx: alert_levels.change_levels(session, ctx, rows, seen=asked.version))
    )


@router.get("/alert-templates", operation_id="list_alert_templates", responses=documented())
@needs(Permission.ALERT_READ)
async def list_alert_templates(desk: DeskHere) -> list[TemplateShown]:
    """All of them, by id."""
    return [template_shown(one) for one in await desk.read(lambda session, _: alert_templates.templates(session))]


@router.get("/alert-templates/{template}", operation_id="get_alert_template", responses=documented("not_found"))
@needs(Permission.ALERT_READ)
async def get_alert_template(template: TemplateInPath, desk: DeskHere) -> TemplateShown:
    """One of them."""
    return template_shown(await desk.read(lambda session, _: alert_templates.template(session, template)))


@router.put(
    "/alert-templates/{template}", operation_id="keep_alert_template",
    responses=documented(
        "csrf", "content_changed", "already_exists", "bad_value", "field_required", "text_empty", "blank_unlisted",
        "blank_unused",
    ),
)  # fmt: skip
@needs(Permission.SETTINGS_MANAGE)
async def keep_alert_template(template: TemplateInPath, asked: NewTemplate, desk: DeskHere) -> TemplateShown:
    """Add a template, or change what is said in one."""
    wanted = asked.template(template)
    return template_shown(
        await desk.note(lambda session, ctx: alert_templates.keep_template(session, ctx, wanted, seen=asked.version))
    )


@router.delete(
    "/alert-templates/{template}", operation_id="remove_alert_template", status_code=204,
    responses=documented("csrf", "not_found", "content_changed"),
)  # fmt: skip
@needs(Permission.SETTINGS_MANAGE)
async def remove_alert_template(
    template: TemplateInPath,
    desk: DeskHere,
    version: Annotated[int, Query(ge=0, le=2**31 - 1, description="What you looked at")],
) -> None:
    """Take a template out of use, a shipped one too."""
    await desk.note(lambda session, ctx: alert_templates.remove_template(session, ctx, template, seen=version))


async def _sounds_of(desk: Desk, area: str) -> StoredSoundsShown:
    found = await desk.read(lambda session, ctx: stored_sounds.stored_sounds(session, ctx, area))
    return StoredSoundsShown(area=area, sounds=[sound_shown(one) for one in found])


@router.get("/stored-sounds", operation_id="list_stored_sounds", responses=documented("not_found"))
@needs(Permission.AREA_READ)
async def list_stored_sounds(
    desk: DeskHere,
    *,
    area: Annotated[AreaText | None, Query(description="The province unless given")] = None,
    held: Annotated[bool, Query(description="Say on how many nodes each lies")] = False,
) -> StoredSoundsShown:
    """What nodes of an area keep for ever: sirens, standing recordings, what drills begin with."""
    place = area or desk.centre.province
    if not held:
        return await _sounds_of(desk, place)

    def look(session: Session, ctx: Context) -> StoredSoundsShown:
        found, counted = stored_sounds.stored_sounds(session, ctx, place), held_at(session, ctx, place)
        return StoredSoundsShown(
            area=place, sounds=[sound_shown(one, counted.get(one.digest, Held(0, 0))) for one in found]
        )

    return await desk.read(look)


@router.post(
    "/stored-sounds", operation_id="store_sound",
    responses=documented(
        "csrf", "not_found", "bad_value", "field_required", "not_approved", "withdrawn", "alerts_own_words",
        "too_many", "language_differs", "siren_length",
    ),
)  # fmt: skip
@needs(Permission.SETTINGS_MANAGE)
async def store_sound(asked: SoundAsked, desk: DeskHere) -> StoredSoundsShown:
    """Have all nodes of an area keep an approved bulletin: as a siren, or for an event in a language without a voice.

    It goes out within an hour, and takes the place of what had its code, or its event and language.
    """
    if (asked.code is None) == (asked.event is None):
        raise Refused("field_required", field="code")
    if asked.code is not None:
        code = asked.code
        await desk.do(
            lambda session, ctx: stored_sounds.keep_siren(
                session, ctx, area=asked.area, code=code, bulletin=asked.bulletin
            )
        )
        return await _sounds_of(desk, asked.area)
    event, language = asked.event or "", asked.language or ""
    await desk.do(
        lambda session, ctx: stored_sounds.keep_standing(
            session, ctx, area=asked.area, bulletin=asked.bulletin, event=event, language=language
        )
    )
    return await _sounds_of(desk, asked.area)


@router.post(
    "/stored-sounds/shipped", operation_id="store_shipped_sounds", responses=documented("csrf", "voice_unavailable")
)
@needs(Permission.SETTINGS_MANAGE)
async def store_shipped_sounds(asked: ShippedAsked, desk: DeskHere) -> StoredSoundsShown:
    """Three sirens and the announcement that drills begin with, made here, to every node of the province."""
    desk.everywhere(Permission.SETTINGS_MANAGE)
    await desk.centre.alerts.install_sounds(account=desk.account, anew=asked.anew)
    return await _sounds_of(desk, desk.centre.province)


@router.delete("/stored-sounds/{code}", operation_id="remove_stored_sound", responses=documented("csrf", "not_found"))
@needs(Permission.SETTINGS_MANAGE)
async def remove_stored_sound(
    code: CodeInPath, area: Annotated[AreaText, Query()], desk: DeskHere
) -> StoredSoundsShown:
    """Nodes of an area give it up. Without 255 no drill sounds there, for none may sound unannounced."""
    await desk.do(lambda session, ctx: stored_sounds.remove_sound(session, ctx, area=area, code=code))
    return await _sounds_of(desk, area)
