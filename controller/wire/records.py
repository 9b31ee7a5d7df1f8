"""A group of reports into the tables, within one unit of work."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlmodel import Session

from controller.services.health import store_health, store_presence
from controller.services.receipts import record_receipts
from controller.wire.reports import Believed
from devices.protocol import cose
from devices.protocol.reports import Health, Presence, PresenceState, Receipt
from loa.units import InstantMs, NodeId


@dataclass(frozen=True)
class Kept:
    """What a committed group changed."""

    held: Mapping[tuple[NodeId, bytes], int] = field(default_factory=dict)
    """(node, epoch) → every receipt up to this number is in the tables."""
    subjects: frozenset[str] = frozenset()
    """Broadcasts and orders that the receipts are about."""
    local: frozenset[str] = frozenset()
    """Those that were sounded, or ended, by local input."""


def keep_group(session: Session, believed: list[Believed], now: InstantMs) -> Kept:
    """Write receipts, health and presence. A repeat changes nothing and is acknowledged again."""
    hints: dict[NodeId, tuple[int, bool]] = {}
    for one in believed:
        if isinstance(one.report, Presence) and not (one.retained and one.report.state is PresenceState.ONLINE):
            # A retained ONLINE is from before: it says nothing of now.
            hints[one.report.node] = (one.report.session, one.report.state is PresenceState.ONLINE)
    if hints:
        store_presence(session, hints, now)
    healths = [
        (one.report, cose.read(one.payload, max_bytes=len(one.payload)).payload)
        for one in believed
        if isinstance(one.report, Health)
    ]
    if healths:
        store_health(session, healths, now)
    receipts = [(one.report, one.payload) for one in believed if isinstance(one.report, Receipt)]
    held = record_receipts(session, receipts, now)
    subjects = frozenset(receipt.subject.hex() for receipt, _ in receipts if receipt.subject is not None)
    told = (receipt for receipt, _ in receipts if receipt.local is not None and receipt.subject is not None)
    local = frozenset((receipt.local.ends or receipt.subject).hex() for receipt in told)  # type: ignore[union-attr]
    return Kept({(one.node, one.epoch): one.number for one in held}, subjects, local)
