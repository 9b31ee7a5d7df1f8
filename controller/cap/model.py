"""An alert as CAP has it, once it has been read: frozen values with CAP's own names."""

from dataclasses import dataclass
from enum import StrEnum

from loa.units import InstantMs


class Status(StrEnum):
    """Whether it is meant: CAP 1.2 section 3.2.1."""

    ACTUAL = "Actual"
    EXERCISE = "Exercise"
    SYSTEM = "System"
    TEST = "Test"
    DRAFT = "Draft"


class MsgType(StrEnum):
    """What it does to what was said before: CAP 1.2 section 3.2.1."""

    ALERT = "Alert"
    UPDATE = "Update"
    CANCEL = "Cancel"
    ACK = "Ack"
    ERROR = "Error"


class Scope(StrEnum):
    """Whom it is for."""

    PUBLIC = "Public"
    RESTRICTED = "Restricted"
    PRIVATE = "Private"


@dataclass(frozen=True)
class Reference:
    """An earlier alert, by the triple that names one. `sent` is None in the short form of CAP 1.0."""

    sender: str
    identifier: str
    sent: InstantMs | None


@dataclass(frozen=True)
class Pair:
    """A valueName and its value: geocode, eventCode, parameter."""

    name: str
    value: str


@dataclass(frozen=True)
class Circle:
    """Degrees in WGS 84, kilometres. A radius of 0 is a point."""

    latitude: float
    longitude: float
    radius_km: float


Ring = tuple[tuple[float, float], ...]
"""A closed ring of (latitude, longitude) in degrees of WGS 84."""


@dataclass(frozen=True)
class AlertArea:
    """Where: a description, and shapes and codes that say it exactly. Altitudes in feet, as CAP has them."""

    description: str
    polygons: tuple[Ring, ...] = ()
    circles: tuple[Circle, ...] = ()
    geocodes: tuple[Pair, ...] = ()
    altitude: float | None = None
    ceiling: float | None = None


@dataclass(frozen=True)
class Resource:
    """A file that goes with an info. It is never fetched here."""

    description: str
    mime_type: str
    uri: str


@dataclass(frozen=True)
class Info:
    """What happens, in one language. `expires` is None where the alert does not say."""

    language: str
    categories: tuple[str, ...]
    event: str
    response_types: tuple[str, ...]
    urgency: str
    severity: str
    certainty: str
    audience: str
    event_codes: tuple[Pair, ...]
    effective: InstantMs | None
    onset: InstantMs | None
    expires: InstantMs | None
    sender_name: str
    headline: str
    description: str
    instruction: str
    web: str
    contact: str
    parameters: tuple[Pair, ...]
    resources: tuple[Resource, ...]
    areas: tuple[AlertArea, ...]


@dataclass(frozen=True)
class Alert:
    """One alert. `(sender, identifier, sent)` names it for ever."""

    version: str
    identifier: str
    sender: str
    sent: InstantMs
    status: Status
    msg_type: MsgType
    scope: Scope
    source: str
    restriction: str
    addresses: str
    codes: tuple[str, ...]
    note: str
    references: tuple[Reference, ...]
    incidents: str
    infos: tuple[Info, ...]

    @property
    def name(self) -> tuple[str, str, InstantMs]:
        """The triple by which CAP tells alerts apart."""
        return self.sender, self.identifier, self.sent
