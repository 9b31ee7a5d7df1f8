"""A change of an area's settings, and what follows from it for the plan."""

from collections.abc import Sequence
from dataclasses import replace

from sqlmodel import Session

from controller.permissions import Permission
from controller.services.areas import place_for
from controller.services.bulletins import approved_bulletins
from controller.services.context import Changed, Context, Outgoing, note_deed
from controller.services.planning import plan_week
from controller.services.settings import issue_settings, places_with_settings, settings_of
from controller.services.streams import plan_streams, references
from devices.protocol.documents import Hours, Settings, Siren
from loa.errors import Refused
from loa.units import DurationMs, InstantMs, Percent

MAX_SIRENS = 32
LEAST_EMERGENCY_VOLUME = 50
"""Less is not heard outdoors, and would silence every alert of a place."""
STORED_WITHIN_MS = 3_600_000
"""A stored sound goes out within an hour, ahead of what is needed later."""


def change_settings(
    session: Session,
    ctx: Context,
    *,
    area: str,
    hours: Sequence[Hours] | None = None,
    ordinary_cap: int | None = None,
    priority_cap: int | None = None,
    emergency_volume: int | None = None,
    longest_ms: int | None = None,
    health_interval_s: int | None = None,
) -> Changed[Settings]:
    """Change what is given, issue the area's settings, and plan anew by them.

    Raises Refused(not_found, volume_range, bad_value).
    """
    place = place_for(session, ctx, area, Permission.SETTINGS_MANAGE)
    held = settings_of(session, ctx, place)
    for name, level in (
        ("ordinary_cap", ordinary_cap),
        ("priority_cap", priority_cap),
        ("emergency_volume", emergency_volume),
    ):
        least = LEAST_EMERGENCY_VOLUME if name == "emergency_volume" else 0
        if level is not None and not least <= level <= 100:
            raise Refused("volume_range", field=name, limit=f"{least}–100", value=level)
    if longest_ms is not None and not 1000 <= longest_ms < 1 << 32:
        raise Refused("bad_value", field="longest_ms", limit="≥ 1000", reason=longest_ms)
    if health_interval_s is not None and not 1 <= health_interval_s <= 3600:
        raise Refused("bad_value", field="health_interval_s", limit="1–3600", reason=health_interval_s)
    wanted = replace(
        held,
        area=place,
        hours=tuple(hours) if hours is not None else held.hours,
        ordinary_cap=Percent(held.ordinary_cap if ordinary_cap is None else ordinary_cap),
        priority_cap=Percent(held.priority_cap if priority_cap is None else priority_cap),
        emergency_volume=Percent(held.emergency_volume if emergency_volume is None else emergency_volume),
        longest_ms=DurationMs(held.longest_ms if longest_ms is None else longest_ms),
        health_interval_s=held.health_interval_s if health_interval_s is None else health_interval_s,
    )
    note_deed(session, ctx, "settings", "area", place)
    outgoing = issue_settings(session, ctx, wanted) + plan_week(session, ctx)
    return Changed(settings_of(session, ctx, place), outgoing)


def store_siren(session: Session, ctx: Context, *, area: str, code: int, bulletin: str) -> Changed[Siren]:
    """Have all nodes of an area keep an approved bulletin as the sound of this code; 255 is the drill announcement.

    It takes the place of what had the code, in the settings of the area and of every place inside that has its own.
    Raises Refused(not_found, bad_value, not_approved, withdrawn, too_many).
    """
    place = place_for(session, ctx, area, Permission.SETTINGS_MANAGE)
    if not 1 <= code <= 255:
        raise Refused("bad_value", field="code", limit="1–255", reason=code)
    (row,) = approved_bulletins(session, ctx, [bulletin], field="bulletin")
    if len(row.renditions) != 1:
        raise Refused("too_many", field="renditions", limit=1)
    (digest,) = row.renditions
    plan_streams(session, ctx, {digest: InstantMs(ctx.now + STORED_WITHIN_MS)})
    siren = Siren(code=code, rendition=references(session, [digest])[digest])
    outgoing = Outgoing()
    for where in sorted({place, *(one for one in places_with_settings(session) if place.covers(one))}):
        held = settings_of(session, ctx, where)
        kept = (*(one for one in held.sirens if one.code != code), siren)
        if len(kept) > MAX_SIRENS:
            raise Refused("too_many", field="sirens", limit=MAX_SIRENS)
        outgoing += issue_settings(session, ctx, replace(held, area=where, sirens=kept))
    note_deed(session, ctx, "siren", "area", place, detail=f"{code} {row.title}")
    return Changed(siren, outgoing)
