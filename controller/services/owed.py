"""What is owed: orders sent again until the node confirms them or they expire; and what a node that is back lacks."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Row, bindparam, update
from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

from controller.services.context import Context, OutControl, OutDocument
from controller.services.documents import documents_for
from controller.services.journal import held_number
from controller.tables import Node, OwedOrder
from devices.protocol.envelope import seal
from devices.protocol.orders import OrderAction
from devices.protocol.refusal import RefusalReason
from devices.protocol.reports import Acknowledgement, Health, Receipt, ReceiptEvent
from devices.protocol.topics import AreaChannel
from loa.names import AreaPath
from loa.precedence import Precedence
from loa.units import InstantMs, NodeId

FIRST_WAIT_MS, LONGEST_WAIT_MS, LONGEST_EMERGENCY_WAIT_MS = 2000, 60_000, 10_000
_CURABLE = frozenset(
    {
        RefusalReason.TIME_UNKNOWN,
        RefusalReason.UNTRUSTED_KEY,
        RefusalReason.MANDATE_EXCEEDED,
        RefusalReason.EXPIRED,
        RefusalReason.REPLAY,
        RefusalReason.BAD_SIGNATURE,
        RefusalReason.RETAINED_FORBIDDEN,
        RefusalReason.APPROVAL_MISSING,
        RefusalReason.BEYOND_APPROVAL,
        RefusalReason.DRILL_MISMATCH,
        RefusalReason.REVOKED,
    }
)
"""Says nothing for good of the order itself: keep on sending.

The node may take it once it has the time, a newer trust document or room. Or what it refused was not what we sent: it
was spoiled on the way, or signed under an id that anybody may read by whoever has some key, be it a revoked one.
"""
_STOP_DONE = frozenset({ReceiptEvent.STOPPED, ReceiptEvent.FINISHED})


# Prepared, and without objects for rows: they run at each turn of the desk, and for each node that comes back.
_WHAT = (
    col(OwedOrder.order), col(OwedOrder.node), col(OwedOrder.payload), col(OwedOrder.precedence),
    col(OwedOrder.attempts),
)  # fmt: skip
_OPEN = (col(OwedOrder.confirmed_at).is_(None), col(OwedOrder.expires_at) > bindparam("now"))
_DUE = (
    sa_select(*_WHAT)
    .where(*_OPEN, col(OwedOrder.next_at) <= bindparam("now"))
    .order_by(col(OwedOrder.precedence).desc(), col(OwedOrder.next_at), col(OwedOrder.node))
    .limit(bindparam("most"))
)
_OF_NODE = (
    sa_select(*_WHAT)
    .where(*_OPEN, col(OwedOrder.node) == bindparam("node"))
    .order_by(col(OwedOrder.precedence).desc(), col(OwedOrder.issued_at), col(OwedOrder.order))
)
_NEXT_AT = select(OwedOrder.next_at).where(*_OPEN).order_by(col(OwedOrder.next_at)).limit(1)
_PUT_OFF = (
    update(OwedOrder)
    .where(col(OwedOrder.order) == bindparam("of"), col(OwedOrder.node) == bindparam("at"))
    .values(attempts=bindparam("tried"), next_at=bindparam("again_at"), sent_at=bindparam("sent"))
)
_BY_THEM = (
    update(OwedOrder)
    .where(
        col(OwedOrder.order) == bindparam("of"),
        col(OwedOrder.node).in_(bindparam("nodes", expanding=True)),
        col(OwedOrder.confirmed_at).is_(None),
    )
    .values(confirmed_at=bindparam("now"))
)
_OPEN_STOPS = (
    select(OwedOrder.order, OwedOrder.subject)
    .where(
        OwedOrder.action == int(OrderAction.STOP),
        col(OwedOrder.confirmed_at).is_(None),
        col(OwedOrder.subject).in_(bindparam("subjects", expanding=True)),
    )
    .distinct()
)


@dataclass(frozen=True)
class OwedSend:
    """A signed order to be published on one node's own order topic."""

    order: str
    node: NodeId
    payload: bytes
    precedence: Precedence
    attempts: int
    """How often it was sent again, this time included."""


@dataclass(frozen=True)
class Reconciliation:
    """What a node that is back must be given: nothing that it has, or that is over."""

    orders: tuple[OwedSend, ...]
    documents: tuple[OutDocument, ...]
    controls: tuple[OutControl, ...]
    """Its placement where it has an older one; and what the centre holds of its journal."""


def is_curable(reason: RefusalReason) -> bool:
    """Whether a node that refused may yet take the order when it is sent again."""
    return reason in _CURABLE


def wait_ms(attempts: int, precedence: int = Precedence.ORDINARY) -> int:
    """Wait after the n-th sending: 2, 4, 8 … at most 60 s, of an emergency at most 10 s."""
    longest = LONGEST_EMERGENCY_WAIT_MS if precedence >= Precedence.EMERGENCY else LONGEST_WAIT_MS
    return int(min(longest, FIRST_WAIT_MS << min(attempts, 10)))


