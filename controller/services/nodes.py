"""Nodes: enrolled, placed, moved, retired; their volume; how they are."""

import math
from dataclasses import dataclass

from sqlmodel import Session, col, select

from controller.permissions import Permission
from controller.services.areas import lies_in, place_for
from controller.services.context import Changed, Context, OutControl, Outgoing, note_deed
from controller.services.health import health_in
from controller.services.orders import Targets, give_order
from controller.services.settings import settings_of
from controller.services.sight import node_row, nodes_seen, targets_for
from controller.tables import BrokerLogin, Node, NodeKey, NodeState, StateDocument, Station
from devices.protocol.documents import Placement
from devices.protocol.envelope import seal
from devices.protocol.orders import Order, OrderAction
from devices.protocol.renewal import next_version
from devices.protocol.reports import Health
from devices.protocol.topics import AreaChannel
from loa.entropy import new_id
from loa.errors import Refused
from loa.names import AreaPath, node_id
from loa.precedence import Kind, Precedence
from loa.units import DurationMs, InstantMs, NodeId, Percent

VOLUME_LIFE_MS = 24 * 3_600_000
TONE_LIFE_MS = 30_000
SILENT_AFTER = 1.5
"""No health for this many intervals: silent."""
TRUST_LAG_MS = 15 * 60_000
"""Whose health names an older trust document than one that was issued this long before is shown."""


def is_silent(last_health_at: int | None, now: int, interval_s: int) -> bool:
    """Whether a node counts as silent."""
    return last_health_at is None or now - last_health_at > SILENT_AFTER * interval_s * 1000


@dataclass(frozen=True)
class NodeView:
    """A node as the centre sees it. `state`: online, silent, never (not heard from yet), retired."""

    id: NodeId
    area: AreaPath
    description: str
    station: str | None
    bus_address: int
    public_key: bytes
    placement_version: int
    volume: Percent
    state: str
    last_heard_at: InstantMs | None
    health_at: InstantMs | None
    health: Health | None
    link_rate: int | None
    trust_lags: bool
    """It has long been told of an older trust document than the newest: somebody may be keeping that from it."""


@dataclass(frozen=True)
class Enrolled:
    """An enrolled node and its signed placement."""

    node: NodeId
    area: AreaPath
    placement: bytes


def add_station(session: Session, ctx: Context, *, id: str, area: str, description: str = "") -> str:  # noqa: A002
    """Add a station; adding it again the same is harmless. Raises Refused(not_found, already_exists)."""
    name, place = node_id(id), place_for(session, ctx, area, Permission.NODE_ENROL)
    row = session.get(Station, name)
    if row is not None:
        if row.area != place:
            raise Refused("already_exists", field="id", value=name)
        return name
    session.add(Station(id=name, area=place, description=description[:200], created_at=ctx.now))
    session.flush()
    note_deed(session, ctx, "add", "station", name, detail=place)
    return name


def enrol_node(
    session: Session,
    ctx: Context,
    *,
    id: str,  # noqa: A002
    area: str,
    public_key: bytes,
    description: str = "",
    station: str | None = None,
    bus_address: int = 0,
) -> Changed[Enrolled]:
    """Make a box known under its public key and sign where it is. The same again returns the same.

    Raises Refused(bad_node_id, not_found, already_exists where another key holds the name, bad_key, bus_address_taken,
    bus_address_range).
    """
    name, place = node_id(id), place_for(session, ctx, area, Permission.NODE_ENROL)
    if len(public_key) != 32:
        raise Refused("bad_key", field="public_key", limit="32 bytes")
    _check_bus(session, ctx, name, station, bus_address)
    row = session.get(Node, name)
    if row is not None and (row.public_key != public_key or not ctx.may.may(Permission.NODE_ENROL, row.area)):
        raise Refused("already_exists", field="id", value=name)
    if row is None:
        row = Node(
            id=name, area=place, public_key=public_key, description=description[:200], station=station,
            bus_address=bus_address, placement_version=0, placement=b"", created_at=ctx.now,
        )  # fmt: skip
    elif (row.area, row.station, row.bus_address, row.retired_at) == (place, station, bus_address, None):
        enrolled = Enrolled(name, place, row.placement)
        return Changed(enrolled, Outgoing(controls=(OutControl(name, row.placement),)))
    row.station, row.bus_address, row.retired_at = station, bus_address, None
    changed = _place(session, ctx, row, place, "enrol")
    _note_key(session, ctx, row)
    return changed


