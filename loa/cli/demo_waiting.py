"""Waiting for what the demo's province does."""

from collections.abc import Awaitable, Callable

from loa.clock import Clock

LOOK_S = 0.1


async def until(
    clock: Clock, holds: Callable[[], Awaitable[bool]], within_s: float, *, every_s: float = LOOK_S
) -> bool:
    """Look again and again until it holds; False where it does not within that time."""
    deadline = clock.monotonic_s() + within_s
    while True:
        if await holds():
            return True
        if clock.monotonic_s() >= deadline:
            return False
        await clock.sleep(every_s)
