"""The order: do this now."""

from dataclasses import dataclass
from enum import IntEnum

from devices.protocol import common
from devices.protocol.common import DRILL_ANNOUNCEMENT, MAX_ORDER_NODES, MAX_RENDITIONS, RenditionRef
from devices.protocol.fields import blob, choice, many, nested, uint, wire
from devices.protocol.local import LONGEST_LOCAL_MS, MAX_MANDATE_BYTES
from devices.protocol.refusal import Malformed
from loa.names import AreaPath
from loa.precedence import Interruption, Kind, Precedence
from loa.units import DurationMs, Id16, InstantMs, NodeId, Percent

MAX_ORDER_BYTES = 16 * 1024
MAX_APPROVALS = 4
LONGEST_ORDER_MS = 31 * 86_400_000


class OrderAction(IntEnum):
    """What an order asks for."""

    PLAY = 1
    STOP = 2
    VOLUME = 3
    TEST_TONE = 4


@dataclass(frozen=True, kw_only=True)
class Order:
    """Do this now. Its own signed target decides who obeys, not the topic it came by.

    Exactly one of `areas` and `nodes` is given. A PLAY order's id is the id of its broadcast. The same bytes may
    come many times; a node acts once.
    """

    id: Id16 = wire(3, common.id16())
    action: OrderAction = wire(4, choice(OrderAction))
    areas: tuple[AreaPath, ...] = wire(5, many(common.area(), 64), default=())
    nodes: tuple[NodeId, ...] = wire(6, many(common.node(), MAX_ORDER_NODES), default=())
    precedence: Precedence = wire(7, common.precedence())
    kind: Kind = wire(8, common.kind())
    issued_at: InstantMs = wire(9, common.instant())
    start_at: InstantMs = wire(10, common.instant())
    expires_at: InstantMs = wire(11, common.instant())
    renditions: tuple[RenditionRef, ...] = wire(12, many(nested(RenditionRef), MAX_RENDITIONS), default=())
    repeats: int = wire(13, uint(8), default=1)
    """How often the whole is played; 0 means until cancelled or expired (emergencies only)."""
    gap_ms: DurationMs = wire(14, common.duration(), default=DurationMs(0))
    """Silence between repeats."""
    volume: Percent | None = wire(15, uint(7), default=None)
    """PLAY, TEST_TONE: for this sound only. VOLUME: the node's volume from now on."""
    subject: Id16 | None = wire(16, common.id16(), default=None)
    """STOP: the broadcast to be stopped, now and should it come later."""
    siren: int = wire(17, uint(8), default=0)
    """Code of a stored siren that sounds first; 0 for none."""
    interruption: Interruption = wire(18, common.interruption(), default=Interruption.DROP)
    replaces: tuple[Id16, ...] = wire(19, many(common.id16(), 16), default=())
    alert_body: bytes | None = wire(20, blob(1, 4096), default=None)
    """An emergency's: the encoded AlertBody that people approved, byte for byte."""
    approvals: tuple[bytes, ...] = wire(21, many(blob(64, 256), MAX_APPROVALS), default=())
    """An emergency's: COSE_Sign1 with detached payload over `alert_body`, one a person."""
    station: bytes | None = wire(22, blob(64, MAX_MANDATE_BYTES), default=None)
    """By local input: the sealed mandate of the station whose key signed this. Such an order names stored messages."""

    def __post_init__(self) -> None:
        if bool(self.areas) == bool(self.nodes):
            raise Malformed("an order names either areas or nodes")
        if self.expires_at <= self.start_at:
            raise Malformed("an order expires after its start")
        if self.expires_at > self.issued_at + LONGEST_ORDER_MS:
            raise Malformed("an order lasts at most 31 days from its issue")
        if self.action is OrderAction.PLAY and not (self.renditions or self.siren):
            raise Malformed("an order to play names nothing to play")
        if self.action is OrderAction.STOP and self.subject is None:
            raise Malformed("an order to stop names no broadcast")
        if self.action is OrderAction.VOLUME and self.volume is None:
            raise Malformed("an order for volume gives none")
        if self.volume is not None and self.volume > 100:
            raise Malformed("volume is 0 to 100")
        self._check_emergency()

    def _check_emergency(self) -> None:
        if self.siren and self.precedence is not Precedence.EMERGENCY:
            raise Malformed("a siren sounds only in an emergency")
        if self.siren == DRILL_ANNOUNCEMENT:
            raise Malformed("the drill announcement is no siren")
        if (self.alert_body is not None or self.approvals) and self.precedence is not Precedence.EMERGENCY:
            raise Malformed("only an emergency carries what people approved")
        if self.station is not None:
            self._check_local()
        if self.repeats == 0 and self.precedence is not Precedence.EMERGENCY:
            raise Malformed("only an emergency repeats without end")

    def _check_local(self) -> None:
        """Stored messages only, in one place, for a short time, as loud as any emergency."""
        if self.precedence is not Precedence.EMERGENCY or self.action not in (OrderAction.PLAY, OrderAction.STOP):
            raise Malformed("by local input a stored alert is sounded or ended, nothing else")
        if self.renditions or self.alert_body is not None or self.approvals or self.replaces or self.volume is not None:
            raise Malformed("a local order names a stored message and nothing else")
        if len(self.areas) != 1:
            raise Malformed("a local order is for one place")
        if self.expires_at > self.issued_at + LONGEST_LOCAL_MS:
            raise Malformed("a local order lasts 15 minutes at most")
