"""Whether a node's health is news. A captured report, played back, must not make a dead node look alive."""

from collections.abc import Iterable

from sqlmodel import Session, col, select

from controller.services.health import health_in
from controller.store import Database
from controller.tables import Node, NodeState
from controller.wire.reports import Believed
from devices.protocol.reports import Health


def is_news(held: Health | None, health: Health) -> bool:
    """Whether `health` was said after what is held.

    Within a session the node's uptime only rises; a later session has a higher number, but for a box whose storage
    was wiped: that one is known by the clock.
    """
    if held is None:
        return True
    if health.session == held.session:
        return health != held and health.uptime_s >= held.uptime_s
    return health.session > held.session or health.at > held.at


class Freshness:
    """The newest health of every node; taken up from the tables when the controller starts."""

    def __init__(self) -> None:
        self._newest: dict[str, Health] = {}

    async def load(self, db: Database) -> None:
        self._newest = await db.reading(_held)

    def split(self, believed: Iterable[Believed]) -> tuple[list[Believed], list[Believed]]:
        """What is news or no health at all; and what is old. Nothing is remembered before `took`."""
        fresh: list[Believed] = []
        old: list[Believed] = []
        newest: dict[str, Health] = {}
        for one in believed:
            report = one.report
            if isinstance(report, Health):
                if not is_news(newest.get(report.node, self._newest.get(report.node)), report):
                    old.append(one)
                    continue
                newest[report.node] = report
            fresh.append(one)
        return fresh, old

    def took(self, health: Health) -> None:
        """It is in the tables."""
        self._newest[health.node] = health


def _held(session: Session) -> dict[str, Health]:
    found: dict[str, Health] = {}
    query = select(NodeState.node, NodeState.health).join(Node, col(Node.id) == col(NodeState.node))
    for node, payload in session.exec(query.where(col(Node.retired_at).is_(None))):
        health = health_in(payload)
        if health is not None:
            found[node] = health
    return found
