"""Waiting for what will be."""

from collections.abc import Awaitable, Callable

from loa.clock import SystemClock

CLOCK = SystemClock()


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]], *, within_s: float = 15.0, every_s: float = 0.02
) -> None:
    """Wait until the condition holds; fails after `within_s`."""
    end = CLOCK.monotonic_s() + within_s
    while True:
        value = condition()
        if isinstance(value, Awaitable):
            value = await value
        if value:
            return
        if CLOCK.monotonic_s() > end:
            raise AssertionError(f"not within {within_s} s")
        await CLOCK.sleep(every_s)
