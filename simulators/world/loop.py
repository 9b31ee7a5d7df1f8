"""An event loop over virtual time: when nothing is left to do now, the clock moves to what is due next.

It is asyncio's own base loop with another way of waiting, so what runs on it is the real code, and two runs from one
seed do the same things in the same order.
"""

import asyncio
import gc
from asyncio import base_events, events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from heapq import heapify, heappop, heappush
from typing import Any, TypeVar, TypeVarTuple

from loa.units import InstantMs
from simulators.world.owners import unless_killed

T = TypeVar("T")
_Ts = TypeVarTuple("_Ts")
_MANY_CANCELLED = 100


class NothingLeft(RuntimeError):
    """Everybody waits for something that nobody will do: a deadlock in virtual time."""


class _Timer(asyncio.TimerHandle):
    """A timer made in one step: a world makes millions."""

    __slots__ = ()

    def __init__(
        self, when: float, callback: Callable[..., object], args: tuple[Any, ...], loop: "VirtualLoop", context: Context
    ) -> None:
        self._when, self._callback, self._args, self._loop, self._context = when, callback, args, loop, context
        self._cancelled = False
        self._scheduled = True
        self._repr = self._source_traceback = None

    def cancel(self) -> None:
        if not self._cancelled:
            self._cancelled = True
            self._callback = self._args = None  # type: ignore[assignment] # as asyncio's own does
            if self._scheduled:
                self._loop._timer_handle_cancelled(self)


class _Soon(asyncio.Handle):
    """What is done in the next turn, made in one step."""

    __slots__ = ()

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], loop: "VirtualLoop", context: Context
    ) -> None:
        self._callback, self._args, self._loop, self._context = callback, args, loop, context
        self._cancelled = False
        self._repr = self._source_traceback = None


class VirtualLoop(base_events.BaseEventLoop):
    """Single-threaded; executors run inline, and sockets do not exist.

    What is due later lies in a heap of (instant, number, timer): compared without a call, and equal instants in the
    order in which they were asked for.
    """

    _ready: deque[_Soon | _Timer]
    _stopping: bool

    def __init__(self, starts_at_s: float = 0.0) -> None:
        super().__init__()
        self._now_s = starts_at_s
        self._resolution_s = 1e-6  # a finer one would vanish in the float after some months
        self._later: list[tuple[float, int, _Timer]] = []
        self._asked = 0
        self._cancelled_timers = 0
        self.turns = 0

    def time(self) -> float:
        return self._now_s

    def call_soon(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = _Soon(callback, args, self, copy_context() if context is None else context)
        self._ready.append(handle)
        return handle

    def call_at(
        self, when: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = _Timer(when, callback, args, self, copy_context() if context is None else context)
        self._asked += 1
        heappush(self._later, (when, self._asked, timer))
        return timer

    def call_later(
        self, delay: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Those that were cancelled lie there until their instant, or until they are too many."""
        del handle
        self._cancelled_timers += 1
        if self._cancelled_timers > _MANY_CANCELLED and 2 * self._cancelled_timers > len(self._later):
            self._later = [entry for entry in self._later if not entry[2]._cancelled]
            heapify(self._later)
            self._cancelled_timers = 0

    def _run_once(self) -> None:
        """Move the clock to what is due next if nothing is due now, and do all that is due. Raises NothingLeft."""
        self.turns += 1
        ready, later = self._ready, self._later
        while later and later[0][2]._cancelled:
            heappop(later)
            self._cancelled_timers -= 1
        if not ready and not self._stopping:
            if not later:
                raise NothingLeft("nothing is due, and nobody will ever wake the others")
            self._now_s = max(self._now_s, later[0][0])
        ends_s = self._now_s + self._resolution_s
        while later and later[0][0] < ends_s:
            timer = heappop(later)[2]
            timer._scheduled = False
            if timer._cancelled:
                self._cancelled_timers -= 1
            else:
                ready.append(timer)
        for _ in range(len(ready)):  # what these ask for is done in the next turn
            handle = ready.popleft()
            if handle._cancelled:
                continue
            try:
                handle._context.run(handle._callback, *handle._args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001 - as asyncio does
                message = f"Exception in callback {handle!r}"
                self.call_exception_handler({"message": message, "exception": error, "handle": handle})

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