def replace_box(session: Session, ctx: Context, *, id: str, public_key: bytes) -> Changed[Enrolled]:  # noqa: A002
    """Another box takes a node's place: its name, its history, and a placement for the new key.

    From now on the old key is not believed; what it signed stays in the history, with the key. Raises
    Refused(not_found, bad_key).
    """
    row = node_row(session, ctx, id, Permission.NODE_ENROL)
    if len(public_key) != 32:
        raise Refused("bad_key", field="public_key", limit="32 bytes")
    row.public_key, row.retired_at = public_key, None
    changed = _place(session, ctx, row, AreaPath(row.area), "replace")
    _note_key(session, ctx, row)
    return changed


def _note_key(session: Session, ctx: Context, row: Node) -> None:
    """Keep the node's key, and until when the one before it counted."""
    for old in session.exec(select(NodeKey).where(NodeKey.node == row.id, col(NodeKey.until).is_(None))):
        if old.public_key != row.public_key:
            old.until = ctx.now
            session.add(old)
    held = session.get(NodeKey, (row.id, row.public_key))
    if held is None:
        held = NodeKey(node=row.id, public_key=row.public_key, since=ctx.now)
    held.until = None
    session.add(held)
    session.flush()


def move_node(session: Session, ctx: Context, *, id: str, area: str) -> Changed[Enrolled]:  # noqa: A002
    """Sign a new placement. Raises Refused(not_found)."""
    row = node_row(session, ctx, id, Permission.NODE_ENROL)
    place = place_for(session, ctx, area, Permission.NODE_ENROL)
    return _place(session, ctx, row, place, "place")


def _place(session: Session, ctx: Context, row: Node, place: AreaPath, verb: str) -> Changed[Enrolled]:
    row.area = place
    row.placement_version = next_version(row.placement_version, ctx.now)
    placement = Placement(
        node=NodeId(row.id), area=place, version=row.placement_version, issued_at=ctx.now, public_key=row.public_key,
        bus_address=row.bus_address,
    )  # fmt: skip
    row.placement = seal(placement, ctx.keys)
    session.add(row)
    session.flush()
    if session.get(NodeState, row.id) is None:
        session.add(NodeState(node=row.id))
    session.flush()
    note_deed(session, ctx, verb, "node", row.id, detail=place)
    enrolled = Enrolled(NodeId(row.id), place, row.placement)
    return Changed(enrolled, Outgoing(controls=(OutControl(enrolled.node, row.placement),)))


def retire_node(session: Session, ctx: Context, *, id: str) -> None:  # noqa: A002
    """The node counts no more, and the broker lets it in no more; what it reported stays. Raises Refused(not_found)."""
    row = node_row(session, ctx, id, Permission.NODE_ENROL)
    row.retired_at = ctx.now
    session.add(row)
    login = session.get(BrokerLogin, row.id)
    if login is not None:
        session.delete(login)
    note_deed(session, ctx, "retire", "node", row.id)


def set_volume(session: Session, ctx: Context, *, id: str, volume: float) -> Outgoing:  # noqa: A002
    """Order a node's volume from now on. Raises Refused(not_found, volume_range)."""
    row = node_row(session, ctx, id, Permission.NODE_VOLUME)
    row.volume = checked_volume(volume)
    session.add(row)
    note_deed(session, ctx, "volume", "node", row.id, detail=str(row.volume))
    order = _order(ctx, OrderAction.VOLUME, Percent(row.volume), VOLUME_LIFE_MS, NodeId(row.id))
    return give_order(session, ctx, order, _only(NodeId(row.id)))


def sound_test_tone(
    session: Session, ctx: Context, *, target_areas: tuple[str, ...] = (), target_nodes: tuple[str, ...] = (),
    volume: float | None = 30,
) -> Outgoing:  # fmt: skip
    """A short tone, quiet unless told otherwise. Raises Refused(empty_target, not_found, volume_range)."""
    targets = targets_for(session, ctx, Permission.NODE_TEST, target_areas, target_nodes)
    level = None if volume is None else Percent(checked_volume(volume))
    order = _order(ctx, OrderAction.TEST_TONE, level, TONE_LIFE_MS, NodeId("any"))
    note_deed(session, ctx, "test", "node", order.id.hex(), detail=", ".join((*targets.areas, *targets.nodes)))
    return give_order(session, ctx, order, targets)


