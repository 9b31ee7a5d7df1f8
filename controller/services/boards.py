"""The board of an alert: who heard it, village by village, and what to do next. Rules are in `controller.ladder`."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from sqlalchemy import func, outerjoin
from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

from controller import ladder
from controller.ladder import AlertFacts, End, Line, NodeFacts, Place, Reason, Rung, Totals
from controller.permissions import Permission
from controller.services.alerts import alert_row
from controller.services.areas import areas_seen, lies_in
from controller.services.context import Changed, Context, Outgoing, OutOrder, note_deed, widest
from controller.services.health import health_in
from controller.services.nodes import is_silent
from controller.services.owed import is_curable, send_at_once
from controller.services.routes import routes_of
from controller.services.settings import settings_of
from controller.services.sight import nodes_seen
from controller.tables import (
    Alert,
    AlertBoard,
    Area,
    Broadcast,
    BroadcastNode,
    Node,
    NodeState,
    OwedOrder,
    ReceiptRow,
)
from devices.protocol.orders import OrderAction
from devices.protocol.refusal import RefusalReason
from devices.protocol.reports import ReceiptCause, ReceiptEvent
from loa.errors import Refused
from loa.names import AreaPath
from loa.precedence import Precedence
from loa.units import InstantMs, NodeId

_NODE, _STATE, _LINE = Node.__table__, NodeState.__table__, BroadcastNode.__table__  # type: ignore[attr-defined]
_LOOKED_INTO = 200
"""Healths are opened of so many nodes that received and did not start."""


@dataclass(frozen=True)
class Wire:
    """What is known at the wire alone."""

    link_up: bool = True
    contested: Collection[str] = ()


@dataclass(frozen=True)
class Board:
    """All of it, at one moment."""

    alert: Alert
    broadcast: Broadcast
    facts: AlertFacts
    places: tuple[Place, ...]
    """Nobody reached first."""
    totals: Totals
    routes: tuple[tuple[str, InstantMs, InstantMs, int], ...]
    """Areas (`@name`: a node) on whose topics it was said: first, last, how often."""
    closed: AlertBoard | None = None
    sent: Mapping[str, InstantMs] = field(default_factory=dict)
    """Node → when it was last sent on its own topic."""

    @property
    def lines(self) -> tuple[Line, ...]:
        return tuple(sorted((line for place in self.places for line in place.lines), key=lambda one: one.facts.node))


def board_of(session: Session, ctx: Context, alert: Alert, wire: Wire, *, all_nodes: bool = False) -> Board:
    """What whoever acts sees of it. all_nodes: everything, for the centre itself.

    Raises Refused(alert_not_released).
    """
    row = session.get(Broadcast, alert.id)
    if row is None:
        raise Refused("alert_not_released", field="alert", value=alert.title)
    facts = AlertFacts(
        now=ctx.now,
        start_at=InstantMs(row.start_at),
        expires_at=InstantMs(row.expires_at),
        recalled=row.status == "recalled",
        link_up=wire.link_up,
    )
    routes = [
        (one.area, InstantMs(one.first_at), InstantMs(one.last_at), one.times) for one in routes_of(session, row.id)
    ]
    owed = _owed(session, row.id)
    nodes = _facts(session, ctx, row.id, wire, _Sendings(routes, owed), all_nodes=all_nodes)
    closed = session.get(AlertBoard, alert.id)
    lines = [_as_closed(ladder.line_of(one, facts), closed) for one in nodes]
    places = _places(session, ctx, row, lines, facts, all_nodes=all_nodes)
    return Board(
        alert, row, facts, places, ladder.totals_of(places), tuple(routes), closed,
        {node: one.sent_at for node, one in owed.items() if one.sent_at is not None},
    )  # fmt: skip


def open_boards(session: Session) -> tuple[str, ...]:
    """Alerts that were released and whose boards are not closed."""
    closed = sa_select(col(AlertBoard.alert)).where(col(AlertBoard.alert) == col(Alert.id))
    query = select(Alert.id).join(Broadcast, col(Broadcast.id) == col(Alert.id)).where(~closed.exists())
    return tuple(session.exec(query.order_by(col(Alert.released_at))))


def close_board(session: Session, ctx: Context, board: Board, *, by_itself: bool) -> bool:
    """Close it where the rule allows; False where it was closed before. What nodes say later is shown all the same.

    Raises Refused(board_open).
    """
    if board.closed is not None:
        return False
    allowed = ladder.closes_by_itself if by_itself else ladder.may_be_closed
    if not allowed(board.totals):
        raise Refused("board_open", field="alert", value=board.totals.not_final if by_itself else board.totals.open)
    session.add(
        AlertBoard(
            alert=board.alert.id, closed_at=ctx.now, closed_by=ctx.account, totals=totals_told(board.totals),
            ends={line.facts.node: [line.end, line.reason, line.since] for line in board.lines if line.end is not None},
        )
    )  # fmt: skip
    session.flush()
    note_deed(session, ctx, "close_board", "alert", board.alert.id, detail=_in_short(board.totals))
    return True


def send_again(session: Session, ctx: Context, alert: str, wire: Wire, *, area: str | None = None) -> Changed[int]:
    """What is owed to nodes that were not reached goes out now, by their own topics and by their villages'.

    area: only there. The value is how many nodes that is. Raises Refused(not_found, not_permitted,
    alert_not_released, alert_over).
    """
    row = alert_row(session, ctx, alert, Permission.ALERT_COMPOSE)
    board = board_of(session, ctx, row, wire)
    if board.facts.recalled or board.facts.expires_at <= ctx.now:
        raise Refused("alert_over", field="alert", value=row.title)
    stuck = {
        line.facts.node: line.facts.area
        for line in board.lines
        if line.rung < Rung.RECEIVED and (area is None or AreaPath(area).covers(line.facts.area))
    }
    count = send_at_once(session, alert, stuck, ctx.now)
    note_deed(session, ctx, "send_again", "alert", alert, detail=f"{count} nodes{f' in {area}' if area else ''}")
    if not count:
        return Changed(0)
    owed = session.exec(select(OwedOrder.payload, OwedOrder.node).where(OwedOrder.order == alert)).all()
    areas: dict[bytes, set[str]] = defaultdict(set)
    for payload, node in owed:
        if node in stuck:
            areas[payload].add(stuck[NodeId(node)])
    again = [
        OutOrder(payload, tuple(AreaPath(path) for path in sorted(paths)), (), Precedence.EMERGENCY, alert)
        for payload, paths in sorted(areas.items())
    ]
    return Changed(count, Outgoing(orders=tuple(again)))


def totals_told(totals: Totals) -> dict[str, Any]:
    """As JSON, for events and the tables."""
    return {
        "nodes": totals.nodes, "rungs": totals.rungs, "ends": totals.ends, "open": totals.open,
        "reached": totals.reached, "villages": totals.villages, "villages_unreached": totals.villages_unreached,
        "people": totals.people, "people_reached": totals.people_reached,
    }  # fmt: skip


def _in_short(totals: Totals) -> str:
    ends = ", ".join(f"{count} {end}" for end, count in sorted(totals.ends.items()))
    return f"{totals.reached} of {totals.nodes} nodes reached; {ends}"


# Facts


class _Owed(NamedTuple):
    attempts: int
    sent_at: InstantMs | None


class _Sendings:
    """When a node was first sent something, as far as that was handed to the broker."""

    def __init__(self, routes: Iterable[tuple[str, InstantMs, InstantMs, int]], owed: Mapping[str, _Owed]) -> None:
        self._first = {area: first for area, first, _, _ in routes}
        self._owed = owed

    def of(self, node: str, area: str) -> tuple[InstantMs | None, int]:
        """When first, and how often on its own topic."""
        codes = area.split("/")
        wider = [self._first.get("/".join(codes[: depth + 1])) for depth in range(len(codes))]
        owed = self._owed.get(node, _Owed(0, None))
        instants = [*wider, self._first.get(f"@{node}"), owed.sent_at]
        return min((at for at in instants if at is not None), default=None), owed.attempts


def _owed(session: Session, order: str) -> dict[str, _Owed]:
    rows = session.exec(
        select(OwedOrder.node, OwedOrder.attempts, OwedOrder.sent_at).where(OwedOrder.order == order)
    ).all()
    return {node: _Owed(attempts, None if at is None else InstantMs(at)) for node, attempts, at in rows}


@dataclass
class _Signed:
    """What a node signed about it, apart from its coverage."""

    received_at: InstantMs | None = None
    refused_at: InstantMs | None = None
    refusal: RefusalReason | None = None


def _signed(session: Session, order: str) -> dict[str, _Signed]:
    """RECEIVED and REFUSED receipts. A node that is ready has received; no other receipt is read as one."""
    taken = (int(ReceiptEvent.RECEIVED), int(ReceiptEvent.READY), int(ReceiptEvent.REFUSED))
    rows = session.exec(
        select(ReceiptRow.node, ReceiptRow.event, func.min(ReceiptRow.at), func.max(ReceiptRow.refusal))
        .where(ReceiptRow.subject == order, col(ReceiptRow.event).in_(taken))
        .group_by(ReceiptRow.node, col(ReceiptRow.event))
    ).all()
    found: dict[str, _Signed] = defaultdict(_Signed)
    for node, event, at, refusal in rows:
        one = found[node]
        if event == int(ReceiptEvent.REFUSED):
            one.refused_at = InstantMs(at)
            one.refusal = None if refusal is None else RefusalReason(refusal)
        else:
            one.received_at = InstantMs(min(at, one.received_at or at))
    return found


def _cancelled(session: Session, order: str) -> set[str]:
    """Nodes that signed that they accepted an order to stop it."""
    stops = sa_select(OwedOrder.__table__.c.order).where(  # type: ignore[attr-defined]
        OwedOrder.__table__.c.subject == order,  # type: ignore[attr-defined]
        OwedOrder.__table__.c.action == int(OrderAction.STOP),  # type: ignore[attr-defined]
    )
    rows = session.exec(
        select(ReceiptRow.node)
        .where(col(ReceiptRow.subject).in_(stops.distinct()), ReceiptRow.event == int(ReceiptEvent.RECEIVED))
        .distinct()
    )
    return set(rows)


def _facts(
    session: Session, ctx: Context, order: str, wire: Wire, sendings: _Sendings, *, all_nodes: bool
) -> list[NodeFacts]:
    signed, cancelled = _signed(session, order), _cancelled(session, order)
    interval_s = settings_of(session, ctx).health_interval_s
    joined = outerjoin(
        _LINE.join(_NODE, _NODE.c.id == _LINE.c.node), _STATE, _STATE.c.node == _NODE.c.id
    )  # fmt: skip
    query = sa_select(
        _NODE.c.id, _NODE.c.area, _NODE.c.station, _NODE.c.retired_at, _LINE.c.outcome, _LINE.c.cause,
        _LINE.c.started_at, _LINE.c.finished_at, _LINE.c.sounded_at, _STATE.c.health_at, _STATE.c.last_heard_at,
        _STATE.c.online_hint,
    ).select_from(joined).where(_LINE.c.broadcast == order)  # fmt: skip
    if not all_nodes:
        query = query.where(nodes_seen(ctx, Permission.ALERT_READ))
    found = []
    for row in session.connection().execute(query.order_by(_NODE.c.id)):
        said = signed.get(row.id, _Signed())
        sent_at, attempts = sendings.of(row.id, row.area)
        found.append(
            NodeFacts(
                node=NodeId(row.id), area=row.area, station=row.station, retired=row.retired_at is not None,
                outcome=row.outcome, cause=ReceiptCause(row.cause), sent_at=sent_at, attempts=attempts,
                received_at=said.received_at, refused_at=said.refused_at, refusal=said.refusal,
                refused_for_good=said.refusal is not None and not is_curable(said.refusal),
                started_at=_instant(row.started_at), finished_at=_instant(row.finished_at),
                sounded_at=_instant(row.sounded_at), cancel_received=row.id in cancelled,
                health_at=_instant(row.health_at), heard_at=_instant(_latest(row.last_heard_at, row.health_at)),
                hinted_offline=row.online_hint is not None and not row.online_hint,
                silent=is_silent(row.health_at, ctx.now, interval_s), contested=row.id in wire.contested,
            )
        )  # fmt: skip
    return _with_speakers(session, found)


def _with_speakers(session: Session, facts: Sequence[NodeFacts]) -> list[NodeFacts]:
    """Those that received and did not start: does the speaker sound at all?"""
    stuck = [one.node for one in facts if one.received_at is not None and one.started_at is None][:_LOOKED_INTO]
    if not stuck:
        return list(facts)
    bodies = dict(session.exec(select(NodeState.node, NodeState.health).where(col(NodeState.node).in_(stuck))).all())
    return [replace(one, muted=_is_muted(bodies[one.node])) if one.node in bodies else one for one in facts]


def _is_muted(body: bytes | None) -> bool:
    health = health_in(body)
    return health is not None and health.muted


def _as_closed(line: Line, closed: AlertBoard | None) -> Line:
    """On a closed board a node's end is what was known then, unless it has said more since."""
    kept = None if closed is None else closed.ends.get(line.facts.node)
    if kept is None or line.end in (End.CONFIRMED, End.CANCELLED):
        return line
    end, reason, since = kept
    return replace(
        line, end=End(end), final=True, reason=None if reason is None else Reason(reason),
        since=None if since is None else InstantMs(since),
    )  # fmt: skip


# Places


def _places(
    session: Session, ctx: Context, row: Broadcast, lines: Iterable[Line], facts: AlertFacts, *, all_nodes: bool
) -> tuple[Place, ...]:
    """Where its nodes are, and the villages of its target that have none."""
    by_area: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        by_area[line.facts.area].append(line)
    named = widest(row.target_areas)
    query = select(Area.path, Area.name, Area.population, Area.languages)
    inside = lies_in(Area.path, named) if named else col(Area.path).in_([])
    query = query.where(inside | col(Area.path).in_(sorted(by_area)))
    if not all_nodes:
        query = query.where(areas_seen(ctx))
    places = [
        ladder.place_of(
            path, name, by_area.get(path, []), facts, population=population if path.count("/") == 2 else None,
            languages=languages,
        )
        for path, name, population, languages in session.exec(query)
        if path in by_area or path.count("/") == 2  # of a commune itself only where nodes are placed in it
    ]  # fmt: skip
    return tuple(sorted(places, key=lambda place: place.order))


def _instant(value: int | None) -> InstantMs | None:
    return None if value is None else InstantMs(value)


def _latest(*values: int | None) -> int | None:
    return max((value for value in values if value is not None), default=None)
