"""The tasks of a node: none is forgotten, and one that fails is heard of."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

from loa.clock import Clock, Timer

_P = ParamSpec("_P")


class Crew:
    """Runs tasks and reports the first that fails: a node that is broken must be silent and start anew, not limp on."""

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed = failed
        self._last_acts: list[Callable[[], None]] = []

    def at_the_end(self, act: Callable[[], None]) -> None:
        """To be done when all are dismissed."""
        self._last_acts.append(act)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._failed(error)

    def guarded(self, act: Callable[_P, None]) -> Callable[_P, None]:
        """For what others call, a link or a speaker: a mistake of ours is heard of here, and does not break them."""

        def guard(*args: _P.args, **kwargs: _P.kwargs) -> None:
            try:
                act(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - whatever it is, the node falls silent and is started anew
                self._failed(error)

        return guard

    def soon(self, act: Callable[[], None]) -> None:
        """Do it in the loop's next turn: after what waits for a sound now, at any node of this process."""
        asyncio.get_running_loop().call_soon(self.guarded(act))

    async def dismiss(self) -> None:
        """Cancel all and wait for them."""
        for act in self._last_acts:
            act()
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Alarm:
    """Rings once at a monotonic instant; setting it again moves it."""

    def __init__(self, clock: Clock, crew: Crew, ring: Callable[[], None]) -> None:
        self._clock = clock
        self._ring = crew.guarded(ring)
        self._timer: Timer | None = None
        self._at: float | None = None
        crew.at_the_end(lambda: self.set(None))

    def set(self, at_s: float | None) -> None:
        """None: do not ring."""
        if at_s == self._at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._at = at_s
        self._timer = None if at_s is None else self._clock.call_later(at_s - self._clock.monotonic_s(), self._rings)

    def _rings(self) -> None:
        self._timer = self._at = None
        self._ring()
