"""A listener that remembers, and waiting for a condition."""

import asyncio
from collections.abc import Callable

from devices.links.port import Delivery


class Recorder:
    """A LinkListener that writes down what it is told."""

    def __init__(self) -> None:
        self.ups = 0
        self.downs: list[str] = []
        self.deliveries: list[Delivery] = []
        self.at: list[float] = []

    def link_up(self) -> None:
        self.ups += 1

    def link_down(self, reason: str) -> None:
        self.downs.append(reason)

    def delivered(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        self.at.append(asyncio.get_running_loop().time())

    def payloads(self, topic: str | None = None) -> list[bytes]:
        return [d.payload for d in self.deliveries if topic is None or d.topic == topic]


async def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait for a condition; fails with its name after `timeout_s`."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - any condition, not one event
            await asyncio.sleep(0.005)
