"""A small file beside the tables: deeds that count already and that the tables do not hold yet.

Only added to, and synced before anything goes out; empty again once the tables have it all. Its room is taken when it
is made, so that a full disk does not stand in its way. One record is its length (4 bytes), its number (8), the CRC-32
of number and data (4), and the data; a length of 0 ends the file, and so does a record that is torn or whose number
does not follow. What is read twice is written once: see `controller.services.deeds.write`.
"""

import contextlib
import errno
import os
import struct
import threading
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlmodel import Session

from controller.services.context import Context
from controller.services.deeds import MAX_DEED_BYTES, Deed, deed_bytes, read_deed, write
from devices.protocol.refusal import Malformed
from devices.protocol.trust import RootSet
from loa.errors import Fault

_MAGIC = b"loa-deeds-1\n"
_HEAD = struct.Struct(">IQI")
_END = bytes(4)
ROOM_BYTES = 256 * 1024
"""About a hundred deeds; where there are more, it grows."""


class DeedLog:
    """The file, and what is in it. `add` from one place at a time; `write` and `done` from a writer's thread."""

    def __init__(self, path: Path) -> None:
        """Takes up what is in the file. Raises Fault(storage_full) where there is no room for one."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._lock = threading.Lock()
        self._deeds: tuple[Deed, ...] = ()
        self._number = 0
        self._end = len(_MAGIC)
        try:
            self._open(path)
        except OSError as error:
            os.close(self._file)
            raise Fault("storage_full", field="deeds") from error

    def _open(self, path: Path) -> None:
        if os.fstat(self._file).st_size < ROOM_BYTES:
            os.posix_fallocate(self._file, 0, ROOM_BYTES)
            if os.pread(self._file, len(_MAGIC), 0) != _MAGIC:
                os.pwrite(self._file, _MAGIC + _END, 0)
            os.fsync(self._file)
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        self._read()

    def _read(self) -> None:
        data = os.pread(self._file, os.fstat(self._file).st_size, 0)
        at, found = len(_MAGIC), list[Deed]()
        while at + _HEAD.size <= len(data):
            length, number, crc = _HEAD.unpack_from(data, at)
            body = data[at + _HEAD.size : at + _HEAD.size + length]
            follows = not found or number == self._number + 1
            if not 0 < length <= MAX_DEED_BYTES or len(body) < length or not follows or crc != _crc(number, body):
                break
            try:
                found.append(read_deed(body))
            except Malformed:
                break
            self._number, at = number, at + _HEAD.size + length
        self._deeds, self._end = tuple(found), at

    @property
    def deeds(self) -> tuple[Deed, ...]:
        """In the order in which they were done."""
        return self._deeds

    def add(self, deed: Deed) -> None:
        """On disk when this returns. Raises Fault(storage_full); then it is not done."""
        data = deed_bytes(deed)
        if len(data) > MAX_DEED_BYTES:
            raise Fault("storage_full", field="deeds", limit=MAX_DEED_BYTES)
        with self._lock:
            number = self._number + 1
            record = _HEAD.pack(len(data), number, _crc(number, data)) + data
            try:
                if os.pwrite(self._file, record + _END, self._end) < len(record) + len(_END):
                    raise OSError(errno.ENOSPC, "no room for all of it")  # the last bytes of a disk are taken in part
                os.fsync(self._file)
            except OSError as error:
                with contextlib.suppress(OSError):
                    os.pwrite(self._file, _END, self._end)
                raise Fault("storage_full", field="deeds") from error
            self._number, self._end = number, self._end + len(record)
            self._deeds += (deed,)

    def done(self, deeds: Sequence[Deed]) -> None:
        """The tables hold these. Where the file cannot say so now, they are found there once more.

        Two writers may say so of the same: the second takes nothing else with it.
        """
        with self._lock:
            self._deeds = tuple(one for one in self._deeds if one not in deeds)
            if self._deeds:
                return
            self._end = len(_MAGIC)
            with contextlib.suppress(OSError):
                os.pwrite(self._file, _END, self._end)
                os.fsync(self._file)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class UnwrittenDeeds:
    """The log as the tables' way knows it."""

    def __init__(self, log: DeedLog, context: Callable[[], Context], roots: Callable[[], RootSet]) -> None:
        self._log, self._context, self._roots = log, context, roots

    @property
    def waits(self) -> bool:
        return bool(self._log.deeds)

    def write(self, session: Session) -> Callable[[], None]:
        deeds, ctx, roots = self._log.deeds, self._context(), self._roots()
        for deed in deeds:
            write(session, ctx, deed, roots=roots)
        session.flush()
        return lambda: self._log.done(deeds)


def _crc(number: int, data: bytes) -> int:
    return zlib.crc32(number.to_bytes(8, "big") + data)
