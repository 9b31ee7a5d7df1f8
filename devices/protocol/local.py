"""Sounded locally: the root-signed mandate of a station, and what a node tells of an order that was given there."""

from dataclasses import dataclass

from devices.protocol import common
from devices.protocol.fields import blob, text, uint, wire
from devices.protocol.refusal import Malformed
from devices.protocol.trust import LONGEST_APPOINTMENT_MS
from loa.names import AreaPath
from loa.precedence import Kind
from loa.units import Id16, InstantMs

MAX_MANDATE_BYTES = 1024
COMMUNE_DEPTH = 2
LONGEST_LOCAL_MS = 15 * 60_000
"""A local order counts no longer: whoever stands there can give it again."""


@dataclass(frozen=True, kw_only=True)
class StationMandate:
    """Signed by the roots (COSE_Sign): this key may sound stored messages in this commune, by local input alone.

    It travels inside the order that rests on it, so that it counts where no trust document was ever heard of it. It
    needs no renewal by the controller, which is away when it is needed; the roots revoke it by its id or its key's.
    """

    id: bytes = wire(3, blob(8))
    holder: str = wire(4, text(64))
    """The station, as people call it."""
    public_key: bytes = wire(5, blob(32))
    area: AreaPath = wire(6, common.area())
    kind: Kind = wire(7, common.kind())
    """The key signs live orders or drills, never both."""
    not_before: InstantMs = wire(8, common.instant())
    until: InstantMs = wire(9, common.instant())

    def __post_init__(self) -> None:
        if not self.not_before < self.until <= self.not_before + LONGEST_APPOINTMENT_MS:
            raise Malformed("a station's mandate lasts at most a year")
        if len(self.area.codes) < COMMUNE_DEPTH:
            raise Malformed("a station's mandate is for one commune or less")


@dataclass(frozen=True, kw_only=True)
class LocalMark:
    """In the receipt that a node accepted a local order: what it was, for the centre was not asked."""

    key: bytes = wire(1, blob(8))
    """Key id of the station's key."""
    mandate: bytes = wire(2, blob(8))
    """Id of the station's mandate."""
    holder: str = wire(3, text(64))
    area: AreaPath = wire(4, common.area())
    kind: Kind = wire(5, common.kind())
    siren: int = wire(6, uint(8), default=0)
    """Code of the stored message; 0 where something was ended."""
    repeats: int = wire(7, uint(8), default=1)
    """How often it is played; 0 means until ended or expired."""
    expires_at: InstantMs = wire(8, common.instant())
    ends: Id16 | None = wire(9, common.id16(), default=None)
    """The local order that this one ended."""
