"""The clock that wakes us: APScheduler holding exactly one job, the next due instant of our own tables."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger

from loa.units import InstantMs
from scheduler.rules.recurrence import VIETNAM

_JOB = "due"


class DueClock:
    """Calls `on_due` at the next due instant, once; then it waits to be told of another.

    What is due lies in our tables, never here: a clock that is lost is set again from them. An instant already past is
    due at once, however long ago it was. Lives on the running event loop; it follows the machine's own clock.
    """

    def __init__(self, on_due: Callable[[], Awaitable[None] | None], *, zone: str = VIETNAM) -> None:
        self._on_due = on_due
        self._scheduler = AsyncIOScheduler(
            jobstores={"default": MemoryJobStore()},
            timezone=ZoneInfo(zone),
            # Never too late: without this a job a second late is dropped with a line in the log.
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        self._next: InstantMs | None = None

    @property
    def next_at(self) -> InstantMs | None:
        """The instant that it waits for."""
        return self._next

    def start(self) -> None:
        """Begin, on the running event loop."""
        self._scheduler.start()

    def stop(self) -> None:
        """Forget the job and end."""
        self._next = None
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def set_next(self, instant_ms: InstantMs | None) -> None:
        """Wake at this instant instead of any set before; None: do not wake."""
        self._next = instant_ms
        if instant_ms is None:
            if self._scheduler.get_job(_JOB) is not None:
                self._scheduler.remove_job(_JOB)
            return
        at = datetime.fromtimestamp(instant_ms / 1000, UTC)
        self._scheduler.add_job(self._wake, DateTrigger(at), id=_JOB, replace_existing=True)

    async def _wake(self) -> None:
        self._next = None
        waiting = self._on_due()
        if waiting is not None:
            await waiting
