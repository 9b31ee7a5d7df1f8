"""Storage on a disk or SD card: what is written whole is either old or new after a power cut, never half."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from devices.node.storage import check_name
from loa.errors import Fault, OperatorNeeded
from loa.units import ByteCount

_TEMPORARY = ".new"
"""Ends a name that is being written. No stored name starts with a dot, so none can be mistaken for it."""


class DiskStorage:
    """Files below one folder, made for a single process: a lock keeps a second one out.

    `reserve` bytes of the disk are kept from audio (`write_at`), so that a full box can still write what it was ordered
    to do and what it did.
    Raises OperatorNeeded(already_running) where another process has the folder.
    """

    def __init__(self, folder: Path, *, reserve: int = 1024 * 1024) -> None:
        self._folder = folder
        self._reserve = reserve
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise OperatorNeeded("already_running", field="data", folder=str(folder)) from error
        for left_over in folder.rglob(f".*{_TEMPORARY}"):
            left_over.unlink()

    def close(self) -> None:
        """Let another process have the folder."""
        with contextlib.suppress(OSError):
            os.close(self._lock)

    def read(self, name: str) -> bytes | None:
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        path = self._path(name)
        temporary = path.with_name(f".{path.name}{_TEMPORARY}")
        with self._room(name, len(data), use_reserve=True):
            self._make_folder(path.parent)
            try:
                with temporary.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            except OSError:
                temporary.unlink(missing_ok=True)
                raise
        _sync_folder(path.parent)

    def append(self, name: str, data: bytes) -> None:
        path = self._path(name)
        with self._room(name, len(data), use_reserve=True):
            self._make_folder(path.parent)
            is_new = not path.exists()
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            try:
                before = os.fstat(descriptor).st_size
                self._write_all(descriptor, data, before)
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
        if is_new:
            _sync_folder(path.parent)

    def write_at(self, name: str, offset: int, data: bytes) -> None:
        path = self._path(name)
        with self._room(name, len(data)):
            self._make_folder(path.parent)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                while data:
                    done = os.pwrite(descriptor, data, offset)
                    data, offset = data[done:], offset + done
            finally:
                os.close(descriptor)

    def read_at(self, name: str, offset: int, length: int) -> bytes:
        try:
            with self._path(name).open("rb") as file:
                return os.pread(file.fileno(), length, offset)
        except FileNotFoundError:
            return b""

    def delete(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def names(self, prefix: str = "") -> list[str]:
        found = []
        for folder, folders, files in os.walk(self._folder):
            folders[:] = [f for f in folders if not f.startswith(".")]
            for file in files:
                name = (Path(folder) / file).relative_to(self._folder).as_posix()
                if not file.startswith(".") and name.startswith(prefix):
                    found.append(name)
        return sorted(found)

    def size(self, name: str) -> ByteCount:
        try:
            return ByteCount(self._path(name).stat().st_size)
        except FileNotFoundError:
            return ByteCount(0)

    def free_bytes(self) -> ByteCount:
        disk = os.statvfs(self._folder)
        return ByteCount(max(0, disk.f_bavail * disk.f_frsize - self._reserve))

    def _path(self, name: str) -> Path:
        return self._folder / check_name(name)

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        self._make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)

    @staticmethod
    def _write_all(descriptor: int, data: bytes, before: int) -> None:
        """All of it, or what was there before."""
        try:
            while data:
                data = data[os.write(descriptor, data) :]
        except OSError:
            os.ftruncate(descriptor, before)
            raise

    @contextlib.contextmanager
    def _room(self, name: str, needed: int, *, use_reserve: bool = False) -> Iterator[None]:
        free = self.free_bytes() + (self._reserve if use_reserve else 0)
        if needed > free:
            raise Fault("storage_full", field=name, limit=free)
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise Fault("storage_full", field=name, limit=free) from error
            raise


def _sync_folder(folder: Path) -> None:
    """Make a new or replaced name durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
