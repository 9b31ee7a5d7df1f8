"""Settings documents: how the nodes of an area behave."""

from dataclasses import replace

from sqlmodel import Session, select

from controller.services.context import Context, Outgoing
from controller.services.documents import issue_document
from controller.tables import StateDocument
from devices.protocol.documents import Settings
from devices.protocol.envelope import encode, open_sealed, seal
from devices.protocol.topics import AreaChannel
from loa.names import AreaPath
from loa.units import InstantMs


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


def places_with_settings(session: Session) -> tuple[AreaPath, ...]:
    """The areas that have a settings document of their own."""
    query = select(StateDocument.area).where(StateDocument.channel == str(AreaChannel.SETTINGS))
    return tuple(AreaPath(area) for area in session.exec(query))


def ensure_settings(session: Session, ctx: Context, *, health_interval_s: int | None = None) -> Outgoing:
    """The province's settings document, issued where there is none yet or the health interval differs."""
    held = settings_of(session, ctx)
    wanted = held if health_interval_s is None else replace(held, health_interval_s=health_interval_s)
    return issue_settings(session, ctx, replace(wanted, area=ctx.province))


def issue_settings(session: Session, ctx: Context, wanted: Settings) -> Outgoing:
    """Sign these settings for their area, where they differ from what was signed last."""

    def signed(version: int) -> bytes:
        return seal(replace(wanted, version=version, issued_at=ctx.now), ctx.keys)

    content = encode(replace(wanted, version=0, issued_at=InstantMs(0)))
    document = issue_document(session, ctx, wanted.area, AreaChannel.SETTINGS, content, signed=signed)
    return Outgoing(documents=(document,) if document else ())
