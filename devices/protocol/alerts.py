"""The alert body: what people approve. The order that carries it must lie inside it."""

from dataclasses import dataclass
from enum import IntEnum

from devices.protocol import common
from devices.protocol.common import DRILL_ANNOUNCEMENT, MAX_ORDER_NODES, MAX_RENDITIONS, RenditionRef
from devices.protocol.fields import choice, many, nested, uint, wire
from devices.protocol.refusal import Malformed
from loa.names import AreaPath
from loa.precedence import Kind
from loa.units import DurationMs, Id16, InstantMs, NodeId, Percent

MAX_BODY_BYTES = 4096
MAX_REFERENCES = 16
LONGEST_ALERT_MS = 31 * 86_400_000


class AlertAction(IntEnum):
    """What people approve."""

    RELEASE = 1
    """To sound it. With `references` it is an update: it takes the place of those."""
    CANCEL = 2
    """To end the alerts in `references`, now and should they come later."""


@dataclass(frozen=True, kw_only=True)
class AlertBody:
    """What people approve, as they saw it: live or drill, what, where, within which window.

    It has no signature of its own: the approvals beside it are COSE_Sign1 over exactly these bytes. Its id is the
    alert's: the order that releases it has the same id, so that it sounds once at a node, whoever orders it again.
    """

    id: Id16 = wire(3, common.id16())
    action: AlertAction = wire(4, choice(AlertAction), default=AlertAction.RELEASE)
    kind: Kind = wire(5, common.kind())
    """Live or drill; must be the kind that each approver's key signs."""
    areas: tuple[AreaPath, ...] = wire(6, many(common.area(), 64), default=())
    nodes: tuple[NodeId, ...] = wire(7, many(common.node(), MAX_ORDER_NODES), default=())
    """Target: nodes by name, beside those in `areas`."""
    renditions: tuple[RenditionRef, ...] = wire(8, many(nested(RenditionRef), MAX_RENDITIONS), default=())
    """What is played, without their streams. An order may leave out whole languages."""
    siren: int = wire(9, uint(8), default=0)
    """Code of a stored siren that sounds first; 0 for none."""
    repeats: int = wire(10, uint(8), default=1)
    """How often the whole is played; 0 means until cancelled or expired."""
    gap_ms: DurationMs = wire(11, common.duration(), default=DurationMs(0))
    """Silence between repeats."""
    not_before: InstantMs = wire(12, common.instant())
    """No order may start it earlier."""
    expires_at: InstantMs = wire(13, common.instant())
    """No order may last longer; at most 31 days after `composed_at`."""
    references: tuple[Id16, ...] = wire(14, many(common.id16(), MAX_REFERENCES), default=())
    """The alerts that it updates or cancels."""
    composed_at: InstantMs = wire(15, common.instant())
    """When it was made, for people to compare."""
    volume: Percent | None = wire(16, uint(7), default=None)
    """How loud, 0 to 100, up to what each place's settings allow an emergency; as loud as those say where absent."""

    def __post_init__(self) -> None:
        if not (self.areas or self.nodes):
            raise Malformed("an alert names neither areas nor nodes")
        if not self.not_before < self.expires_at <= self.composed_at + LONGEST_ALERT_MS:
            raise Malformed("an alert ends after its beginning, at most 31 days after it was composed")
        if self.siren == DRILL_ANNOUNCEMENT:
            raise Malformed("the drill announcement is no siren")
        if self.volume is not None and self.volume > 100:
            raise Malformed("volume is 0 to 100")
        if self.action is AlertAction.RELEASE and not (self.renditions or self.siren):
            raise Malformed("an alert names nothing to play")
        if self.action is AlertAction.CANCEL and not self.references:
            raise Malformed("a cancel names no alert")
        if self.action is AlertAction.CANCEL and (self.renditions or self.siren or self.volume is not None):
            raise Malformed("a cancel plays nothing")
        if self.id in self.references:
            raise Malformed("an alert that refers to itself")
        if any(ref.stream_at is not None or ref.pace is not None for ref in self.renditions):
            raise Malformed("how audio is streamed is the order's business")
