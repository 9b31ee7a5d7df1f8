"""Encryption of backups in the age format (X25519, ChaCha20-Poly1305 in chunks of 64 KiB), by the pyrage library.

The running centre knows the public half alone: whoever takes the server cannot read the backups it made. Any `age`
program opens such a file as well.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pyrage

from loa.errors import Fault, Refused

NO_ROOM = (28, 122)  # ENOSPC, EDQUOT
_NO_KEY = "No matching keys found"


def new_key(path: Path) -> str:
    """Make a key pair: the private half into a file of its owner's alone; returns the public half.

    Raises Refused(already_exists): a key is never replaced.
    """
    identity = pyrage.x25519.Identity.generate()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise Refused("already_exists", field="key", value=str(path)) from error
    with os.fdopen(handle, "w") as file:
        file.write(f"# public key: {identity.to_public()}\n{identity}\n")
        file.flush()
        os.fsync(file.fileno())
    return str(identity.to_public())


def check_recipient(text: str) -> str:
    """A public key as people give it: itself, or a file that holds it. Raises Refused(bad_recipient)."""
    given = text.strip()
    path = Path(given)
    if not given.startswith("age1") and path.is_file():
        lines = [line.strip() for line in path.read_text(errors="replace").splitlines()]
        given = next((line for line in lines if line.startswith("age1")), "")
    try:
        pyrage.x25519.Recipient.from_str(given)
    except pyrage.RecipientError as error:
        raise Refused("bad_recipient", field="recipient", value=text[:80]) from error
    return given


def read_key(path: Path) -> "pyrage.x25519.Identity":
    """The private half. Raises Refused(file_missing, bad_backup_key)."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except FileNotFoundError as error:
        raise Refused("file_missing", field="key", value=str(path)) from error
    for line in lines:
        if line.startswith("AGE-SECRET-KEY-"):
            try:
                return pyrage.x25519.Identity.from_str(line.strip())
            except pyrage.IdentityError:
                break
    raise Refused("bad_backup_key", field="key", value=str(path))


class _Pulled:
    """What pyrage reads from: pieces as they are made. Keeps the error, which pyrage would turn into its own words."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, b""
        self.error: Exception | None = None

    def read(self, most: int = -1) -> bytes:
        try:
            while not self._rest:
                self._rest = next(self._pieces)
        except StopIteration:
            return b""
        except Exception as error:
            self.error = error
            raise
        most = len(self._rest) if most < 0 else most
        piece, self._rest = self._rest[:most], self._rest[most:]
        return piece


class _Pushed:
    """What pyrage writes to. Keeps the error likewise."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.error: Exception | None = None

    def write(self, data: bytes) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._file.flush()


def seal_to(pieces: Iterator[bytes], file: IO[bytes], recipients: list[str]) -> None:
    """Encrypt pieces into a file, a chunk at a time. Raises Fault(storage_full), and what the pieces raise."""
    source, target = _Pulled(pieces), _Pushed(file)
    keys = [pyrage.x25519.Recipient.from_str(one) for one in recipients]
    try:
        pyrage.encrypt_io(source, target, keys)
        file.flush()
    except (OSError, pyrage.EncryptError) as error:
        cause = source.error or target.error or error
        if isinstance(cause, OSError) and cause.errno in NO_ROOM:
            raise Fault("storage_full", field="backup") from error
        raise cause from error


@contextmanager
def opened(path: Path, key: "pyrage.x25519.Identity") -> Iterator[IO[bytes]]:
    """The plain bytes of a backup, while they are decrypted beside. Read them to their end before the block ends.

    Raises Refused(file_missing, backup_wrong_key, backup_damaged), at the latest when the block ends.
    """
    try:
        sealed = path.open("rb")
    except FileNotFoundError as error:
        raise Refused("file_missing", field="file", value=str(path)) from error
    reading, writing = os.pipe()
    trouble: list[Exception] = []

    def decrypt() -> None:
        with sealed, os.fdopen(writing, "wb") as out:
            try:
                pyrage.decrypt_io(sealed, out, [key])
            except (OSError, pyrage.DecryptError) as error:
                trouble.append(error)

    beside = threading.Thread(target=decrypt, name="loa-decrypt")
    beside.start()
    try:
        with os.fdopen(reading, "rb") as plain:
            yield plain
            while plain.read(1 << 20):
                pass
    except Exception as error:
        beside.join()
        if trouble and not isinstance(trouble[0], BrokenPipeError):
            raise _explained(path, trouble[0]) from error
        raise
    finally:
        beside.join()
    if trouble:
        raise _explained(path, trouble[0])


def _explained(path: Path, error: Exception) -> Refused:
    if _NO_KEY in str(error):
        return Refused("backup_wrong_key", field="key", value=str(path))
    return Refused("backup_damaged", field="file", value=str(path), reason=str(error)[:120])
