"""Coverage: of the nodes a broadcast was for, what each has signed receipts for. Nothing is claimed without one."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row
from sqlmodel import Session, col, select

from controller.permissions import Permission
from controller.services.broadcasts import targeted_nodes
from controller.services.context import Context
from controller.services.sight import broadcast_row, nodes_seen
from controller.tables import Broadcast, BroadcastNode, Node
from devices.protocol.reports import Receipt, ReceiptCause, ReceiptEvent
from loa.errors import Refused
from loa.units import InstantMs, NodeId

OUTCOMES = (
    "waiting", "reached", "ready", "not_ready", "refused", "skipped", "started", "sounded", "unconfirmed", "stopped",
    "finished",
)  # fmt: skip
"""From what is known least to what is known last; an outcome never goes back along this list."""
_RANK = {outcome: rank for rank, outcome in enumerate(OUTCOMES)}
_MEANING = {
    ReceiptEvent.RECEIVED: "reached",
    ReceiptEvent.READY: "ready",
    ReceiptEvent.NOT_READY: "not_ready",
    ReceiptEvent.REFUSED: "refused",
    ReceiptEvent.SKIPPED: "skipped",
    ReceiptEvent.STARTED: "started",
    ReceiptEvent.RESUMED: "started",
    ReceiptEvent.INTERRUPTED: "started",
    ReceiptEvent.SOUNDED: "sounded",
    ReceiptEvent.UNCONFIRMED: "unconfirmed",
    ReceiptEvent.STOPPED: "stopped",
    ReceiptEvent.FINISHED: "finished",
}


@dataclass(frozen=True)
class NodeCoverage:
    """What one node has receipts for. Instants are the node's own."""

    node: NodeId
    outcome: str = "waiting"
    cause: ReceiptCause = ReceiptCause.NONE
    reached_at: InstantMs | None = None
    ready_at: InstantMs | None = None
    started_at: InstantMs | None = None
    finished_at: InstantMs | None = None
    sounded_at: InstantMs | None = None
    late_ms: int | None = None
    """First sample minus ordered start, by the node's estimate of our clock."""


@dataclass(frozen=True)
class Coverage:
    """Counts over the nodes a broadcast was for, and each node's own line."""

    broadcast: str
    nodes: tuple[NodeCoverage, ...]
    reached: int
    ready: int
    started: int
    finished: int
    sounded: int
    unconfirmed: int
    skipped: int
    stopped: int
    refused: int
    not_ready: int
    waiting: int

    @property
    def total(self) -> int:
        return len(self.nodes)

    def which(self, outcome: str) -> tuple[NodeId, ...]:
        """The nodes whose outcome is this one."""
        return tuple(one.node for one in self.nodes if one.outcome == outcome)


def advance(held: NodeCoverage, receipt: Receipt) -> NodeCoverage:
    """What is known after one more receipt. The same for any order of receipts and any number of repeats."""
    outcome = _MEANING.get(receipt.event)
    if outcome is None:
        return held
    at, event = receipt.at, receipt.event
    known = max((_RANK[held.outcome], int(held.cause)), (_RANK[outcome], int(receipt.cause)))
    started_at, late_ms = held.started_at, held.late_ms
    if event is ReceiptEvent.STARTED:
        late = receipt.late_ms
        if started_at is None or (at, _late_key(late)) < (started_at, _late_key(late_ms)):
            started_at, late_ms = at, late
    return replace(
        held,
        outcome=OUTCOMES[known[0]],
        cause=ReceiptCause(known[1]),
        reached_at=_first(held.reached_at, at),
        ready_at=_first(held.ready_at, at) if event is ReceiptEvent.READY else held.ready_at,
        started_at=started_at,
        finished_at=_first(held.finished_at, at) if event is ReceiptEvent.FINISHED else held.finished_at,
        sounded_at=_first(held.sounded_at, at) if event is ReceiptEvent.SOUNDED else held.sounded_at,
        late_ms=late_ms,
    )


def coverage_of(broadcast: str, nodes: Iterable[NodeCoverage]) -> Coverage:
    """Count. Who finished has started, and who started was reached, even where that receipt is still on its way."""
    lines = tuple(sorted(nodes, key=lambda one: one.node))
    outcomes = Counter(one.outcome for one in lines)
    began = [one for one in lines if one.started_at or one.finished_at or one.sounded_at]
    return Coverage(
        broadcast,
        lines,
        reached=sum(one.reached_at is not None for one in lines),
        ready=sum(one.ready_at is not None for one in lines),
        started=len(began),
        finished=sum(one.finished_at is not None for one in lines),
        sounded=sum(one.sounded_at is not None for one in lines),
        unconfirmed=outcomes["unconfirmed"],
        skipped=outcomes["skipped"],
        stopped=outcomes["stopped"],
        refused=outcomes["refused"],
        not_ready=outcomes["not_ready"],
        waiting=outcomes["waiting"],
    )


def coverage(session: Session, id: str) -> Coverage:  # noqa: A002
    """The coverage of a broadcast. Nodes meant by it that said nothing yet are waiting. Raises Refused(not_found)."""
    row = session.get(Broadcast, id)
    if row is None:
        raise Refused("not_found", field="broadcast", value=id[:64])
    lines = {
        one.node: one for one in map(read, session.exec(select(BroadcastNode).where(BroadcastNode.broadcast == id)))
    }
    if row.status == "planned":
        for node in targeted_nodes(session, row):
            lines.setdefault(node, NodeCoverage(node))
    return coverage_of(id, lines.values())


def coverage_seen(session: Session, ctx: Context, id: str) -> Coverage:  # noqa: A002
    """As `coverage`, of the nodes that whoever acts sees. Raises Refused(not_found)."""
    broadcast_row(session, ctx, id)
    whole = coverage(session, id)
    seen = set(session.exec(select(Node.id).where(nodes_seen(ctx, Permission.BROADCAST_READ))))
    return coverage_of(id, (one for one in whole.nodes if one.node in seen))


def coverages(session: Session, ids: Iterable[str]) -> tuple[Coverage, ...]:
    """Coverage of several broadcasts, of the nodes that are expected or said something; one query."""
    wanted = list(ids)
    lines: dict[str, list[NodeCoverage]] = {name: [] for name in wanted}
    for row in session.exec(select(BroadcastNode).where(col(BroadcastNode.broadcast).in_(wanted))):
        lines[row.broadcast].append(read(row))
    return tuple(coverage_of(name, nodes) for name, nodes in lines.items())


def read(row: "BroadcastNode | Row[Any]") -> NodeCoverage:
    """The value of a row, however it was read."""
    return NodeCoverage(
        NodeId(row.node), row.outcome, ReceiptCause(row.cause), _instant(row.reached_at), _instant(row.ready_at),
        _instant(row.started_at), _instant(row.finished_at), _instant(row.sounded_at), row.late_ms,
    )  # fmt: skip


def _first(held: InstantMs | None, at: InstantMs) -> InstantMs:
    return at if held is None else min(held, at)


def _late_key(late_ms: int | None) -> tuple[bool, int]:
    return late_ms is None, late_ms or 0


def _instant(value: int | None) -> InstantMs | None:
    return None if value is None else InstantMs(value)
