"""State documents that a node keeps: timetable, settings, placement. None ever goes back to an older version."""

from dataclasses import dataclass

from devices.protocol import common
from devices.protocol.common import MAX_RENDITIONS, RenditionRef
from devices.protocol.fields import flag, many, nested, sint, uint, wire
from devices.protocol.refusal import Malformed
from loa.names import AreaPath
from loa.precedence import Interruption, Kind, Precedence
from loa.units import DurationMs, Id16, InstantMs, NodeId, Percent

MAX_ENTRIES = 1000
DEFAULT_GRACE_MS = DurationMs(300_000)
VIETNAM_UTC_OFFSET_MIN = 420


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One coming broadcast of a timetable."""

    id: Id16 = wire(1, common.id16())
    start_at: InstantMs = wire(2, common.instant())
    precedence: Precedence = wire(3, common.precedence())
    kind: Kind = wire(4, common.kind())
    renditions: tuple[RenditionRef, ...] = wire(5, many(nested(RenditionRef), MAX_RENDITIONS))
    nodes: tuple[NodeId, ...] = wire(6, many(common.node(), 32), default=())
    """Only these nodes of the area; all of them where empty."""
    replaces: tuple[Id16, ...] = wire(7, many(common.id16(), 16), default=())
    """Ancestors: a node that has started any of them does not play this one, unless `repeat`."""
    repeat: bool = wire(8, flag(), default=False)
    volume: Percent | None = wire(9, uint(7), default=None)
    grace_ms: DurationMs = wire(10, common.duration(), default=DEFAULT_GRACE_MS)
    """Later than this after its start it is skipped and reported."""
    interruption: Interruption = wire(11, common.interruption(), default=Interruption.DROP)

    def __post_init__(self) -> None:
        if not self.renditions:
            raise Malformed("a timetable entry names nothing to play")
        if self.volume is not None and self.volume > 100:
            raise Malformed("volume is 0 to 100")

    @property
    def duration_ms(self) -> DurationMs:
        return DurationMs(sum(r.duration_ms for r in self.renditions))


@dataclass(frozen=True, kw_only=True)
class Timetable:
    """The coming broadcasts of one area, which its nodes play by themselves."""

    area: AreaPath = wire(3, common.area())
    version: int = wire(4, uint())
    """max(last + 1, instant of issue in ms)."""
    issued_at: InstantMs = wire(5, common.instant())
    covers_until: InstantMs = wire(6, common.instant())
    """Broadcasts are planned up to here; later ones are not known yet."""
    entries: tuple[Entry, ...] = wire(7, many(nested(Entry), MAX_ENTRIES), default=())


@dataclass(frozen=True, kw_only=True)
class Hours:
    """A span of the local day in which ordinary and priority broadcasts may sound."""

    days: int = wire(1, uint(7), default=0x7F)
    """Bit 0 is Monday … bit 6 Sunday."""
    from_minute: int = wire(2, uint(11))
    to_minute: int = wire(3, uint(11))
    """Minutes since local midnight; `to_minute` at most 1440 and greater than `from_minute`."""

    def __post_init__(self) -> None:
        if not self.from_minute < self.to_minute <= 1440:
            raise Malformed("hours that end before they begin, or after midnight")


@dataclass(frozen=True, kw_only=True)
class Siren:
    """A stored sound that an order names by code."""

    code: int = wire(1, uint(8))
    rendition: RenditionRef = wire(2, nested(RenditionRef))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How the nodes of an area behave. The document of the narrowest area wins as a whole."""

    area: AreaPath = wire(3, common.area())
    version: int = wire(4, uint())
    issued_at: InstantMs = wire(5, common.instant())
    hours: tuple[Hours, ...] = wire(6, many(nested(Hours), 32), default=())
    """Empty: any hour. Emergencies are exempt."""
    ordinary_cap: Percent = wire(7, uint(7), default=Percent(100))
    priority_cap: Percent = wire(8, uint(7), default=Percent(100))
    emergency_volume: Percent = wire(9, uint(7), default=Percent(100))
    longest_ms: DurationMs = wire(10, common.duration(), default=DurationMs(3_600_000))
    """The longest that an ordinary or priority broadcast may keep an amplifier on."""
    health_interval_s: int = wire(11, uint(16), default=60)
    sirens: tuple[Siren, ...] = wire(12, many(nested(Siren), 32), default=())
    utc_offset_min: int = wire(13, sint(11), default=VIETNAM_UTC_OFFSET_MIN)

    def __post_init__(self) -> None:
        if max(self.ordinary_cap, self.priority_cap, self.emergency_volume) > 100:
            raise Malformed("volume is 0 to 100")
        if self.health_interval_s < 1:
            raise Malformed("the health interval is at least 1 s")


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a node is. A node believes where it is from this alone."""

    node: NodeId = wire(3, common.node())
    area: AreaPath = wire(4, common.area())
    version: int = wire(5, uint())
    issued_at: InstantMs = wire(6, common.instant())
    public_key: bytes = wire(7, common.digest())
    """The node's own key, so that a placement cannot be given to another box."""
    bus_address: int = wire(8, uint(8), default=0)
    """Address on a station's serial bus, 1 to 254; 0 for a node with its own link."""
