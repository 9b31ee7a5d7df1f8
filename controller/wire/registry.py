"""Whom we believe: the enrolled nodes' public keys and places, kept in memory so that nothing waits for the tables."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlmodel import Session, col, select

from controller.store import Database
from controller.tables import Node
from loa.clock import Clock
from loa.names import AreaPath

_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What the wire needs to know of a node."""

    id: str
    area: AreaPath
    public_key: bytes
    placement_version: int
    placement: bytes


class NodeRegistry:
    """Refreshed whenever a node was enrolled, placed or retired, and when a stranger speaks (at most once a second)."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db, self._clock = db, clock
        self._nodes: dict[str, Enrolled] = {}
        self._read_at = 0.0

    async def refresh(self) -> None:
        self._nodes = await self._db.reading(_all_nodes)
        self._read_at = self._clock.monotonic_s()

    async def refresh_some(self, names: Collection[str]) -> None:
        """These nodes were enrolled, placed or retired."""
        fresh = await self._db.reading(lambda session: _nodes_in(session, names))
        for name in names:
            self._nodes.pop(name, None)
        self._nodes |= fresh

    async def find(self, node: str) -> Enrolled | None:
        """The node, looked up in the tables where it is not known here."""
        found = self._nodes.get(node)
        if found is None and self._clock.monotonic_s() - self._read_at >= _AGAIN_S:
            self._read_at = self._clock.monotonic_s()  # before the wait: a thousand strangers at once are one look
            await self.refresh()
            found = self._nodes.get(node)
        return found

    def known(self, node: str) -> Enrolled | None:
        return self._nodes.get(node)

    def all(self) -> list[Enrolled]:
        return list(self._nodes.values())


def _all_nodes(session: Session) -> dict[str, Enrolled]:
    return _enrolled(session.exec(select(Node).where(col(Node.retired_at).is_(None))))


def _nodes_in(session: Session, names: Collection[str]) -> dict[str, Enrolled]:
    return _enrolled(session.exec(select(Node).where(col(Node.retired_at).is_(None), col(Node.id).in_(sorted(names)))))


def _enrolled(rows: Iterable[Node]) -> dict[str, Enrolled]:
    return {
        row.id: Enrolled(row.id, AreaPath(row.area), row.public_key, row.placement_version, row.placement)
        for row in rows
    }
