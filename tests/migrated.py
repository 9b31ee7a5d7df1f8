"""Migrated once: an empty SQLite database gets the tables that Alembic made in the first one of this process.

What comes out is the same, page by page; only the time that the migrations take is spent once. Everything else — a
database that holds something, PostgreSQL, other processes — goes through Alembic as ever.
"""

import sqlite3
from functools import cache

from sqlalchemy.pool import PoolProxiedConnection

from controller.store import Database

by_alembic = Database.upgrade


def taken(db: Database) -> sqlite3.Connection:
    """A copy of a whole SQLite database, in memory."""
    copy = sqlite3.connect(":memory:", check_same_thread=False)
    with db.engine.connect() as connection:
        _sqlite(connection.connection).backup(copy)
    return copy


def put(db: Database, copy: sqlite3.Connection) -> None:
    """Make an SQLite database hold what the copy holds, and nothing else."""
    with db.engine.connect() as connection:
        copy.backup(_sqlite(connection.connection))


@cache
def _first() -> sqlite3.Connection:
    made = Database("sqlite://", inline=True)
    by_alembic(made)
    try:
        return taken(made)
    finally:
        made.close()


def _sqlite(connection: PoolProxiedConnection) -> sqlite3.Connection:
    driver = connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def _is_empty(db: Database) -> bool:
    with db.engine.connect() as connection:
        return not list(_sqlite(connection.connection).execute("SELECT 1 FROM sqlite_master LIMIT 1"))


def _upgrade(self: Database) -> None:
    if self.engine.dialect.name == "sqlite" and _is_empty(self):
        put(self, _first())
    else:
        by_alembic(self)


def migrate_once() -> None:
    """From here on, in this process."""
    Database.upgrade = _upgrade  # type: ignore[method-assign]
