"""Migrated once: an empty SQLite database gets the tables that Alembic made in the first one of this process.

What comes out is the same, page by page; only the time that the migrations take is spent once. Everything else — a
database that holds something, PostgreSQL, other processes — goes through Alembic as ever.
"""

import sqlite3
from functools import cache

from sqlalchemy.pool import PoolProxiedConnection

from controller.store import Database

by_alembic = Database.upgrade


@cache
def _first() -> sqlite3.Connection:
    made = Database("sqlite://", inline=True)
    by_alembic(made)
    with made.engine.connect() as connection:
        copy = sqlite3.connect(":memory:", check_same_thread=False)
        _sqlite(connection.connection).backup(copy)
    made.close()
    return copy


def _sqlite(connection: PoolProxiedConnection) -> sqlite3.Connection:
    driver = connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def _upgrade(self: Database) -> None:
    if self.engine.dialect.name == "sqlite":
        with self.engine.connect() as connection:
            target = _sqlite(connection.connection)
            if target.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
                _first().backup(target)
                return
    by_alembic(self)


def migrate_once() -> None:
    """From here on, in this process."""
    Database.upgrade = _upgrade  # type: ignore[method-assign]
