"""The way to the tables: migrations agree with the tables, errors in our words, readers do not wait."""

import asyncio
import contextlib
import sqlite3
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlmodel import Session, SQLModel, col, select, text

from controller.store import Database
from controller.tables import Area
from loa.clock import SystemClock
from loa.errors import Fault, OperatorNeeded
from tests.controller.services.conftest import World
from tests.foreign import locked
from tests.migrated import by_alembic


def test_migrations_and_tables_agree(database: Database) -> None:
    with database.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), SQLModel.metadata)
    assert differences == []


def test_a_copy_of_migrated_tables_is_what_alembic_makes(tmp_path: Path) -> None:
    """What the tests rest on that are given a copy."""
    made = []
    for name, upgrade in (("a", by_alembic), ("b", Database.upgrade)):
        db = Database(f"sqlite:///{tmp_path / name}", inline=True)
        upgrade(db)
        db.run(lambda session: session.add(Area(path="quang-ninh", name="x", created_at=1)))
        db.close()
        with contextlib.closing(sqlite3.connect(tmp_path / name)) as file:
            made.append([list(file.iterdump()), file.execute("PRAGMA journal_mode").fetchone()])
    assert made[0] == made[1]
    assert made[0][1] == ("wal",)


def test_upgrading_twice_is_harmless(database: Database) -> None:
    database.upgrade()


def test_sqlite_is_durable(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 'loa.db'}", inline=True)
    found = db.run(
        lambda session: [
            session.connection().exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    )
    assert found == ["wal", 2, 1]
    db.close()


def test_an_error_leaves_nothing_behind(world: World) -> None:
    def work(session: Session) -> None:
        session.add(Area(path="x", name="x", created_at=1))
        session.flush()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        world.run(work)
    assert world.run(lambda session: session.exec(select(Area).where(Area.path == "x")).all()) == []


def test_a_foreign_lock_is_said_in_our_words(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 'loa.db'}", inline=True, busy_ms=30)
    db.upgrade()
    other = sqlite3.connect(tmp_path / "loa.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OperatorNeeded, match="database_busy"):
        db.run(lambda session: session.exec(select(Area)).all())
    assert db.read(lambda session: session.exec(select(Area)).all()) == []  # readers go on
    other.execute("ROLLBACK")
    assert db.run(lambda session: session.exec(select(Area)).all()) == []
    db.close()


def test_a_full_disk_is_said_in_our_words(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 'loa.db'}", inline=True)
    db.upgrade()

    def work(session: Session) -> None:
        pages = session.connection().exec_driver_sql("PRAGMA page_count").scalar()
        session.connection().exec_driver_sql(f"PRAGMA max_page_count={pages}")
        for number in range(200):
            session.add(Area(path=f"p{number}", name="d" * 500, created_at=1))
        session.flush()

    with pytest.raises(Fault, match="storage_full"):
        db.run(work)
    db.close()


def test_an_absent_server_is_said_in_our_words() -> None:
    db = Database("postgresql://loa@127.0.0.1:1/loa", inline=True)
    with pytest.raises(OperatorNeeded, match="database_unreachable"):
        db.run(lambda session: session.exec(select(Area)).all())
    db.close()


async def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 'loa.db'}")
    db.upgrade()
    inside, go_on = threading.Event(), threading.Event()

    def slow(session: Session) -> None:
        session.add(Area(path="quang-ninh", name="Quảng Ninh", created_at=1))
        session.flush()
        inside.set()
        go_on.wait(10)

    writing = asyncio.create_task(db.unit_of_work(slow))
    await asyncio.to_thread(inside.wait, 10)
    assert await db.reading(lambda session: session.exec(select(Area)).all()) == []
    go_on.set()
    await writing
    assert len(await db.reading(lambda session: session.exec(select(Area)).all())) == 1
    db.close()


async def test_colliding_work_is_done_again(database: Database) -> None:
    """Two units that read before they write, at once: as if one after the other."""
    url = database.engine.url.render_as_string(hide_password=False)
    db = Database(url)

    def work(session: Session) -> None:
        seen = len(session.exec(select(Area.path)).all())
        session.add(Area(path=f"a{seen}", name="x", created_at=seen))

    await asyncio.gather(*(db.unit_of_work(work) for _ in range(8)))
    assert sorted(database.run(lambda s: s.exec(select(Area.path).order_by(col(Area.path))).all())) == [
        f"a{n}" for n in range(8)
    ]
    db.close()


def test_in_memory_is_one_database() -> None:
    db = Database("sqlite://", inline=True)
    db.upgrade()
    db.run(lambda session: session.add(Area(path="quang-ninh", name="x", created_at=1)))
    assert db.read(lambda session: session.exec(text("select count(*) from area")).scalar()) == 1  # type: ignore[call-overload]
    db.close()


async def test_behind_a_foreign_lock_each_waits_as_long_as_its_own_patience(tmp_path: Path) -> None:
    """And behind our own work everybody waits, but who is in a hurry."""
    clock = SystemClock()
    db = Database(f"sqlite:///{tmp_path / 'loa.db'}", busy_ms=1500)
    db.upgrade()

    async def refused(**how: float) -> float:
        begun_s = clock.monotonic_s()
        with pytest.raises(OperatorNeeded, match="database_busy"):
            await db.unit_of_work(lambda session: session.exec(select(Area)).all(), **how)  # type: ignore[arg-type]
        return clock.monotonic_s() - begun_s

    with locked(db.engine.url):
        patient, hasty = await asyncio.gather(refused(), refused(patience_s=0.1))
    print(f"told after {patient:.2f} and {hasty:.2f} s")
    assert hasty < patient
    assert patient >= 1.4
    inside, go_on = threading.Event(), threading.Event()

    def slow(_session: Session) -> None:
        inside.set()
        go_on.wait(20)

    slowly = asyncio.create_task(db.unit_of_work(slow))
    await asyncio.to_thread(inside.wait, 20)
    await refused(patience_s=0.1, hurry=True)
    waits = asyncio.create_task(db.unit_of_work(lambda session: session.exec(select(Area)).all(), patience_s=0.1))
    go_on.set()
    await slowly
    assert await waits == []
    db.close()
