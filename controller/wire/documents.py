"""State documents: retained by the broker, published again whenever its memory may be gone, pursued node by node."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlmodel import Session, select

from controller.services.context import OutDocument
from controller.tables import StateDocument
from controller.wire.common import WireContext
from controller.wire.registry import Enrolled
from devices.protocol.reports import Health
from devices.protocol.topics import AreaChannel, area_topic
from loa.names import AreaPath

Key = tuple[AreaPath, AreaChannel]
AGAIN_AFTER_S = 20.0
"""A node that still lags is not sent the same document again before this."""


@dataclass(frozen=True, slots=True)
class Newest:
    """A document as it was last signed."""

    version: int
    payload: bytes


class DocumentDesk:
    """What every area's nodes should hold, kept in memory beside the tables."""

    def __init__(self, wire: WireContext) -> None:
        self._wire = wire
        self._newest: dict[Key, Newest] = {}
        self._sent_at: dict[str, dict[tuple[AreaPath | None, AreaChannel | None], float]] = {}
        """By node, so that thousands that come back at once are each forgotten at once."""

    async def load(self) -> None:
        """Read what the tables hold."""
        self._newest = await self._wire.db.reading(_all_documents)

    async def publish(self, documents: tuple[OutDocument, ...]) -> None:
        """Publish new documents and remember them as the newest."""
        keys = [(document.area, document.channel) for document in documents]
        self._newest |= await self._wire.db.reading(lambda session: _these_documents(session, keys))
        for document in documents:
            await self._wire.link.drained()
            self._publish(document.area, document.channel, document.payload)

    async def publish_all(self) -> None:
        """The broker was away or has lost its memory. The province's trust goes first: all else rests on it."""
        await self.load()
        for (area, channel), newest in sorted(
            self._newest.items(), key=lambda item: (item[0][1] is not AreaChannel.TRUST, item[0][0])
        ):
            self._publish(area, channel, newest.payload)
            await self._wire.link.drained()

    def _publish(self, area: AreaPath, channel: AreaChannel, payload: bytes) -> None:
        self._wire.link.publish(area_topic(area, channel), payload, qos=1, retain=True)
        self._wire.counters.documents_sent += 1

    def lagging(self, node: Enrolled, health: Health) -> bool:
        """Whether the node says that it holds less than it should."""
        return health.placement_version < node.placement_version or bool(self._missing(node, health))

    def bring_up(self, node: Enrolled, health: Health) -> None:
        """Send a lagging node what it lacks, on its own topic: trust first, then its place, then the rest."""
        missing = self._missing(node, health)
        if AreaChannel.TRUST in (channel for _, channel, _ in missing):
            missing.sort(key=lambda item: item[1] is not AreaChannel.TRUST)
            area, channel, newest = missing.pop(0)
            self._send(node.id, area, channel, newest.payload)
        if health.placement_version < node.placement_version:
            self._send(node.id, None, None, node.placement)
        for area, channel, newest in missing:
            self._send(node.id, area, channel, newest.payload)

    def _send(self, node: str, area: AreaPath | None, channel: AreaChannel | None, payload: bytes) -> None:
        now = self._wire.clock.monotonic_s()
        sent_at = self._sent_at.setdefault(node, {})
        if now - sent_at.get((area, channel), -AGAIN_AFTER_S) < AGAIN_AFTER_S:
            return
        if self._wire.to_node(node, payload):
            sent_at[area, channel] = now
            self._wire.counters.documents_sent += 1

    def forget(self, node: str) -> None:
        """A node began anew: what it was sent before may not have arrived."""
        self._sent_at.pop(node, None)

    def _missing(self, node: Enrolled, health: Health) -> list[tuple[AreaPath, AreaChannel, Newest]]:
        held: dict[tuple[str, AreaChannel], int] = {}
        for one in health.settings:
            held[one.area, AreaChannel.SETTINGS] = one.version
        for one in health.timetables:
            held[one.area, AreaChannel.TIMETABLE] = one.version
        found = []
        for area in node.area.with_ancestors():
            for channel in (AreaChannel.TRUST, AreaChannel.SETTINGS, AreaChannel.TIMETABLE):
                newest = self._newest.get((area, channel))
                if newest is None:
                    continue
                version = health.trust_version if channel is AreaChannel.TRUST else held.get((area, channel), 0)
                if version < newest.version:
                    found.append((area, channel, newest))
        return found


def _all_documents(session: Session) -> dict[Key, Newest]:
    return _newest(session.exec(select(StateDocument)))


def _these_documents(session: Session, keys: Iterable[Key]) -> dict[Key, Newest]:
    rows = (session.get(StateDocument, (str(area), str(channel))) for area, channel in keys)
    return _newest(row for row in rows if row is not None)


def _newest(rows: Iterable[StateDocument]) -> dict[Key, Newest]:
    return {(AreaPath(row.area), AreaChannel(row.channel)): Newest(row.version, row.payload) for row in rows}
