"""What changed, told to whoever listens in this process. A slow listener is told to look again, never waited for."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

EventKind = Literal[
    "node", "broadcast", "bulletin", "programme", "coverage", "air", "alert", "board", "sole_release", "direct_release",
    "cap", "cap_source", "resync",
]  # fmt: skip
QUEUE_LENGTH = 256


@dataclass(frozen=True)
class Change:
    """Something changed. `kind` resync: changes were missed, read everything anew."""

    kind: EventKind
    id: str = ""
    """Of the node, broadcast, bulletin …"""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Values that can be written as JSON."""


class Subscription:
    """One listener's bounded queue."""

    def __init__(self, length: int = QUEUE_LENGTH) -> None:
        self._waiting: asyncio.Queue[Change] = asyncio.Queue(length)

    def offer(self, change: Change) -> None:
        """Queue a change; where there is no room, everything queued becomes one resync."""
        try:
            self._waiting.put_nowait(change)
        except asyncio.QueueFull:
            while not self._waiting.empty():
                self._waiting.get_nowait()
            self._waiting.put_nowait(Change("resync"))

    async def next(self) -> Change:
        """The next change, waiting for it."""
        return await self._waiting.get()

    async def __aiter__(self) -> AsyncIterator[Change]:
        while True:
            yield await self._waiting.get()


class Events:
    """Publish and subscribe within one process; all calls on the event loop."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()

    def publish(self, kind: EventKind, id: str = "", **data: Any) -> None:  # noqa: A002
        """Tell every listener; never waits."""
        change = Change(kind, id, data)
        for subscription in self._subscriptions:
            subscription.offer(change)

    @contextmanager
    def subscribed(self, length: int = QUEUE_LENGTH) -> Iterator[Subscription]:
        """A subscription for as long as the block runs."""
        subscription = Subscription(length)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    @property
    def listeners(self) -> int:
        return len(self._subscriptions)
