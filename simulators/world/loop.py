"""An event loop over virtual time: when nothing is left to do now, the clock moves to what is due next.

It is asyncio's own base loop with another way of waiting, so what runs on it is the real code, and two runs from one
seed do the same things in the same order.
"""

import asyncio
import gc
from asyncio import base_events, events
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from loa.units import InstantMs
from simulators.world.owners import unless_killed

T = TypeVar("T")


class NothingLeft(RuntimeError):
    """Everybody waits for something that nobody will do: a deadlock in virtual time."""


class _Waiting:
    """Stands where a selector would: waiting takes no time, it moves the clock."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        self._loop.pass_time(timeout)
        return []


class VirtualLoop(base_events.BaseEventLoop):
    """Single-threaded; executors run inline, and sockets do not exist."""

    def __init__(self, starts_at_s: float = 0.0) -> None:
        super().__init__()
        self._now_s = starts_at_s
        self._selector = _Waiting(self)
        self._clock_resolution = 1e-6  # a finer one would vanish in the float after some months
        self.turns = 0

    def time(self) -> float:
        return self._now_s

    def pass_time(self, timeout: float | None) -> None:
        """Move to the next thing that is due. Raises NothingLeft where there is none."""
        self.turns += 1
        if timeout == 0:
            return
        scheduled: list[asyncio.TimerHandle] = getattr(self, "_scheduled", [])
        if not scheduled:
            raise NothingLeft("nothing is due, and nobody will ever wake the others")
        self._now_s = max(self._now_s, scheduled[0].when())

    def _process_events(self, event_list: list[Any]) -> None:
        """There are no sockets whose events could come."""

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector, so nobody needs waking."""

    def run_in_executor(  # type: ignore[override]
        self,
        executor: object,  # noqa: ARG002 - there are no threads here
        func: Callable[..., T],
        *args: Any,
    ) -> asyncio.Future[T]:
        """Run it here and now: the virtual world has no threads."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever awaits
            future.set_exception(error)
        return future


def run_virtually(main: Coroutine[Any, Any, T], *, loop: VirtualLoop | None = None) -> T:
    """Run `main` to its end in virtual time, then cancel what it left behind."""
    loop = loop or VirtualLoop()
    before = events._get_running_loop()
    if before is not None:
        raise RuntimeError("a virtual world cannot run inside another loop")
    asyncio.set_event_loop(loop)
    thresholds = gc.get_threshold()
    gc.set_threshold(200_000, 20, 100)  # a world is many small objects that stay, and looking them over takes its time
    try:
        return loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        loop.close()
        gc.set_threshold(*thresholds)


class VirtualClock:
    """The true clock of a virtual world: the wall clock begins at a given instant and runs with the loop."""

    def __init__(self, loop: VirtualLoop, starts_at: InstantMs) -> None:
        self._loop = loop
        self._starts_at = starts_at
        self._began_s = loop.time()

    def now_ms(self) -> InstantMs:
        return InstantMs(self._starts_at + round((self._loop.time() - self._began_s) * 1000))

    def monotonic_s(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        # The loop fires what is due within its resolution without moving on; a real clock always moves on.
        await asyncio.sleep(max(2e-6, seconds) if seconds > 0 else 0.0)  # noqa: TID251 - this is the virtual world's way to wait

    def call_later(self, seconds: float, act: Callable[[], object]) -> asyncio.TimerHandle:
        """What a process left to be done later is not done once it was killed."""
        return self._loop.call_later(max(2e-6, seconds), unless_killed(act))
