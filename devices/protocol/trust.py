"""Who may order what: root sets, appointments, mandates, revocations and the document that carries them.

In the manner of The Update Framework: offline roots sign rarely and by threshold; a running controller renews short
mandates inside what the roots appointed it to.
"""

from dataclasses import dataclass
from enum import IntFlag

from devices.protocol import common
from devices.protocol.fields import blob, flag, many, nested, text, uint, wire
from devices.protocol.refusal import Malformed
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from loa.units import InstantMs

LONGEST_APPOINTMENT_MS = 366 * 86_400_000
LONGEST_MANDATE_MS = 7 * 86_400_000


class Power(IntFlag):
    """What a key may sign, as bits."""

    ORDER = 1
    DOCUMENTS = 2
    """Timetable and settings."""
    PLACEMENT = 4
    SERVICE = 8
    """Acknowledgements and time replies."""
    RENEW = 16
    """Mandates inside its own appointment, and the trust document."""
    APPROVE = 32
    """Alert bodies: a person's power to release and to cancel emergencies."""


@dataclass(frozen=True, kw_only=True)
class Root:
    public_key: bytes = wire(1, blob(32))
    sealed: bool = wire(2, flag(), default=False)
    """A sealed spare counts towards the threshold only together with a root that is not sealed."""


@dataclass(frozen=True, kw_only=True)
class RootSet:
    """The roots and how many of them must sign. Pinned at enrolment; replaced only by one that the old roots sign."""

    version: int = wire(3, uint(32))
    roots: tuple[Root, ...] = wire(4, many(nested(Root), 9))
    threshold: int = wire(5, uint(4))

    def __post_init__(self) -> None:
        if not 1 <= self.threshold <= len(self.roots):
            raise Malformed("the threshold is 1 to the number of roots")
        if len({root.public_key for root in self.roots}) != len(self.roots):
            raise Malformed("a root is listed twice")
        if all(root.sealed for root in self.roots):
            raise Malformed("a root that is not sealed is needed")


@dataclass(frozen=True, kw_only=True)
class Appointment:
    """Signed by the roots (COSE_Sign): this key may do this much here until then, at most a year."""

    id: bytes = wire(3, blob(8))
    holder: str = wire(4, text(64))
    public_key: bytes = wire(5, blob(32))
    ceiling: Precedence = wire(6, common.precedence())
    area: AreaPath = wire(7, common.area())
    kind: Kind = wire(8, common.kind())
    not_before: InstantMs = wire(9, common.instant())
    until: InstantMs = wire(10, common.instant())
    powers: int = wire(11, uint(6))
    sole: bool = wire(12, flag(), default=False)
    """May release an emergency alone, however wide the area."""

    def __post_init__(self) -> None:
        if not self.not_before < self.until <= self.not_before + LONGEST_APPOINTMENT_MS:
            raise Malformed("an appointment lasts at most a year")


@dataclass(frozen=True, kw_only=True)
class Mandate:
    """Signed by a key appointed to renew (COSE_Sign1): the appointment is in force until then, at most 7 days.

    It can only narrow its appointment; a wider one counts as no mandate.
    """

    id: bytes = wire(3, blob(8))
    appointment: bytes = wire(4, blob(8))
    ceiling: Precedence = wire(5, common.precedence())
    area: AreaPath = wire(6, common.area())
    not_before: InstantMs = wire(7, common.instant())
    until: InstantMs = wire(8, common.instant())

    def __post_init__(self) -> None:
        if not self.not_before < self.until <= self.not_before + LONGEST_MANDATE_MS:
            raise Malformed("a mandate lasts at most 7 days")


@dataclass(frozen=True, kw_only=True)
class Revocation:
    """Signed by the roots (COSE_Sign): these appointments and mandates count no more, whatever comes later."""

    ids: tuple[bytes, ...] = wire(3, many(blob(8), 256))
    """Of appointments, of mandates, or of keys (key ids)."""
    at: InstantMs = wire(4, common.instant())
    reason: str = wire(5, text(200), default="")


@dataclass(frozen=True, kw_only=True)
class Trust:
    """The trust document of a province. Its parts carry their own signatures; it is signed by the controller."""

    area: AreaPath = wire(3, common.area())
    version: int = wire(4, uint())
    issued_at: InstantMs = wire(5, common.instant())
    root_sets: tuple[bytes, ...] = wire(6, many(blob(1, 2048), 16), default=())
    appointments: tuple[bytes, ...] = wire(7, many(blob(1, 2048), 512), default=())
    mandates: tuple[bytes, ...] = wire(8, many(blob(1, 512), 512), default=())
    revocations: tuple[bytes, ...] = wire(9, many(blob(1, 8192), 256), default=())
