"""Settings documents: how the nodes of an area behave."""

from collections.abc import Sequence
from dataclasses import replace

from sqlmodel import Session, select

from controller.services.areas import area_named
from controller.services.context import Changed, Context, Outgoing, note_deed
from controller.services.documents import issue_document
from controller.tables import StateDocument
from devices.protocol.documents import Hours, Settings
from devices.protocol.envelope import encode, open_sealed, seal
from devices.protocol.topics import AreaChannel
from loa.errors import Refused
from loa.names import AreaPath
from loa.units import DurationMs, InstantMs, Percent


def settings_of(session: Session, ctx: Context, area: str | None = None) -> Settings:
    """The settings in force at a place: those of the narrowest area that has any; defaults where none has."""
    place = AreaPath(area) if area is not None else ctx.province
    return SettingsInForce(session).at(place)


class SettingsInForce:
    """The settings of any place, read once: for looking at many places in one unit of work."""

    def __init__(self, session: Session) -> None:
        query = select(StateDocument).where(StateDocument.channel == str(AreaChannel.SETTINGS))
        messages = (open_sealed(row.payload).message for row in session.exec(query))
        self._held = {message.area: message for message in messages if isinstance(message, Settings)}

    def at(self, place: AreaPath) -> Settings:
        """As `settings_of`."""
        for path in reversed(place.with_ancestors()):
            if path in self._held:
                return self._held[path]
        return Settings(area=place, version=0, issued_at=InstantMs(0))


def ensure_settings(session: Session, ctx: Context, *, health_interval_s: int | None = None) -> Outgoing:
    """The province's settings document, issued where there is none yet or the health interval differs."""
    held = settings_of(session, ctx)
    wanted = held if health_interval_s is None else replace(held, health_interval_s=health_interval_s)
    return _issue(session, ctx, replace(wanted, area=ctx.province))


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
    """Change what is given and issue the area's settings. Raises Refused(not_found, volume_range, bad_value)."""
    place = area_named(session, area)
    held = settings_of(session, ctx, place)
    for name, level in (
        ("ordinary_cap", ordinary_cap),
        ("priority_cap", priority_cap),
        ("emergency_volume", emergency_volume),
    ):
        if level is not None and not 0 <= level <= 100:
            raise Refused("volume_range", field=name, limit="0–100", value=level)
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
    outgoing = _issue(session, ctx, wanted)
    return Changed(settings_of(session, ctx, place), outgoing)


def _issue(session: Session, ctx: Context, wanted: Settings) -> Outgoing:
    def signed(version: int) -> bytes:
        return seal(replace(wanted, version=version, issued_at=ctx.now), ctx.keys)

    content = encode(replace(wanted, version=0, issued_at=InstantMs(0)))
    document = issue_document(session, ctx, wanted.area, AreaChannel.SETTINGS, content, signed=signed)
    return Outgoing(documents=(document,) if document else ())
