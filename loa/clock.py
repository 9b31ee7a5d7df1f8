"""Time is injected: nothing outside this module asks the machine for it."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from loa.units import InstantMs


class Timer(Protocol):
    """Something that is to happen later."""

    def cancel(self) -> None:
        """It does not happen; no more than that where it has happened already."""
        ...


class Clock(Protocol):
    """A wall clock, a monotonic clock and a way to wait. The wall clock may be wrong and may jump."""

    def now_ms(self) -> InstantMs:
        """The wall clock's instant, UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds from an unknown start; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait this long by the monotonic clock."""
        ...

    def call_later(self, seconds: float, act: Callable[[], object]) -> Timer:
        """Have the running loop call `act` after this long by the monotonic clock."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now_ms(self) -> InstantMs:
        return InstantMs(time.time_ns() // 1_000_000)

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))

    def call_later(self, seconds: float, act: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_later(max(0.0, seconds), act)


async def wait_until(clock: Clock, instant: InstantMs) -> None:
    """Wait until the wall clock shows `instant`, looking again after at most 30 s so that a jump is noticed."""
    while (remaining_ms := instant - clock.now_ms()) > 0:
        await clock.sleep(min(30.0, remaining_ms / 1000))


async def rung(bell: asyncio.Event, clock: Clock, seconds: float) -> bool:
    """Wait for the event, at most this long by the clock. Whether it is set.

    Without a task of its own for either, since a station and a centre wait this way all day.
    """
    if bell.is_set():
        return True
    loop = asyncio.get_running_loop()
    limit = asyncio.timeout(None)
    timer = clock.call_later(seconds, lambda: limit.reschedule(loop.time()))
    try:
        async with limit:
            await bell.wait()
    except TimeoutError:
        return bell.is_set()
    finally:
        timer.cancel()
    return True
