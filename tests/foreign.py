"""Another process that holds a centre's tables."""

import contextlib
import sqlite3
from collections.abc import Iterator

import psycopg
from sqlalchemy.engine import URL, make_url


@contextlib.contextmanager
def locked(database: URL | str) -> Iterator[None]:
    """Nobody else writes, everybody reads."""
    url = make_url(database)
    if url.get_backend_name() == "sqlite":
        other = sqlite3.connect(str(url.database), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.close()
        return
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as server:
        rows = server.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        server.execute(f"LOCK TABLE {', '.join(name for (name,) in rows)} IN EXCLUSIVE MODE")
        yield
        server.rollback()
