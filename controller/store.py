"""The way to the tables: one unit of work at a time, committed or as if it never was.

Inline in the virtual world. In the real one SQLite has one writer thread (WAL, so readers do not wait for it) and
PostgreSQL a few, each unit of work serializable and tried again where it collided with another.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.resources import files
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import StaticPool
from sqlmodel import Session

import controller.tables  # noqa: F401  registers the tables
from loa.errors import Fault, LoaError, OperatorNeeded

T = TypeVar("T")
_TRIES = 12
_LEAST_WAIT_MS = 100
_COLLIDED = frozenset({"40001", "40P01"})
_UNREACHABLE = ("08", "57P")


class Database:
    """The tables at an SQLAlchemy URL.

    inline: work is done on the calling thread, as the virtual world needs. busy_ms: how long a unit of work waits for
    another process to let go of an SQLite file before OperatorNeeded(database_busy); its wait for its turn counts.
    """

    def __init__(self, url: str, *, inline: bool = False, busy_ms: int = 5000) -> None:
        self._busy_ms = busy_ms
        self._may_wait = threading.local()
        self.trouble: str | None = None
        """Code of what kept the last unit of work from the tables; None where it went well."""
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
        self.engine: Engine = create_engine(parsed, **options)
        self._reading_engine = self.engine.execution_options(loa_reading=True)
        if self._sqlite:
            event.listen(self.engine, "connect", partial(_prepare_sqlite, busy_ms=busy_ms))
            event.listen(self.engine, "begin", self._begin_sqlite)
        self._writers: ThreadPoolExecutor | None = None
        self._readers: ThreadPoolExecutor | None = None
        if not inline:
            self._writers = ThreadPoolExecutor(1 if self._sqlite else 4, "loa-write")
            self._readers = self._writers if in_memory else ThreadPoolExecutor(2, "loa-read")

    async def unit_of_work(self, work: Callable[[Session], T]) -> T:
        """Run `work` in a transaction and commit. Any error rolls all of it back and is raised.

        `work` may run more than once (after a collision), so it must do nothing outside its session.
        Raises OperatorNeeded(database_busy, database_unreachable), Fault(storage_full).
        """
        if self._writers is None:
            return self.run(work)
        loop = asyncio.get_running_loop()
        asked_s = loop.time()

        def in_turn() -> T:
            waited_ms = round((loop.time() - asked_s) * 1000)
            self._may_wait.ms = max(_LEAST_WAIT_MS, self._busy_ms - waited_ms)
            return self.run(work)

        return await loop.run_in_executor(self._writers, in_turn)

    async def reading(self, work: Callable[[Session], T]) -> T:
        """Run `work` on a snapshot without waiting for writers; nothing it changes is kept."""
        if self._readers is None:
            return self.read(work)
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read, work)

    def run(self, work: Callable[[Session], T]) -> T:
        """`unit_of_work` on the calling thread."""
        for tries_left in reversed(range(_TRIES)):
            try:
                with Session(self.engine, expire_on_commit=False) as session:
                    value = work(session)
                    session.commit()
                    self.trouble = None
                    return value
            except DBAPIError as error:
                if tries_left and _collided(error):
                    continue
                explained = _explained(error)
                if isinstance(explained, LoaError):
                    self.trouble = explained.code
                raise explained from error
        raise Fault("database_busy")

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
        self.engine.dispose()


def _prepare_sqlite(connection: sqlite3.Connection, _record: object, *, busy_ms: int) -> None:
    connection.isolation_level = None  # we begin transactions ourselves: see _begin_sqlite
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={busy_ms}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _collided(error: DBAPIError) -> bool:
    """Whether another unit of work was first: at the same rows, or at the end of the record."""
    if _sqlstate(error) == "23505":
        name = getattr(getattr(error.orig, "diag", None), "constraint_name", None) or ""
        return name.startswith("record_entry")
    return _sqlstate(error) in _COLLIDED


def _sqlstate(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")


def _explained(error: DBAPIError) -> LoaError | DBAPIError:
    """The error in our own words where a person can do something about it."""
    state = _sqlstate(error)
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or state in _COLLIDED or state == "55P03":
        return OperatorNeeded("database_busy")
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
