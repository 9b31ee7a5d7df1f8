"""What people do about alerts while the tables cannot be written: found out, kept as a deed, and written afterwards.

A deed is done by the same services as ever, once in a rehearsal and once for good. Both times it is the instant at
which it was done, and what is drawn by chance is drawn from the deed: so the tables come to hold what went out.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlalchemy import update
from sqlmodel import Session, col, select

from controller.rehearsal import hide
from controller.services import alerts
from controller.services.alert_release import Approved
from controller.services.alerts import Seen
from controller.services.context import Changed, Context, OutOrder, note_deed
from controller.services.orders import Targets, owe
from controller.services.streams import DueStream, due_streams
from controller.tables import Alert, AlertApproval, Broadcast, Node, OwedOrder
from devices.protocol import cbor, common, cose
from devices.protocol.alerts import MAX_BODY_BYTES, AlertAction
from devices.protocol.approval import MAX_APPROVAL_BYTES, read_body
from devices.protocol.envelope import MAX_MESSAGE_BYTES, open_sealed
from devices.protocol.fields import blob, choice, from_map, many, nested, text, to_map, wire
from devices.protocol.orders import Order
from devices.protocol.refusal import WireRefusal
from devices.protocol.trust import RootSet
from loa.clock import StoppedClock
from loa.entropy import Entropy
from loa.errors import Refused
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from loa.units import InstantMs, NodeId

MAX_DEED_BYTES = 4 * 1024 * 1024
DAY_MS = 86_400_000
SEED_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class SentOrder:
    """An order as it went out, and to whom."""

    payload: bytes = wire(1, blob(1, MAX_MESSAGE_BYTES))
    areas: tuple[str, ...] = wire(2, many(text(200), 1024), default=())
    nodes: tuple[str, ...] = wire(3, many(text(200), 1024), default=())
    id: str = wire(4, text(32))
    """Of the order, hex."""


@dataclass(frozen=True, kw_only=True)
class Deed:
    """One person's approval or cancel of an alert. `body`: the bytes that they signed."""

    action: AlertAction = wire(1, choice(AlertAction))
    alert: str = wire(2, text(32))
    kind: Kind = wire(3, choice(Kind))
    body: bytes = wire(4, blob(1, MAX_BODY_BYTES))
    approval: bytes = wire(5, blob(1, MAX_APPROVAL_BYTES))
    account: str = wire(6, text(64))
    origin: str = wire(7, text(100), default="")
    at: InstantMs = wire(8, common.instant())
    seed: bytes = wire(9, blob(SEED_BYTES))
    orders: tuple[SentOrder, ...] = wire(10, many(nested(SentOrder), 4096), default=())

    @property
    def seen(self) -> Seen:
        return Seen(self.kind, alerts.digest_of_body(self.body))


@dataclass(frozen=True)
class Rehearsed:
    """What a deed would do: what people are told, what goes out, and the audio that must follow at once."""

    value: Approved
    deed: Deed
    """With its orders."""
    streams: tuple[DueStream, ...]


def deed_bytes(deed: Deed) -> bytes:
    return cbor.dumps(to_map(deed))


def read_deed(data: bytes) -> Deed:
    """Raises Malformed."""
    return from_map(Deed, cbor.loads(data, max_bytes=MAX_DEED_BYTES))


def outgoing_of(deed: Deed) -> tuple[OutOrder, ...]:
    """For the wire."""
    return tuple(
        OutOrder(
            one.payload, tuple(AreaPath(path) for path in one.areas), tuple(NodeId(name) for name in one.nodes),
            Precedence.EMERGENCY, one.id,
        )
        for one in deed.orders
    )  # fmt: skip


def do(session: Session, ctx: Context, deed: Deed, *, roots: RootSet) -> Changed[Approved]:
    """As `alerts.approve` and `alerts.cancel` do; errors are theirs."""
    if deed.action is AlertAction.RELEASE:
        return alerts.approve(session, ctx, deed.alert, deed.seen, deed.approval, roots=roots)
    changed = alerts.cancel(session, ctx, deed.alert, deed.body, deed.approval, roots=roots)
    return Changed(Approved(changed.value, released=False), changed.outgoing)