def checked_volume(volume: float, *, field: str = "volume") -> int:
    """A whole number 0 to 100. Raises Refused(volume_range)."""
    if not math.isfinite(volume) or not 0 <= volume <= 100 or volume != int(volume):
        raise Refused("volume_range", field=field, limit="0–100", value=volume)
    return int(volume)


def _order(ctx: Context, action: OrderAction, volume: Percent | None, life_ms: int, node: NodeId) -> Order:
    return Order(
        id=new_id(ctx.entropy), action=action, nodes=(node,), precedence=Precedence.ORDINARY, kind=Kind.LIVE,
        issued_at=ctx.now, start_at=ctx.now, expires_at=InstantMs(ctx.now + life_ms), volume=volume,
        gap_ms=DurationMs(0),
    )  # fmt: skip


def _only(node: NodeId) -> Targets:
    return Targets((), (node,))


def list_nodes(
    session: Session, ctx: Context, *, within: str | None = None, retired: bool = False
) -> tuple[NodeView, ...]:
    """Nodes by name, with how they are."""
    query = select(Node, NodeState).join(NodeState, col(NodeState.node) == col(Node.id), isouter=True)
    query = query.where(nodes_seen(ctx))
    if within is not None:
        query = query.where(lies_in(Node.area, [AreaPath(within)]))
    if not retired:
        query = query.where(col(Node.retired_at).is_(None))
    interval_s = settings_of(session, ctx).health_interval_s
    rows = session.exec(query.order_by(col(Node.id))).all()
    trust = _newest_trust(session, ctx)
    return tuple(_view(node, state, ctx.now, interval_s, trust) for node, state in rows)


def node(session: Session, ctx: Context, id: str) -> NodeView:  # noqa: A002
    """One node. Raises Refused(not_found)."""
    row = node_row(session, ctx, id)
    interval_s = settings_of(session, ctx).health_interval_s
    return _view(row, session.get(NodeState, row.id), ctx.now, interval_s, _newest_trust(session, ctx))


def node_keys(session: Session) -> dict[NodeId, bytes]:
    """Public keys of all nodes, for checking what they sign."""
    rows = session.exec(select(Node.id, Node.public_key).where(col(Node.retired_at).is_(None)))
    return {NodeId(name): key for name, key in rows}


def _newest_trust(session: Session, ctx: Context) -> StateDocument | None:
    return session.get(StateDocument, (str(ctx.province), str(AreaChannel.TRUST)))


def trust_lags(health: Health | None, health_at: int | None, version: int, issued_at: int) -> bool:
    """Whether a node that spoke at `health_at` still had an older trust document than this one, issued long before."""
    return (
        health is not None
        and health_at is not None
        and health.trust_version < version
        and health_at - issued_at > TRUST_LAG_MS
    )


def _view(row: Node, state: NodeState | None, now: InstantMs, interval_s: int, trust: StateDocument | None) -> NodeView:
    health = None if state is None else health_in(state.health)
    health_at = state.health_at if state else None
    if row.retired_at is not None:
        how = "retired"
    elif health_at is None:
        how = "never"
    else:
        how = "silent" if is_silent(health_at, now, interval_s) else "online"
    heard = state.last_heard_at if state else None
    return NodeView(
        NodeId(row.id), AreaPath(row.area), row.description, row.station, row.bus_address, row.public_key,
        row.placement_version, Percent(row.volume), how, None if heard is None else InstantMs(heard),
        None if health_at is None else InstantMs(health_at), health,
        state.link_rate if state else None,
        trust is not None and trust_lags(health, health_at, trust.version, trust.issued_at),
    )  # fmt: skip


def _check_bus(session: Session, ctx: Context, name: NodeId, station: str | None, bus_address: int) -> None:
    if station is None:
        if bus_address != 0:
            raise Refused("bus_address_range", field="bus_address", limit="0 without a station")
        return
    held = session.get(Station, node_id(station))
    if held is None or not ctx.may.may(Permission.NODE_ENROL, held.area):
        raise Refused("not_found", field="station", value=station)
    if not 1 <= bus_address <= 254:
        raise Refused("bus_address_range", field="bus_address", limit="1–254")
    taken = select(Node.id).where(
        Node.station == station, Node.bus_address == bus_address, Node.id != name, col(Node.retired_at).is_(None)
    )
    if (other := session.exec(taken).first()) is not None:
        raise Refused("bus_address_taken", field="bus_address", value=bus_address, node=other)
