"""Broadcasts: issued at once, recalled, listed."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, insert, literal
from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

from controller.permissions import Permission
from controller.services.areas import lies_in
from controller.services.bulletins import approved_bulletins
from controller.services.context import Changed, Context, Outgoing, note_deed
from controller.services.links import slowest_transfer_s
from controller.services.nodes import checked_volume
from controller.services.orders import Targets, give_order, nodes_in
from controller.services.settings import SettingsInForce
from controller.services.sight import broadcast_row, targets_for
from controller.services.streams import references, slowest_rate, stream_now
from controller.services.timetables import issue_timetables
from controller.tables import Broadcast, BroadcastNode, Node, OwedOrder
from devices.protocol.common import RenditionRef
from devices.protocol.documents import DEFAULT_GRACE_MS
from devices.protocol.orders import Order, OrderAction
from loa.entropy import new_id
from loa.errors import Refused
from loa.names import AreaPath
from loa.precedence import Interruption, Kind, Precedence
from loa.units import Id16, InstantMs, NodeId, Percent
from scheduler.rules.hours import permits
from scheduler.rules.spread import BETWEEN_MS, LEAD_MS, StreamStart, immediate_start, pace_for, stream_ms

LATEST_ORDERED_START_MS = 24 * 3_600_000
"""An order may start at most this much later; what is to sound later belongs in a programme."""
MOST_REPEATS = 10
_RECALLABLE = frozenset({"planned", "issued"})


@dataclass(frozen=True)
class Issued:
    """A broadcast that is on its way, and what goes out on the wire after the commit."""

    broadcast_id: Id16
    start_at: InstantMs
    outgoing: Outgoing


@dataclass(frozen=True)
class BroadcastView:
    """A broadcast. `status` as in the table; `wanted_at` only where it was moved: what its programme asked for."""

    id: str
    programme: str | None
    scheduled: bool
    title: str
    area: AreaPath
    target_areas: tuple[AreaPath, ...]
    target_nodes: tuple[NodeId, ...]
    bulletins: tuple[str, ...]
    renditions: tuple[str, ...]
    precedence: Precedence
    volume: Percent | None
    start_at: InstantMs
    wanted_at: InstantMs | None
    duration_ms: int
    repeats: int
    status: str
    note: str
    created_by: str
    created_at: InstantMs
    recalled_by: str | None
    recalled_at: InstantMs | None


@dataclass(frozen=True, kw_only=True)
class IssueForm:
    """What a person asks to be heard now, or at an instant within a day."""

    bulletins: Sequence[str]
    target_areas: Sequence[str] = ()
    target_nodes: Sequence[str] = ()
    precedence: Precedence = Precedence.ORDINARY
    interruption: Interruption = Interruption.DROP
    volume: float | None = None
    start_at: InstantMs | None = None
    repeats: int = 1
    title: str = ""


def issue_now(session: Session, ctx: Context, form: IssueForm) -> Issued:
    """Make a broadcast with its signed order, owed to every node meant, all in one transaction.

    Raises Refused(field_required, not_found, not_approved, withdrawn, too_many, empty_target, volume_range, bad_value,
    out_of_hours, too_long, emergency_needs_release, not_permitted, second_person_required).
    """
    if form.precedence is Precedence.EMERGENCY:
        raise Refused("emergency_needs_release", field="precedence", limit="priority")
    if not 1 <= form.repeats <= MOST_REPEATS:
        raise Refused("bad_value", field="repeats", limit=f"1–{MOST_REPEATS}", reason=form.repeats)
    bulletins = approved_bulletins(session, ctx, form.bulletins, field="bulletins")
    digests = [digest for row in bulletins for digest in row.renditions]
    targets = targets_for(session, ctx, Permission.BROADCAST_ISSUE, form.target_areas, form.target_nodes)
    volume = None if form.volume is None else checked_volume(form.volume)
    refs = _announced(session, ctx, digests, targets)
    duration_ms = sum(ref.duration_ms for ref in refs) * form.repeats
    start_at = _start(session, ctx, form.start_at, refs, targets)
    _check_permitted(session, targets, start_at, duration_ms)
    row = Broadcast(
        id=new_id(ctx.entropy).hex(),
        scheduled=False,
        title=form.title.strip()[:200] or bulletins[0].title,
        area=area_of(session, ctx, targets),
        target_areas=[str(path) for path in targets.areas],
        target_nodes=[str(name) for name in targets.nodes],
        bulletins=list(form.bulletins),
        renditions=digests,
        precedence=int(form.precedence),
        kind=int(Kind.LIVE),
        interruption=int(form.interruption),
        volume=volume,
        start_at=start_at,
        duration_ms=duration_ms,
        expires_at=start_at + duration_ms + DEFAULT_GRACE_MS,
        status="issued",
        repeats=form.repeats,
        created_by=ctx.account,
        created_at=ctx.now,
    )
    session.add(row)
    session.flush()
    expect_nodes(session, row.id, targets)
    outgoing = give_order(session, ctx, _play(row, refs, ctx.now), targets)
    note_deed(session, ctx, "issue", "broadcast", row.id, detail=row.title)
    return Issued(Id16(bytes.fromhex(row.id)), start_at, outgoing)


def recall(session: Session, ctx: Context, *, id: str) -> Changed[BroadcastView]:  # noqa: A002
    """Take a broadcast back: out of the timetable where it is to come, stopped where it may sound already.

    Recalling it again changes nothing. Raises Refused(not_found, broadcast_over, emergency_needs_cancel).
    """
    row = broadcast_row(session, ctx, id, Permission.BROADCAST_RECALL)
    if row.status == "recalled":
        return Changed(_view(row))
    if row.precedence == int(Precedence.EMERGENCY):
        raise Refused("emergency_needs_cancel", field="broadcast", value=row.title)
    if row.status not in _RECALLABLE or row.expires_at <= ctx.now:
        raise Refused("broadcast_over", field="broadcast", value=row.title)
    mark_recalled(session, ctx, row)
    note_deed(session, ctx, "recall", "broadcast", row.id, detail=row.title)
    outgoing = _stop_orders(session, ctx, row)
    if row.scheduled:
        outgoing += issue_timetables(session, ctx, only=[AreaPath(path) for path in (row.area, *row.target_areas)])
    return Changed(_view(row), outgoing)


def mark_recalled(session: Session, ctx: Context, row: Broadcast) -> None:
    """From now on it is taken back; nodes that have it are to be told so by an order."""
    row.status, row.recalled_by, row.recalled_at = "recalled", ctx.account, ctx.now
    session.add(row)
    session.flush()
    # What a node has not confirmed yet it must not be told any more.
    session.execute(delete(OwedOrder).where(col(OwedOrder.order) == row.id, col(OwedOrder.confirmed_at).is_(None)))


def broadcast(session: Session, id: str) -> BroadcastView:  # noqa: A002
    """One broadcast. Raises Refused(not_found)."""
    row = session.get(Broadcast, id)
    if row is None:
        raise Refused("not_found", field="broadcast", value=id[:64])
    return _view(row)


def list_broadcasts(
    session: Session,
    *,
    since: InstantMs | None = None,
    until: InstantMs | None = None,
    within: str | None = None,
    statuses: Sequence[str] = ("planned", "issued", "recalled", "ended", "crowded_out"),
    limit: int = 500,
    seen: ColumnElement[bool] | None = None,
) -> tuple[BroadcastView, ...]:
    """Broadcasts by their start: those that end after `since` and start before `until`. seen: as `sight` has it."""
    query = select(Broadcast).where(col(Broadcast.status).in_(list(statuses)))
    if since is not None:
        query = query.where(col(Broadcast.start_at) + col(Broadcast.duration_ms) > since)
    if until is not None:
        query = query.where(Broadcast.start_at < until)
    if within is not None:
        query = query.where(lies_in(Broadcast.area, [AreaPath(within)]))
    if seen is not None:
        query = query.where(seen)
    query = query.order_by(col(Broadcast.start_at), col(Broadcast.id)).limit(limit)
    return tuple(_view(row) for row in session.exec(query))


def expect_nodes(session: Session, broadcast_id: str, targets: Targets) -> None:
    """Rows of coverage, all waiting, for the nodes that have none yet; made by the database itself."""
    held = sa_select(col(BroadcastNode.node)).where(
        col(BroadcastNode.broadcast) == broadcast_id, col(BroadcastNode.node) == col(Node.id)
    )
    rows = sa_select(literal(broadcast_id), col(Node.id), literal("waiting"), literal(0)).where(
        targets.are_meant(), ~held.exists()
    )
    session.connection().execute(insert(BroadcastNode).from_select(["broadcast", "node", "outcome", "cause"], rows))


def targets_of(row: Broadcast) -> Targets:
    """Whom a broadcast is for."""
    return Targets(tuple(AreaPath(path) for path in row.target_areas), tuple(NodeId(name) for name in row.target_nodes))


def targeted_nodes(session: Session, row: Broadcast) -> tuple[NodeId, ...]:
    """The nodes that a broadcast is for, as they are placed now."""
    found = {NodeId(node.id) for node in nodes_in(session, row.target_areas)}
    for name in row.target_nodes:
        node = session.get(Node, name)
        if node is not None and node.retired_at is None:
            found.add(NodeId(name))
    return tuple(sorted(found))


def _stop_orders(session: Session, ctx: Context, row: Broadcast) -> Outgoing:
    targets = targets_of(row)
    if not targets.anybody(session):
        return Outgoing()
    order = Order(
        id=new_id(ctx.entropy), action=OrderAction.STOP, nodes=(NodeId("any"),), precedence=Precedence(row.precedence),
        kind=Kind(row.kind), issued_at=ctx.now, start_at=ctx.now,
        expires_at=InstantMs(max(row.expires_at, ctx.now + DEFAULT_GRACE_MS)), subject=Id16(bytes.fromhex(row.id)),
    )  # fmt: skip
    return give_order(session, ctx, order, targets)


def _play(row: Broadcast, refs: tuple[RenditionRef, ...], now: InstantMs) -> Order:
    return Order(
        id=Id16(bytes.fromhex(row.id)), action=OrderAction.PLAY, nodes=(NodeId("any"),),
        precedence=Precedence(row.precedence), kind=Kind(row.kind), issued_at=now, start_at=InstantMs(row.start_at),
        expires_at=InstantMs(row.start_at + max(row.duration_ms, 1)), renditions=refs, repeats=row.repeats,
        volume=None if row.volume is None else Percent(row.volume), interruption=Interruption(row.interruption),
    )  # fmt: skip


def _announced(session: Session, ctx: Context, digests: Sequence[str], targets: Targets) -> tuple[RenditionRef, ...]:
    """The renditions as the order names them; streams are announced for those that never had one."""
    refs = references(session, set(digests))
    pace = pace_for(slowest_rate(session, targets.are_meant()))
    at = ctx.now + LEAD_MS
    starts: dict[str, StreamStart] = {}
    for digest in dict.fromkeys(digests):
        ref = refs[digest]
        # One that is planned for later, but is needed now, is streamed now.
        if ref.stream_at is None or ref.stream_at > ctx.now + LEAD_MS:
            starts[digest] = StreamStart(ref.digest, InstantMs(at), pace)
            at += stream_ms(ref.length_bytes, pace) + BETWEEN_MS
    stream_now(session, list(starts.values()))
    fresh = references(session, set(digests))
    return tuple(fresh[digest] for digest in digests)


def _start(
    session: Session,
    ctx: Context,
    asked: InstantMs | None,
    refs: Sequence[RenditionRef],
    targets: Targets,
) -> InstantMs:
    if asked is None:
        slowest_s = slowest_transfer_s(session, ctx, targets.are_meant(), refs)
        if slowest_s > 0:
            # Who joins the shared stream has the whole when it ends; repairs want a moment more.
            ends = [r.stream_at + stream_ms(r.length_bytes, int(r.pace)) for r in refs if r.stream_at and r.pace]
            slowest_s = max(slowest_s, (max(ends, default=0) - ctx.now) / 1000)
        return immediate_start(ctx.now, slowest_s)
    if not ctx.now <= asked <= ctx.now + LATEST_ORDERED_START_MS:
        raise Refused("bad_value", field="start_at", limit="24 h", reason="start_at")
    return asked


def _check_permitted(session: Session, targets: Targets, start_at: InstantMs, duration_ms: int) -> None:
    homes = session.exec(select(Node.area).where(targets.are_meant()).distinct()).all()
    in_force = SettingsInForce(session)
    for path in homes:
        settings = in_force.at(AreaPath(path))
        if duration_ms > settings.longest_ms:
            raise Refused("too_long", field="bulletins", limit=settings.longest_ms // 1000, value=path)
        if not permits(settings.hours, start_at, duration_ms, settings.utc_offset_min):  # type: ignore[arg-type]
            raise Refused("out_of_hours", field="start_at", value=path)


def area_of(session: Session, ctx: Context, targets: Targets) -> AreaPath:
    """The narrowest area that holds all of the target."""
    homes = session.exec(select(Node.area).where(col(Node.id).in_(targets.nodes)).distinct()).all()
    paths = [*targets.areas, *(AreaPath(home) for home in homes)]
    for wider in reversed(paths[0].with_ancestors()):
        if all(wider.covers(path) for path in paths):
            return wider
    return ctx.province


def _view(row: Broadcast) -> BroadcastView:
    return BroadcastView(
        row.id, row.programme, row.scheduled, row.title, AreaPath(row.area),
        tuple(AreaPath(path) for path in row.target_areas), tuple(NodeId(name) for name in row.target_nodes),
        tuple(row.bulletins), tuple(row.renditions), Precedence(row.precedence),
        None if row.volume is None else Percent(row.volume), InstantMs(row.start_at),
        None if row.wanted_at is None or row.wanted_at == row.start_at else InstantMs(row.wanted_at),
        row.duration_ms, row.repeats, row.status, row.note, row.created_by, InstantMs(row.created_at),
        row.recalled_by, None if row.recalled_at is None else InstantMs(row.recalled_at),
    )  # fmt: skip
