"""The way to the tables: one unit of work at a time, committed or as if it never was.

Inline in the virtual world. In the real one SQLite has one writer thread (WAL, so readers do not wait for it) and
PostgreSQL a few, each unit of work serializable and tried again where it collided with another. Behind a foreign lock
nobody waits in such a thread for long: each has a patience of its own, so that one who can do without the tables soon
knows, whoever else waits longer.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from importlib.resources import files
from typing import Any, Protocol, TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool, StaticPool
from sqlmodel import Session

import controller.tables  # noqa: F401  registers the tables
from loa.clock import SystemClock
from loa.errors import Fault, LoaError, OperatorNeeded

T = TypeVar("T")
_TRIES = 12
_ATTEMPT_MS = 100
"""How long one attempt waits in a writer's thread for another process to let go."""
_BETWEEN_S = 0.05
_BUSY = "database_busy"
PATIENCE_S = 0.25
"""Of those who can go on without the tables, and do it the better the sooner they know."""
_COLLIDED = frozenset({"40001", "40P01"})
_UNREACHABLE = ("08", "57P")


class Unwritten(Protocol):
    """What was done, and acknowledged, while the tables could not be written: it comes before all else."""

    @property
    def waits(self) -> bool:
        """Whether there is any."""
        ...

    def write(self, session: Session) -> Callable[[], None]:
        """Write all of it; what is given back is called once that is committed."""
        ...


