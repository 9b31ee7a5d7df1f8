"""Making a backup beside a running centre, and restoring one into an empty folder."""

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlmodel import Session

from controller.backup.archive import DATABASE, DEEDS, Heading, Unpacked, members_of, packed, unpacked
from controller.backup.sealing import NO_ROOM, opened, read_key, seal_to
from controller.backup.snapshot import (
    is_sqlite,
    known_revisions,
    load_snapshot,
    newest_revision,
    revision_of,
    take_snapshot,
)
from controller.restored import leave_mark
from controller.services.chain import newest
from controller.store import Database
from loa.entropy import Entropy
from loa.errors import Fault, Refused
from loa.units import InstantMs

Progress = Callable[[int, int], None]
"""Told the bytes that are done, and of how many."""
RECIPIENT = "backup.recipient"
"""In the data folder: the public key that backups are encrypted to where none is given."""


def _quiet(_done: int, _total: int) -> None:
    pass


@dataclass(frozen=True)
class Made:
    """A backup that is on the disk."""

    path: Path
    heading: Heading
    files: int
    size: int


def make_backup(
    *,
    data: Path,
    database_url: str,
    province: str,
    to: Path,
    recipients: list[str],
    now_ms: InstantMs,
    entropy: Entropy,
    broker_files: Path | None = None,
    progress: Progress = _quiet,
) -> Made:
    """Write one encrypted file; under its name only once it is whole and on the disk.

    Deeds that the tables may not hold yet come first: whichever of them is written meanwhile is in the tables' copy or
    in the deeds'. The tables are copied as they are at one moment, then everything that they can refer to.
    broker_files: what `loa broker-config` wrote; it goes along where it lies outside the data folder. Raises Refused
    (no_centre_here, recipient_missing, already_exists, already_running), Fault(storage_full), OperatorNeeded.
    """
    if not recipients:
        raise Refused("recipient_missing", field="recipient")
    if to.exists():
        raise Refused("already_exists", field="to", value=str(to))
    if not (data / "keys").is_dir():
        raise Refused("no_centre_here", field="data", value=str(data))
    with _alone(data), _room():
        snapshot = data / f".snapshot-{entropy(6).hex()}"
        deeds = snapshot.with_name(f"{snapshot.name}-deeds")
        try:
            if (data / DEEDS).exists():
                deeds.write_bytes((data / DEEDS).read_bytes())
            revision = take_snapshot(database_url, snapshot)
            heading = Heading(
                id=entropy(16).hex(), made_at=now_ms, province=province, revision=revision, record=_record_in(snapshot)
            )
            members = [(DATABASE, snapshot), *members_of(data, broker_files)]
            if deeds.exists():
                members.append((DEEDS, deeds))
            _write(to, packed(heading, _told(members, progress)), recipients)
        finally:
            for left_over in data.glob(f"{snapshot.name}*"):
                left_over.unlink()
    return Made(to, heading, len(members), to.stat().st_size)


def _told(members: list[tuple[str, Path]], progress: Progress) -> Iterator[tuple[str, Path]]:
    total, done = sum(path.stat().st_size for _, path in members), 0
    for name, path in members:
        progress(done, total)
        yield name, path
        done += path.stat().st_size
    progress(total, total)


def _record_in(snapshot: Path) -> str:
    db = Database(f"sqlite:///{snapshot}", inline=True)
    try:
        mark = db.read(newest) if "record_entry" in _tables(db) else None
    finally:
        db.close()
    return "" if mark is None else f"{mark.number}:{mark.mark.hex()}:{mark.forks}"


def _tables(db: Database) -> set[str]:
    def look(session: Session) -> set[str]:
        rows = session.connection().exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {str(row[0]) for row in rows}

    return db.read(look)


def _write(to: Path, pieces: Iterator[bytes], recipients: list[str]) -> None:
    fresh = to.with_name(f".{to.name}.part")
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            seal_to(pieces, file, recipients)
            os.fsync(file.fileno())
        fresh.replace(to)
    finally:
        fresh.unlink(missing_ok=True)
    _sync_folder(to.parent)


@contextlib.contextmanager
def _alone(data: Path) -> Iterator[None]:
    """One backup of a folder at a time; what a killed one left behind goes. Raises Refused(already_running)."""
    with (data / ".backup.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Refused("already_running", field="data", folder=data) from error
        for left_over in data.glob(".snapshot-*"):
            left_over.unlink()
        yield


@contextlib.contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise Fault("storage_full", field="backup") from error
        raise


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# Restoring.


def look_into(file: Path, key: Path) -> Unpacked:
    """Read and check a whole backup without writing anything. Raises Refused(backup_wrong_key, backup_damaged, …)."""
    with opened(file, read_key(key)) as stream:
        return unpacked(stream, None, str(file))


def restore(file: Path, *, key: Path, data: Path, database_url: str = "") -> Unpacked:
    """Put a backup into an empty or new folder: all of it, or nothing.

    database_url: an empty PostgreSQL database, where the tables are to be there. The centre's first start afterwards
    writes into the record that it goes on from this backup. Raises Refused(not_empty, backup_wrong_key,
    backup_damaged, backup_of_other_version, database_not_empty), Fault(storage_full).
    """
    identity = read_key(key)
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise Refused("not_empty", field="data", value=str(data))
    data.parent.mkdir(parents=True, exist_ok=True)
    fresh = data.with_name(f".{data.name}.restoring")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        with _room():
            fresh.mkdir(mode=0o700)
            with opened(file, identity) as stream:
                found = unpacked(stream, fresh, str(file))
            _check_version(fresh / DATABASE, found.heading)
            if database_url and not is_sqlite(database_url):
                load_snapshot(fresh / DATABASE, database_url)
                for left_over in fresh.glob(f"{DATABASE}*"):
                    left_over.unlink()
            made = f"backup of {found.heading.made_at} ms, entry {found.heading.record or 'none'}"
            leave_mark(fresh, backup=found.heading.id, detail=made)
            _sync(fresh)
            if data.exists():
                data.rmdir()
            fresh.rename(data)
            _sync_folder(data.parent)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return found


def _check_version(snapshot: Path, heading: Heading) -> None:
    if not snapshot.is_file():
        raise Refused("backup_damaged", field="file", value=str(snapshot), reason="it holds no tables")
    if revision_of(snapshot) not in known_revisions():
        raise Refused("backup_of_other_version", field="file", limit=newest_revision(), value=heading.revision)


def _sync(folder: Path) -> None:
    """Everything below a folder is on the disk."""
    for path in [*folder.rglob("*"), folder]:
        try:
            handle = os.open(path, os.O_RDONLY)
        except OSError as error:
            if error.errno == errno.ENXIO:
                continue
            raise
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
