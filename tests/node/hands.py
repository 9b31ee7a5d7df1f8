"""A clock that moves when the test moves it."""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count

from loa.clock import Timer
from loa.units import InstantMs


class _Cancel:
    def __init__(self, future: "asyncio.Future[None]") -> None:
        self._future = future

    def cancel(self) -> None:
        self._future.cancel()


class HandClock:
    """Virtual seconds. `advance` lets everything that was due happen, in order, at its own instant."""

    def __init__(self, wall_ms: int) -> None:
        self._wall_ms = wall_ms
        self._now_s = 0.0
        self._number = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now_ms(self) -> InstantMs:
        return InstantMs(self._wall_ms + round(self._now_s * 1000))

    def monotonic_s(self) -> float:
        return self._now_s

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_s + max(0.0, seconds), next(self._number), future))
        await future

    def call_later(self, seconds: float, act: Callable[[], object]) -> Timer:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_s + max(0.0, seconds), next(self._number), future))
        future.add_done_callback(lambda done: None if done.cancelled() else act())
        return _Cancel(future)

    async def advance(self, seconds: float) -> None:
        end = self._now_s + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, future = heapq.heappop(self._sleepers)
            self._now_s = max(self._now_s, due)
            if not future.done():
                future.set_result(None)
                await settle()
        self._now_s = end
        await settle()


async def settle() -> None:
    """Let everything run that can run without time passing."""
    loop = asyncio.get_running_loop()
    while loop._ready:  # type: ignore[attr-defined]  # noqa: ASYNC110 - no event tells that nothing is left to run
        await asyncio.sleep(0)


class BoxClock:
    """A box's own clocks: the wall clock may be wrong and may be set, the monotonic one started some time."""

    def __init__(self, world: HandClock, wall_off_ms: int = 0) -> None:
        self._world = world
        self._began_s = world.monotonic_s() - 100.0
        self.wall_off_ms = wall_off_ms

    def now_ms(self) -> InstantMs:
        return InstantMs(self._world.now_ms() + self.wall_off_ms)

    def monotonic_s(self) -> float:
        return self._world.monotonic_s() - self._began_s

    async def sleep(self, seconds: float) -> None:
        await self._world.sleep(seconds)

    def call_later(self, seconds: float, act: Callable[[], object]) -> Timer:
        return self._world.call_later(seconds, act)