class Database:
    """The tables at an SQLAlchemy URL.

    inline: work is done on the calling thread, as the virtual world needs. busy_ms: how long a unit of work waits for
    another process to let go of the tables before OperatorNeeded(database_busy); its wait for its turn counts.
    """

    def __init__(self, url: str, *, inline: bool = False, busy_ms: int = 5000) -> None:
        self._busy_ms = busy_ms
        self._may_wait = threading.local()
        self.trouble: str | None = None
        """Code of what kept the last unit of work from the tables; None where it went well."""
        self.unwritten: Unwritten | None = None
        """Written by the next unit of work, whichever it is, before its own: it finds the tables as they should be."""
        self._writes_unwritten = threading.Lock()
        parsed = make_url(url)
        if parsed.drivername in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        self._sqlite = parsed.get_backend_name() == "sqlite"
        in_memory = self._sqlite and parsed.database in (None, "", ":memory:")
        options: dict[str, Any] = {}
        if self._sqlite:
            options["connect_args"] = {"timeout": busy_ms / 1000, "check_same_thread": False}
            if in_memory:
                options["poolclass"] = StaticPool
        else:
            options |= {"isolation_level": "SERIALIZABLE", "pool_pre_ping": True, "pool_size": 8}
            options["connect_args"] = {"options": f"-c lock_timeout={busy_ms}"}
        self.engine: Engine = create_engine(parsed, **options)
        alone = {name: value for name, value in options.items() if not name.startswith("pool")}
        if not self._sqlite:
            # Prepared statements would go on meaning the tables that a rehearsal hides.
            alone["connect_args"] = {**options["connect_args"], "prepare_threshold": None}
        self._rehearsals = self.engine if in_memory else create_engine(parsed, poolclass=NullPool, **alone)
        self._rehearsing_engine = self._rehearsals.execution_options(loa_reading=True)
        self._reading_engine = self.engine.execution_options(loa_reading=True)
        for engine in {self.engine, self._rehearsals}:
            if self._sqlite:
                event.listen(engine, "connect", partial(_prepare_sqlite, busy_ms=busy_ms))
            event.listen(engine, "begin", self._begin_sqlite if self._sqlite else self._begin_postgresql)
        self._writers: ThreadPoolExecutor | None = None
        self._readers: ThreadPoolExecutor | None = None
        if not inline:
            self._writers = ThreadPoolExecutor(1 if self._sqlite else 4, "loa-write")
            self._readers = self._writers if in_memory else ThreadPoolExecutor(2, "loa-read")

    async def unit_of_work(
        self, work: Callable[[Session], T], *, patience_s: float | None = None, hurry: bool = False
    ) -> T:
        """Run `work` in a transaction and commit. Any error rolls all of it back and is raised.

        `work` may run more than once (after a collision), so it must do nothing outside its session. patience_s: how
        long it waits for another process to let go of the tables, instead of `busy_ms`. hurry: it waits no longer for
        its turn among our own units of work either.
        Raises OperatorNeeded(database_busy, database_unreachable), Fault(storage_full).
        """
        patience_ms = self._busy_ms if patience_s is None else min(self._busy_ms, round(patience_s * 1000))
        if self._writers is None:
            self._may_wait.ms = patience_ms
            return self.run(work)
        clock = SystemClock()
        end_s = clock.monotonic_s() + patience_ms / 1000
        while True:
            try:
                within_s = max(0.001, end_s - clock.monotonic_s())
                return await self._in_turn(self._writers, work, within_s, hurry=hurry)
            except OperatorNeeded as error:
                if error.code != _BUSY or clock.monotonic_s() + _BETWEEN_S >= end_s:
                    raise
            await clock.sleep(_BETWEEN_S)

    async def _in_turn(
        self, writers: ThreadPoolExecutor, work: Callable[[Session], T], within_s: float, *, hurry: bool
    ) -> T:
        """One attempt. Where it is in a hurry and its turn does not come in time, it is as if it was not asked for."""

        def attempt() -> T:
            self._may_wait.ms = max(1, min(_ATTEMPT_MS, round(within_s * 1000)))
            return self.run(work)

        future: Future[T] = writers.submit(attempt)
        waiting = asyncio.wrap_future(future)
        try:
            await asyncio.wait({waiting}, timeout=within_s if hurry else None)
        except asyncio.CancelledError:
            waiting.cancel()
            raise
        if not waiting.done() and future.cancel():
            raise OperatorNeeded(_BUSY)
        return await waiting

    async def reading(self, work: Callable[[Session], T]) -> T:
        """Run `work` on a snapshot without waiting for writers; nothing it changes is kept."""
        if self._readers is None:
            return self.read(work)
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read, work)

    async def rehearsing(self, work: Callable[[Session], T]) -> T:
        """As `reading`, on a connection of its own that may have temporary tables: see `controller.rehearsal`."""
        if self._readers is None:
            return self.rehearse(work)
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.rehearse, work)

    def rehearse(self, work: Callable[[Session], T]) -> T:
        """`rehearsing` on the calling thread."""
        try:
            with Session(self._rehearsing_engine, expire_on_commit=False) as session:
                return work(session)
        except DBAPIError as error:
            raise _explained(error) from error

    def run(self, work: Callable[[Session], T]) -> T:
        """`unit_of_work` on the calling thread."""
        if self.unwritten is None or not self.unwritten.waits:
            return self._run(work, None)
        with self._writes_unwritten:
            return self._run(work, self.unwritten)

    def _run(self, work: Callable[[Session], T], before: Unwritten | None) -> T:
        for tries_left in reversed(range(_TRIES)):
            try:
                with Session(self.engine, expire_on_commit=False) as session:
                    written = before.write(session) if before is not None and before.waits else None
                    value = work(session)
                    session.commit()
                    self.trouble = None
                    if written is not None:
                        written()
                    return value
            except DBAPIError as error:
                if tries_left and _collided(error):
                    continue
                explained = _explained(error)
                if isinstance(explained, LoaError):
                    self.trouble = explained.code
                raise explained from error
        raise Fault(_BUSY)

    def read(self, work: Callable[[Session], T]) -> T:
        """`reading` on the calling thread."""
        try:
            with Session(self._reading_engine, expire_on_commit=False, autoflush=False) as session:
                return work(session)
        except DBAPIError as error:
            raise _explained(error) from error

    def _begin_sqlite(self, connection: Any) -> None:
        # By the driver's own cursor: it is done for every group of reports, and costs a third of what it did otherwise.
        execute = connection.connection.cursor().execute
        try:
            if connection.get_execution_options().get("loa_reading", False):
                execute("BEGIN")
                return
            # Units of work take turns: behind a foreign lock they fail together, not each after a wait of its own.
            execute(f"PRAGMA busy_timeout={getattr(self._may_wait, 'ms', self._busy_ms)}")
            # A writer takes the lock at once: taking it later, after reads, could only fail.
            execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise OperationalError("BEGIN", None, error) from error

    def _begin_postgresql(self, connection: Any) -> None:
        wait_ms = max(1, getattr(self._may_wait, "ms", self._busy_ms))  # 0 would be for ever
        if not connection.get_execution_options().get("loa_reading", False):
            connection.connection.cursor().execute(f"SET LOCAL lock_timeout = {wait_ms}")

    def upgrade(self) -> None:
        """Bring the tables to the newest form (Alembic, head)."""
        config = Config()
        config.set_main_option("script_location", str(files("controller") / "migrations").replace("%", "%%"))
        try:
            with self.engine.begin() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except DBAPIError as error:
            raise _explained(error) from error

    def close(self) -> None:
        """Finish what is under way and let go of everything."""
        for pool in (self._writers, self._readers):
            if pool is not None:
                pool.shutdown(wait=True)
        self._rehearsals.dispose()
        self.engine.dispose()


def _prepare_sqlite(connection: sqlite3.Connection, _record: object, *, busy_ms: int) -> None:
    connection.isolation_level = None  # we begin transactions ourselves: see _begin_sqlite
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={busy_ms}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _collided(error: DBAPIError) -> bool:
    """Whether another unit of work was first: at the same rows, or at the end of the record."""
    if _sqlstate(error) == "23505":
        name = getattr(getattr(error.orig, "diag", None), "constraint_name", None) or ""
        return name.startswith(("record_entry", "cap_alert"))
    return _sqlstate(error) in _COLLIDED


def _sqlstate(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")


def _explained(error: DBAPIError) -> LoaError | DBAPIError:
    """The error in our own words where a person can do something about it."""
    state = _sqlstate(error)
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or state in _COLLIDED or state == "55P03":
        return OperatorNeeded(_BUSY)
    if code == sqlite3.SQLITE_FULL or state == "53100":
        return Fault("storage_full", field="database")
    if isinstance(error, OperationalError) and (
        code == sqlite3.SQLITE_CANTOPEN
        or error.connection_invalidated
        or state.startswith(_UNREACHABLE)
        or (not code and not state)
    ):
        return OperatorNeeded("database_unreachable", reason=str(error.orig)[:200])
    return error
