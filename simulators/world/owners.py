"""Who runs what on the one loop: so that a process can be killed there, at any await, without a last word."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

from simulators.world.boxes import PowerCut

T = TypeVar("T")
_owner: ContextVar["Process | None"] = ContextVar("loa_world_process", default=None)


class Process:
    """One incarnation of a node or a controller: all tasks begun in its name, however deep."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.faults: list[BaseException] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work`, and whatever it starts, in this process's name."""
        context = copy_context()
        context.run(_owner.set, self)
        return await asyncio.get_running_loop().create_task(work, context=context)

    def kill(self) -> None:
        """No task of this process does anything any more."""
        self.alive = False
        for task in list(self._tasks):
            task.cancel()
        self._tasks.clear()

    def adopt(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and self.alive:
            self.faults.append(error)


def unless_killed(act: Callable[[], object]) -> Callable[[], object]:
    """`act`, as long as the process in whose name this is asked for lives."""
    process = _owner.get()
    if process is None:
        return act

    def acted() -> object:
        return act() if process.alive else None

    return acted


def task_factory(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T], **options: Any
) -> "asyncio.Task[T]":
    """For `loop.set_task_factory`: every task belongs to the process in whose name it was begun."""
    task = asyncio.Task(coroutine, loop=loop, **options)
    context = options.get("context")
    process = _owner.get() if context is None else context.get(_owner)
    if process is not None:
        process.adopt(task)
        if not process.alive:
            task.cancel()
    return task


def exception_handler(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A power cut is not an error; anything else outside a task is."""
    error = context.get("exception")
    if isinstance(error, PowerCut):
        return
    process = _owner.get()
    if process is not None:
        if process.alive and error is not None:
            process.faults.append(error)
        return
    loop.default_exception_handler(context)
