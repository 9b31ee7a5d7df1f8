"""Time is injected: nothing outside this module asks the machine for it."""

import asyncio
import time
from typing import Protocol

from loa.units import InstantMs


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


class SystemClock:
    """The machine's own clocks."""

    def now_ms(self) -> InstantMs:
        return InstantMs(time.time_ns() // 1_000_000)

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


async def wait_until(clock: Clock, instant: InstantMs) -> None:
    """Wait until the wall clock shows `instant`, looking again after at most 30 s so that a jump is noticed."""
    while (remaining_ms := instant - clock.now_ms()) > 0:
        await clock.sleep(min(30.0, remaining_ms / 1000))
