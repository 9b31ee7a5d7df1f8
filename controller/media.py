"""Renditions' files, each under its digest. Written whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from devices.protocol.common import BLOCK_BYTES
from devices.protocol.envelope import encode
from devices.protocol.media import Manifest, digest_of
from loa.errors import Fault, Refused
from loa.units import Digest

RESERVE_BYTES = 64 * 1024 * 1024
"""Kept free for the database."""


class MediaStore:
    """A folder of Ogg Opus files. Content decides the name, so writing the same one twice is harmless."""

    def __init__(self, folder: Path, *, reserve_bytes: int = RESERVE_BYTES) -> None:
        self._folder = folder
        self._reserve_bytes = reserve_bytes
        folder.mkdir(parents=True, exist_ok=True)
        for left_over in folder.glob(".new-*"):
            left_over.unlink(missing_ok=True)

    def put(self, data: bytes | Path, manifest: Manifest) -> Digest:
        """Keep a file under the digest of its manifest; durable on return.

        Raises Refused(content_changed) where the bytes are not what the manifest lists, Fault(storage_full).
        """
        digest = digest_of(encode(manifest))
        target = self._path(digest)
        if target.exists() and target.stat().st_size == manifest.length_bytes:
            return digest
        if self.free_bytes() < manifest.length_bytes + self._reserve_bytes:
            raise Fault("storage_full", field="media", limit=self._reserve_bytes)
        try:
            self._write(data, manifest, target)
        except OSError as error:
            if error.errno in (28, 122):  # ENOSPC, EDQUOT
                raise Fault("storage_full", field="media") from error
            raise
        return digest

    def _write(self, data: bytes | Path, manifest: Manifest, target: Path) -> None:
        handle, name = tempfile.mkstemp(prefix=".new-", dir=self._folder)
        fresh = Path(name)
        try:
            with os.fdopen(handle, "wb") as out:
                count = 0
                for index, block in enumerate(_blocks(data)):
                    if not manifest.block_holds(index, block):
                        raise Refused("content_changed", field="rendition")
                    out.write(block)
                    count += 1
                if count != manifest.block_count:
                    raise Refused("content_changed", field="rendition")
                out.flush()
                os.fsync(out.fileno())
            fresh.replace(target)
            _sync_folder(self._folder)
        finally:
            fresh.unlink(missing_ok=True)

    def open_path(self, digest: Digest) -> Path:
        """Where the file lies, to be read only. Raises Refused(not_found)."""
        path = self._path(digest)
        if not path.is_file():
            raise Refused("not_found", field="rendition", value=digest.hex())
        return path

    def checked_path(self, manifest: Manifest) -> Path:
        """As `open_path`, once all of it was read and found as listed. Raises Refused(not_found, content_changed)."""
        path, blocks = self.open_path(digest_of(encode(manifest))), 0
        for index, block in enumerate(_blocks(path)):
            if not manifest.block_holds(index, block):
                raise Refused("content_changed", field="rendition")
            blocks += 1
        if blocks != manifest.block_count:
            raise Refused("content_changed", field="rendition")
        return path

    def read_block(self, digest: Digest, index: int) -> bytes:
        """Block `index` (4,096 bytes; the last may be short, beyond it none). Raises Refused(not_found)."""
        return self.read_at(digest, index * BLOCK_BYTES, BLOCK_BYTES)

    def read_at(self, digest: Digest, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`. Raises Refused(not_found)."""
        with self.opened(digest) as file:
            file.seek(offset)
            return file.read(length)

    @contextmanager
    def opened(self, digest: Digest) -> Iterator[IO[bytes]]:
        """The file, open for reading. Raises Refused(not_found)."""
        with self.open_path(digest).open("rb") as file:
            yield file

    def holds(self, digest: Digest) -> bool:
        return self._path(digest).is_file()

    def free_bytes(self) -> int:
        """Bytes that may still be written on that file system."""
        return shutil.disk_usage(self._folder).free

    def _path(self, digest: Digest) -> Path:
        return self._folder / f"{digest.hex()}.opus"


def _blocks(data: bytes | Path) -> Iterator[bytes]:
    if isinstance(data, bytes):
        yield from (data[at : at + BLOCK_BYTES] for at in range(0, len(data), BLOCK_BYTES))
        return
    with data.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
