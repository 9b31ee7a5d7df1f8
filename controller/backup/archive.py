"""What is in a backup: a tar stream whose first member says what it is and whose last lists the others by hash."""

import hashlib
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from loa.errors import Refused

FORM = "loa-backup-1"
FIRST, LAST = "backup.json", "index.json"
DATABASE = "loa.db"
DEEDS = "deeds.log"
"""See `controller.deedlog`: its copy is made before the tables' is."""
BROKER_FILES = "broker-files"
_PIECE = 1 << 18
_BLOCK = 512
_LEFT_OUT = re.compile(
    r"loa\.db(-.*)?$|deeds\.log$|lock$|streams\.json$|restored\.json$|broker/|incoming/|keys/roots/|"
    r"(.*/)?\.[^/]*$|(.*/)?mosquitto\.(log|pid)$|.*\.(new|part|age)$"
)
"""Made anew by itself, of a running process alone, or not the server's to keep: the roots' private keys. Of the
deeds a copy goes along."""


@dataclass(frozen=True)
class Heading:
    """What a backup says of itself."""

    id: str
    made_at: int
    province: str
    revision: str
    record: str
    """The record's newest entry then: NUMBER:HASH:BRANCH; empty where there was none."""


@dataclass(frozen=True)
class Held:
    """A file in a backup."""

    name: str
    size: int
    sha256: str


def files_of(data: Path) -> list[Path]:
    """What of a data folder belongs into a backup, the tables apart."""
    found = []
    for path in sorted(data.rglob("*")):
        name = path.relative_to(data).as_posix()
        if path.is_file() and not path.is_symlink() and not _LEFT_OUT.match(name):
            found.append(path)
    return found


def members_of(data: Path, broker_files: Path | None = None) -> list[tuple[str, Path]]:
    """By the name that they have in a backup: a data folder's files, and the broker's where they lie elsewhere."""
    found = [(path.relative_to(data).as_posix(), path) for path in files_of(data)]
    if broker_files is None or not broker_files.is_dir() or broker_files.resolve().is_relative_to(data.resolve()):
        return found
    return found + [
        (f"{BROKER_FILES}/{path.relative_to(broker_files).as_posix()}", path) for path in files_of(broker_files)
    ]


def packed(heading: Heading, members: Iterator[tuple[str, Path]]) -> Iterator[bytes]:
    """The pieces of the stream."""
    yield from _small(FIRST, {"form": FORM, **asdict(heading)})
    index: list[Held] = []
    for name, path in members:
        digest, size = hashlib.sha256(), 0
        with path.open("rb") as file:
            info = tarfile.TarInfo(name)
            status = path.stat()
            info.size, info.mode, info.mtime = status.st_size, status.st_mode & 0o777, int(status.st_mtime)
            yield info.tobuf(tarfile.PAX_FORMAT)
            while size < info.size:
                piece = file.read(min(_PIECE, info.size - size))
                if not piece:
                    raise OSError(5, "a file became shorter while it was read", str(path))
                size += len(piece)
                digest.update(piece)
                yield piece
        yield bytes(-size % _BLOCK)
        index.append(Held(name, size, digest.hexdigest()))
    yield from _small(LAST, {"files": [asdict(one) for one in index]})
    yield bytes(2 * _BLOCK)


def _small(name: str, words: dict[str, Any]) -> Iterator[bytes]:
    data = json.dumps(words, indent=1).encode()
    info = tarfile.TarInfo(name)
    info.size = len(data)
    yield info.tobuf(tarfile.PAX_FORMAT) + data + bytes(-len(data) % _BLOCK)


@dataclass
class Unpacked:
    """What was read of a stream."""

    heading: Heading
    files: list[Held]


def unpacked(stream: IO[bytes], into: Path | None, source: str) -> Unpacked:
    """Read a whole stream, and write its files below `into` where one is given; each is checked against the index.

    Raises Refused(backup_damaged).
    """
    heading: Heading | None = None
    found: list[Held] = []
    listed: list[Held] | None = None
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for info in archive:
                if heading is None:
                    heading = _heading(info, archive, source)
                elif info.name == LAST:
                    listed = [Held(**one) for one in _words(info, archive)["files"]]
                elif listed is not None:
                    raise _damaged(source, f"{info.name} after its index")
                else:
                    found.append(_one(info, archive, into, source))
    except (tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise _damaged(source, str(error)) from error
    if heading is None or listed is None:
        raise _damaged(source, "it stops before its end")
    if listed != found:
        raise _damaged(source, "its files are not those of its index")
    return Unpacked(heading, found)


def _heading(info: tarfile.TarInfo, archive: tarfile.TarFile, source: str) -> Heading:
    words = _words(info, archive) if info.name == FIRST else {}
    if words.pop("form", None) != FORM:
        raise _damaged(source, f"not of the form {FORM}")
    return Heading(**words)


def _words(info: tarfile.TarInfo, archive: tarfile.TarFile) -> dict[str, Any]:
    file = archive.extractfile(info)
    words = json.loads(file.read()) if file is not None else None
    if not isinstance(words, dict):
        raise TypeError(f"{info.name} is not of its form")
    return words


def _one(info: tarfile.TarInfo, archive: tarfile.TarFile, into: Path | None, source: str) -> Held:
    path = PurePosixPath(info.name)
    file = archive.extractfile(info) if info.isreg() else None
    if file is None or path.is_absolute() or not path.parts or ".." in path.parts or str(path) != info.name:
        raise _damaged(source, f"a name that no backup has: {info.name[:80]!r}")
    digest, size = hashlib.sha256(), 0
    target = None
    if into is not None:
        where = into / path
        where.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = where.open("xb")
        where.chmod(info.mode & 0o700)
    try:
        while piece := file.read(_PIECE):
            size += len(piece)
            digest.update(piece)
            if target is not None:
                target.write(piece)
    finally:
        if target is not None:
            target.close()
    return Held(info.name, size, digest.hexdigest())


def _damaged(source: str, reason: str) -> Refused:
    return Refused("backup_damaged", field="file", value=source, reason=reason[:120])
