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


class StoppedClock:
    """One instant, for what is done as of then. Nothing can be waited for by it."""

    def __init__(self, at: InstantMs) -> None:
        self._at = at

    def now_ms(self) -> InstantMs:
        return self._at

    def monotonic_s(self) -> float:
        return self._at / 1000

    async def sleep(self, seconds: float) -> None:
        raise RuntimeError(f"a stopped clock never shows {seconds} s more")

    def call_later(self, seconds: float, act: Callable[[], object]) -> Timer:
        raise RuntimeError(f"a stopped clock never shows {seconds} s more, for {act}")


async def wait_until(clock: Clock, instant: InstantMs) -> None:
    """Wait until the wall clock shows `instant`, looking again after at most 30 s so that a jump is noticed."""
    while (remaining_ms := instant - clock.now_ms()) > 0:
        await clock.sleep(min(30.0, remaining_ms / 1000))


class Bell(asyncio.Event):
    """An event that is waited for with a limit, by one or many, without a task or a time-out for it."""

    def __init__(self) -> None:
        super().__init__()
        self._listening: dict[asyncio.Future[bool], None] = {}

    def set(self) -> None:
        super().set()
        for ear in self._listening:
            if not ear.done():
                ear.set_result(True)

    async def rings_within(self, clock: Clock, seconds: float) -> bool:
        """Wait for the event, at most this long by the clock. Whether it was set."""
        if self.is_set():
            return True
        ear: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._listening[ear] = None
        timer = clock.call_later(seconds, lambda: None if ear.done() else ear.set_result(False))
        try:
            return await ear or self.is_set()
        finally:
            timer.cancel()
            del self._listening[ear]