def rehearse(
    session: Session, ctx: Context, deed: Deed, before: Iterable[Deed], *, roots: RootSet, until: InstantMs
) -> Rehearsed:
    """What this deed does after those that are not in the tables either. Errors are those of `do`.

    ctx: of whoever does it, with what they may do. until: streams that begin by then are named.
    """
    stage(session, ctx, deed.alert, before, roots=roots)
    changed = do(session, _as_of(ctx, deed), deed, roots=roots)
    sent = tuple(
        SentOrder(payload=one.payload, areas=tuple(one.areas), nodes=tuple(one.nodes), id=one.id)
        for one in changed.outgoing.orders
    )
    streams = due_streams(session, until)
    return Rehearsed(changed.value, replace(deed, orders=sent), streams)


def stage(session: Session, ctx: Context, alert: str, waiting: Iterable[Deed], *, roots: RootSet) -> None:
    """Make the session show an alert as those of these deeds leave it that are about it, in copies that are gone with
    the session.
    """
    row = session.get(Alert, alert)
    near = {alert, *(row.updates if row is not None else ())}
    about = [one for one in waiting if one.alert in near or alert in _updated_by(one)]
    hide(
        session,
        InstantMs(ctx.now - DAY_MS),
        {digest for name in {alert, *near} for digest in _renditions(session, name)},
    )
    session.expire_all()
    for one in about:
        write(session, ctx, one, roots=roots)


def write(session: Session, ctx: Context, deed: Deed, *, roots: RootSet) -> None:
    """The deed in the tables, as it went out; twice is once. ctx: the controller's.

    What it was then and there, it stays: where the tables would not have it any more, the record says so, and the
    order that went out is owed all the same.
    """
    if _is_written(session, deed):
        return
    own = replace(_as_of(ctx, deed), account=deed.account, authority=None, origin=deed.origin)
    orders: tuple[OutOrder, ...] = ()
    try:
        with session.begin_nested():
            orders = do(session, own, deed, roots=roots).outgoing.orders
    except Refused as error:
        words = f"{deed.action.name.lower()} by {deed.account} went out while the tables were locked: {error.code}"
        note_deed(session, own, "unwritten", "alert", deed.alert, detail=words)
        for one in outgoing_of(deed):
            if not _is_owed(session, one):
                owe(session, _order(one), one.payload)
        return
    if orders != outgoing_of(deed):
        for one in outgoing_of(deed):
            _as_sent(session, one)


def _as_of(ctx: Context, deed: Deed) -> Context:
    return replace(ctx, clock=StoppedClock(deed.at), entropy=_drawn(deed.seed))


def _drawn(seed: bytes) -> Entropy:
    """Bytes that look like chance and are the same each time."""
    count = 0

    def draw(length: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_256(seed + count.to_bytes(8, "big")).digest(length)

    return draw


def _is_written(session: Session, deed: Deed) -> bool:
    key = cose.read_detached(deed.approval, deed.body, max_bytes=MAX_APPROVAL_BYTES).key_id.hex()
    if session.get(AlertApproval, (deed.alert, int(deed.action), key)) is None:
        return False
    if deed.action is AlertAction.RELEASE:
        return not deed.orders or session.get(Broadcast, deed.alert) is not None
    row = session.get(Alert, deed.alert)
    return row is not None and row.status == "cancelled"


def _is_owed(session: Session, out: OutOrder) -> bool:
    """By this very deed, read from the log once more: nothing may then keep the tables from being written."""
    meant = select(Node.id).where(Targets(out.areas, out.nodes).are_meant())
    same = select(OwedOrder.node).where(OwedOrder.order == out.id, col(OwedOrder.node).in_(meant))
    return session.exec(same.limit(1)).first() is not None


def _as_sent(session: Session, out: OutOrder) -> None:
    """What is sent again must be the very bytes that went out."""
    order = _order(out)
    meant = select(Node.id).where(Targets(out.areas, out.nodes).are_meant())
    session.execute(
        update(OwedOrder)
        .where(col(OwedOrder.order) == order.id.hex(), col(OwedOrder.node).in_(meant))
        .values(payload=out.payload, start_at=order.start_at)  # it ends as its body does; an update is owed longer
    )
    session.expire_all()


def _order(out: OutOrder) -> Order:
    message = open_sealed(out.payload).message
    assert isinstance(message, Order)
    return message


def _updated_by(deed: Deed) -> frozenset[str]:
    """The alerts whose place this release takes."""
    if deed.action is not AlertAction.RELEASE:
        return frozenset()
    return frozenset(one.hex() for one in read_body(deed.body).references)


def _renditions(session: Session, alert: str) -> list[str]:
    row = session.get(Alert, alert)
    try:
        return [] if row is None else [one.digest.hex() for one in read_body(row.body).renditions]
    except WireRefusal:
        return []
