"""One broadcast as a node means to carry it out, whether an order or a timetable asked for it."""

from dataclasses import dataclass

from devices.protocol.common import DRILL_ANNOUNCEMENT, RenditionRef
from devices.protocol.documents import Entry, Settings
from devices.protocol.orders import Order
from loa.names import AreaPath
from loa.precedence import Interruption, Kind, Precedence
from loa.units import ByteCount, Digest, DurationMs, Id16, InstantMs, Percent
from scheduler.rules.air import Run


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to sound, when, and by whose permission."""

    id: Id16
    precedence: Precedence
    kind: Kind
    start_at: InstantMs
    parts: tuple[RenditionRef, ...]
    """One after another: of a drill its announcement first, then the siren, where there is one."""
    repeats: int = 1
    gap_ms: DurationMs = DurationMs(0)
    expires_at: InstantMs | None = None
    """Of an order: nothing begins after it, and an emergency is cut off at it."""
    grace_ms: DurationMs | None = None
    """Of a timetable's entry: how late it may still begin. None for an order, which is joined in phase instead."""
    volume: Percent | None = None
    interruption: Interruption = Interruption.DROP
    replaces: tuple[Id16, ...] = ()
    is_repeat: bool = False
    """Plays although an ancestor was started here."""
    basis: tuple[bytes, ...] = ()
    """Ids of the key, appointment and mandate that it rests on."""
    whole: tuple[AreaPath, ...] = ()
    """Of an order: all places that it is for. An alert is ended by who is appointed over all of them."""
    tone_hz: float | None = None
    local: bool = False
    """Sounded by local input."""

    @property
    def length_ms(self) -> DurationMs:
        return DurationMs(sum(part.duration_ms for part in self.parts))

    @property
    def digests(self) -> tuple[Digest, ...]:
        return () if self.tone_hz is not None else tuple(part.digest for part in self.parts)

    @property
    def run(self) -> Run:
        return Run(self.start_at, self.length_ms, self.repeats, self.gap_ms)

    @property
    def is_emergency(self) -> bool:
        return self.precedence is Precedence.EMERGENCY

    @property
    def is_drill(self) -> bool:
        """Nothing of it sounds before its announcement has: `parts` begins with that, or is empty."""
        return self.kind is Kind.DRILL and self.tone_hz is None

    @property
    def scheduled(self) -> bool:
        return self.grace_ms is not None

    def is_past(self, now: InstantMs) -> bool:
        """Whether a timetable's may no longer begin. An order never is: it is joined in phase until it ends."""
        return self.grace_ms is not None and now > self.start_at + self.grace_ms


TONE_HZ = 440.0
TONE_MS = DurationMs(3000)
_NO_RENDITION = Digest(bytes(32))


def plan_of_order(order: Order, settings: Settings | None, basis: tuple[bytes, ...] = ()) -> Plan:
    """A PLAY order; the siren that it names by code comes from the settings, and is left out where they have none."""
    siren = _stored(settings, order.siren) if order.siren else ()
    return Plan(
        id=order.id,
        precedence=order.precedence,
        kind=order.kind,
        start_at=order.start_at,
        parts=_announced(order.kind, settings, (*siren, *order.renditions)),
        repeats=order.repeats,
        gap_ms=order.gap_ms,
        expires_at=order.expires_at,
        volume=order.volume,
        interruption=order.interruption,
        replaces=order.replaces,
        basis=basis,
        local=order.station is not None,
    )


def _stored(settings: Settings | None, code: int) -> tuple[RenditionRef, ...]:
    found = [siren.rendition for siren in settings.sirens if siren.code == code] if settings else []
    return tuple(found[-1:])


def _announced(kind: Kind, settings: Settings | None, parts: tuple[RenditionRef, ...]) -> tuple[RenditionRef, ...]:
    """A drill is told to be one before anything of it sounds; where that cannot be told, there is nothing to sound."""
    if kind is Kind.LIVE:
        return parts
    announcement = _stored(settings, DRILL_ANNOUNCEMENT)
    return (*announcement, *parts) if announcement else ()


def plan_of_tone(order: Order, basis: tuple[bytes, ...] = ()) -> Plan:
    """A TEST_TONE order: three seconds of a plain tone."""
    return Plan(
        id=order.id,
        precedence=order.precedence,
        kind=order.kind,
        start_at=order.start_at,
        parts=(RenditionRef(digest=_NO_RENDITION, length_bytes=ByteCount(1), duration_ms=TONE_MS),),
        expires_at=order.expires_at,
        volume=order.volume,
        basis=basis,
        tone_hz=TONE_HZ,
    )


def plan_of_entry(entry: Entry, settings: Settings | None, basis: tuple[bytes, ...] = ()) -> Plan:
    return Plan(
        id=entry.id,
        precedence=entry.precedence,
        kind=entry.kind,
        start_at=entry.start_at,
        parts=_announced(entry.kind, settings, entry.renditions),
        grace_ms=entry.grace_ms,
        volume=entry.volume,
        interruption=entry.interruption,
        replaces=entry.replaces,
        is_repeat=entry.repeat,
        basis=basis,
    )
