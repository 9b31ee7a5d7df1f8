"""A group of reports into the tables, within one unit of work."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlmodel import Session

from controller.tables import NodeState, OwedOrder, ReceiptRow
from controller.wire.reports import Believed
from devices.protocol.envelope import encode
from devices.protocol.reports import Health, Presence, PresenceState, Receipt
from loa.units import InstantMs


@dataclass(frozen=True)
class Kept:
    """What a committed group changed."""

    held: Mapping[tuple[str, bytes], int] = field(default_factory=dict)
    """(node, epoch) → every receipt up to this number is in the tables."""
    broadcasts: frozenset[str] = frozenset()
    """Broadcasts whose coverage changed."""


def keep_group(session: Session, believed: list[Believed], now: InstantMs) -> Kept:
    """Write receipts, health and presence. A repeat changes nothing and is acknowledged again."""
    receipts = [(one.report, one.payload) for one in believed if isinstance(one.report, Receipt)]
    kept = _keep_receipts(session, receipts, now)
    states: dict[str, NodeState] = {}
    for one in believed:
        row = states.get(one.node.id) or session.get(NodeState, one.node.id) or NodeState(node=one.node.id)
        states[one.node.id] = row
        _note(row, one)
    session.add_all(states.values())
    return Kept(kept.held, kept.broadcasts)


def _note(row: NodeState, one: Believed) -> None:
    report = one.report
    if isinstance(report, Presence):
        row.online_hint = report.state is PresenceState.ONLINE
        if report.state is PresenceState.OFFLINE or one.retained:
            return  # unsigned, or from before: says nothing of now
        row.session = report.session
    elif isinstance(report, Health):
        row.session, row.online_hint = report.session, True
        row.health, row.health_at, row.link_rate = encode(report), one.at, report.link_rate
    row.last_heard_at = max(row.last_heard_at or 0, one.at)


def _keep_receipts(session: Session, receipts: list[tuple[Receipt, bytes]], now: InstantMs) -> Kept:
    held: dict[tuple[str, bytes], int] = {}
    broadcasts: set[str] = set()
    for receipt, payload in receipts:
        key = (receipt.node, receipt.epoch.hex(), receipt.number)
        if session.get(ReceiptRow, key) is None:
            subject = None if receipt.subject is None else receipt.subject.hex()
            session.add(
                ReceiptRow(
                    node=receipt.node, epoch=receipt.epoch.hex(), number=receipt.number, at=receipt.at,
                    event=int(receipt.event), subject=subject, cause=int(receipt.cause), payload=payload,
                    received_at=now,
                )
            )  # fmt: skip
            if subject is not None:
                broadcasts.add(subject)
                owed = session.get(OwedOrder, (subject, receipt.node))
                if owed is not None and owed.confirmed_at is None:
                    owed.confirmed_at = now
                    session.add(owed)
        held[receipt.node, receipt.epoch] = 0
    session.flush()
    for node, epoch in held:
        row = session.get(NodeState, node) or NodeState(node=node)
        number = row.held_number if row.epoch == epoch else 0
        while session.get(ReceiptRow, (node, epoch.hex(), number + 1)) is not None:
            number += 1
        row.epoch, row.held_number = epoch, number
        session.add(row)
        held[node, epoch] = number
    session.flush()
    return Kept(held, frozenset(broadcasts))
