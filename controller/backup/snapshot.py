"""The tables of a running centre as one consistent SQLite file, whatever database holds them; and back into either."""

import contextlib
import sqlite3
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Table, func, insert, inspect, select, text
from sqlalchemy.engine import make_url
from sqlmodel import SQLModel

from controller.store import Database
from loa.errors import OperatorNeeded, Refused

_AT_ONCE = 1000


def is_sqlite(url: str) -> bool:
    return make_url(url).get_backend_name() == "sqlite"


def file_of(url: str) -> Path:
    """Where an SQLite URL points."""
    return Path(make_url(url).database or "")


def take_snapshot(url: str, into: Path) -> str:
    """Copy the tables as they are at one moment; writers are not held up. Returns the tables' version.

    Raises Refused(no_centre_here, backup_of_other_version), OperatorNeeded(database_busy, database_unreachable).
    """
    if is_sqlite(url):
        _copy_file(file_of(url), into)
    else:
        _copy_server(url, into)
    return revision_of(into)


def _copy_file(source: Path, into: Path) -> None:
    if not source.is_file():
        raise Refused("no_centre_here", field="data", value=str(source.parent))
    try:
        with (
            contextlib.closing(sqlite3.connect(f"file:{source}?mode=rw", uri=True, timeout=30)) as live,
            contextlib.closing(sqlite3.connect(into)) as copy,
        ):
            live.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
    except sqlite3.OperationalError as error:
        if (error.sqlite_errorcode & 0xFF) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise OperatorNeeded("database_busy") from error
        if (error.sqlite_errorcode & 0xFF) == sqlite3.SQLITE_FULL:
            raise OSError(28, "No space left on device", str(into)) from error
        raise OperatorNeeded("database_unreachable", reason=str(error)[:200]) from error


def _copy_server(url: str, into: Path) -> None:
    source, target = Database(url, inline=True), Database(f"sqlite:///{into}", inline=True)
    try:
        with source.engine.connect().execution_options(isolation_level="REPEATABLE READ") as reading:
            held = MigrationContext.configure(reading).get_current_revision()
            if held != newest_revision():
                raise Refused("backup_of_other_version", field="database", limit=newest_revision(), value=held or "")
            target.upgrade()
            with target.engine.begin() as writing:
                copy_tables(reading, writing)
    finally:
        source.close()
        target.close()
    with contextlib.closing(sqlite3.connect(into)) as copy:
        copy.execute("PRAGMA journal_mode=DELETE")


def copy_tables(source: Connection, target: Connection) -> None:
    """Every row of every table, in an order in which whatever is referred to is there first."""
    for table in SQLModel.metadata.sorted_tables:
        for rows in _rows(source, table):
            target.execute(insert(table), rows)
        _go_on_counting(target, table)


def _rows(source: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    found = source.execution_options(yield_per=_AT_ONCE).execute(select(table).order_by(*table.primary_key))
    for part in found.mappings().partitions(_AT_ONCE):
        yield [dict(row) for row in part]


def _go_on_counting(target: Connection, table: Table) -> None:
    """PostgreSQL counts by itself, and was not told of the numbers that came with the rows."""
    column = table.autoincrement_column
    if column is None or target.dialect.name != "postgresql":
        return
    sequence = target.execute(text("SELECT pg_get_serial_sequence(:t, :c)"), {"t": table.name, "c": column.name})
    name, last = sequence.scalar(), target.execute(select(func.max(column))).scalar()
    if name and last:
        target.execute(text("SELECT setval(:name, :last)"), {"name": name, "last": last})


def load_snapshot(snapshot: Path, url: str) -> None:
    """Put a snapshot into an empty database. Raises Refused(database_not_empty)."""
    source, target = Database(f"sqlite:///{snapshot}", inline=True), Database(url, inline=True)
    try:
        if inspect(target.engine).get_table_names():
            raise Refused("database_not_empty", field="database", value=make_url(url).database or "")
        source.upgrade()
        target.upgrade()
        with source.engine.connect() as reading, target.engine.begin() as writing:
            copy_tables(reading, writing)
    finally:
        source.close()
        target.close()


def revision_of(snapshot: Path) -> str:
    """The version of a snapshot's tables. Raises Refused(no_centre_here)."""
    with contextlib.closing(sqlite3.connect(snapshot)) as copy:
        try:
            row = copy.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.DatabaseError as error:
            raise Refused("no_centre_here", field="data", value=str(snapshot)) from error
    return str(row[0]) if row else ""


def _scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(files("controller") / "migrations").replace("%", "%%"))
    return ScriptDirectory.from_config(config)


def newest_revision() -> str:
    """The version of tables that this program is of."""
    return _scripts().get_current_head() or ""


def known_revisions() -> frozenset[str]:
    """The versions that this program can bring to its own."""
    return frozenset(script.revision for script in _scripts().walk_revisions())