def due_orders(session: Session, now: InstantMs, *, limit: int = 500, put_off: bool = True) -> tuple[OwedSend, ...]:
    """Orders whose repeat is due, emergencies first; each is put off by its back-off.

    put_off: False only looks, where the tables cannot be written just now.
    """
    rows = session.connection().execute(_DUE, {"now": now, "most": limit})
    return _sent(session, rows.all(), now, put_off=put_off)


def owed_to(session: Session, node: str, now: InstantMs, *, put_off: bool = True) -> tuple[OwedSend, ...]:
    """Everything still owed to one node, to be sent at once because it is back."""
    rows = session.connection().execute(_OF_NODE, {"now": now, "node": node})
    return _sent(session, rows.all(), now, put_off=put_off)


def reconcile(session: Session, ctx: Context, health: Health, *, put_off: bool = True) -> Reconciliation:
    """Compare what a node says it holds with what we know, and give it what it lacks. put_off as in `due_orders`."""
    row = session.get(Node, health.node)
    if row is None or row.retired_at is not None:
        return Reconciliation((), (), ())
    controls: list[OutControl] = []
    if health.placement_version < row.placement_version:
        controls.append(OutControl(health.node, row.placement))
    held = Acknowledgement(
        node=health.node, epoch=health.epoch, number=held_number(session, health.node, health.epoch, ctx.now),
        issued_at=ctx.now,
    )  # fmt: skip
    if held.number != health.acknowledged:
        controls.append(OutControl(health.node, seal(held, ctx.keys)))
    documents = _lacking(session, AreaPath(row.area), health)
    owed = owed_to(session, health.node, ctx.now, put_off=put_off)
    return Reconciliation(owed, documents, tuple(controls))


def confirm(session: Session, receipts: Iterable[Receipt], now: InstantMs) -> int:
    """Take what nodes confirmed off the list; returns how many. Any order of receipts, any number of times."""
    done: dict[str, set[NodeId]] = defaultdict(set)
    stopped: dict[str, set[NodeId]] = defaultdict(set)
    for receipt in receipts:
        if receipt.subject is None or receipt.refusal in _CURABLE:
            continue
        done[receipt.subject.hex()].add(receipt.node)
        if receipt.event in _STOP_DONE:
            stopped[receipt.subject.hex()].add(receipt.node)
    for order, subject in _open_stops(session, stopped):
        done[order] |= stopped[subject]
    count = 0
    for order, nodes in done.items():
        result = session.connection().execute(_BY_THEM, {"of": order, "nodes": sorted(nodes), "now": now})
        count += max(0, result.rowcount)
    return count


def _open_stops(session: Session, subjects: Collection[str]) -> list[tuple[str, str]]:
    """Orders to stop one of these that somebody has not confirmed, with what they stop. Mostly there are none."""
    if not subjects:
        return []
    rows = session.connection().execute(_OPEN_STOPS, {"subjects": sorted(subjects)})
    return [(order, subject) for order, subject in rows if subject is not None]


def send_at_once(session: Session, order: str, nodes: Collection[str], now: InstantMs) -> int:
    """Let what these nodes have not confirmed of an order be due now; how many that are."""
    rows = session.exec(
        select(OwedOrder).where(
            OwedOrder.order == order, col(OwedOrder.confirmed_at).is_(None), OwedOrder.expires_at > now
        )
    ).all()
    meant = [row for row in rows if row.node in nodes]
    for row in meant:
        row.next_at = now
        session.add(row)
    session.flush()
    return len(meant)


def next_owed_at(session: Session, now: InstantMs) -> InstantMs | None:
    """When the next repeat is due, now at the earliest."""
    found = session.connection().execute(_NEXT_AT, {"now": now}).scalar()
    return None if found is None else InstantMs(max(found, now))


def _sent(
    session: Session, rows: Sequence[Row[str, str, bytes, int, int]], now: InstantMs, *, put_off: bool
) -> tuple[OwedSend, ...]:
    out = tuple(
        OwedSend(order, NodeId(node), payload, Precedence(precedence), attempts + 1)
        for order, node, payload, precedence, attempts in rows
    )
    if put_off and out:
        again = [
            {
                "of": o.order, "at": o.node, "tried": o.attempts, "sent": now,
                "again_at": now + wait_ms(o.attempts, o.precedence),
            }
            for o in out
        ]  # fmt: skip
        session.connection().execute(_PUT_OFF, again)
    return out


def _lacking(session: Session, area: AreaPath, health: Health) -> tuple[OutDocument, ...]:
    """Documents of the node's areas that are newer than what it holds. Trust first: the rest needs it."""
    settings = {one.area: one.version for one in health.settings}
    timetables = {one.area: one.version for one in health.timetables}
    held = {AreaChannel.SETTINGS: settings, AreaChannel.TIMETABLE: timetables}
    found: list[OutDocument] = []
    for version, document in documents_for(session, area):
        has = (
            health.trust_version
            if document.channel is AreaChannel.TRUST
            else held[document.channel].get(document.area, 0)
        )
        if has < version:
            found.append(document)
    return tuple(sorted(found, key=lambda one: one.channel is not AreaChannel.TRUST))
