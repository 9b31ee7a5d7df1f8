"""Uploads straight to disk: a multipart body is written part by part as it comes, never held whole in memory."""

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from loa.errors import Refused

FIELD_BYTES = 64 * 1024
MAX_FIELDS = 32
_WRITE_AT = 1 << 20
_BAD_IN_NAMES = ("/", "\\", "\0", "..")


@dataclass
class Uploaded:
    """What a form held: its text fields, and the one file, on disk at `path` until somebody removes it."""

    path: Path
    fields: dict[str, list[str]] = field(default_factory=dict)
    file_name: str | None = None
    length: int = 0


def check_file_name(name: str) -> str:
    """A plain file name. Raises Refused(bad_name)."""
    if not name or len(name) > 255 or any(bad in name for bad in _BAD_IN_NAMES) or any(ord(c) < 32 for c in name):
        raise Refused("bad_name", field="file", limit="1 to 255 characters, no / \\ ..", value=name[:100])
    return name


class _Form:
    """The callbacks of the parser: headers to fields, data to memory or to the file."""

    def __init__(self, file: IO[bytes], into: Uploaded) -> None:
        self._file = file
        self._into = into
        self._header = b""
        self._value = b""
        self._disposition = b""
        self._name: str | None = None
        self._is_file = False
        self._text = bytearray()
        self.pending = bytearray()
        self.ended = False

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._part_begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _part_begin(self) -> None:
        self._disposition, self._name, self._is_file, self._text = b"", None, False, bytearray()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header = _bounded(self._header + data[start:end])

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value = _bounded(self._value + data[start:end])

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header, self._value = b"", b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name")
        if name is None:
            raise Refused("bad_form", field="body")
        self._name = name.decode("utf-8", "replace")[:100]
        file_name = options.get(b"filename")
        self._is_file = file_name is not None
        if file_name is None:
            return
        if self._name != "file" or self._into.file_name is not None:
            raise Refused("unknown_field", field=self._name, limit="one file, named file")
        # The parser cuts a path down to its last part, as old browsers need; what was asked for is judged, not that.
        raw = self._disposition.decode("utf-8", "replace")
        if "../" in raw or "..\\" in raw:
            raise Refused("bad_name", field="file", value=file_name.decode("utf-8", "replace")[:100])
        self._into.file_name = check_file_name(file_name.decode("utf-8", "replace"))

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self.pending += data[start:end]
            self._into.length += end - start
            return
        self._text += data[start:end]
        if len(self._text) > FIELD_BYTES:
            raise Refused("too_large", field=self._name, limit=f"{FIELD_BYTES} bytes")

    def _part_end(self) -> None:
        if self._is_file or self._name is None:
            return
        values = self._into.fields.setdefault(self._name, [])
        values.append(self._text.decode("utf-8", "replace"))
        if len(self._into.fields) > MAX_FIELDS or len(values) > MAX_FIELDS:
            raise Refused("bad_form", field="body", limit=MAX_FIELDS)

    def _end(self) -> None:
        self.ended = True

    async def written(self, *, all_of_it: bool) -> None:
        """Bring what has come so far to the disk, off the event loop."""
        if self.pending and (all_of_it or len(self.pending) >= _WRITE_AT):
            chunk, self.pending = bytes(self.pending), bytearray()
            await asyncio.to_thread(self._file.write, chunk)


def _bounded(header: bytes) -> bytes:
    if len(header) > 4096:
        raise Refused("bad_form", field="body", limit="4096 bytes a header")
    return header


async def receive_form(request: Request, folder: Path) -> Uploaded:
    """Read a multipart/form-data body. The file lies in `folder`; the caller removes it.

    Raises Refused(bad_form, too_large, bad_name, unknown_field), and removes the file itself then.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary or len(boundary) > 256:
        raise Refused("bad_form", field="body", limit="multipart/form-data")
    with tempfile.NamedTemporaryFile(dir=folder, prefix="upload-", delete=False) as file:
        into = Uploaded(Path(file.name))
        form = _Form(file, into)
        try:
            parser = MultipartParser(boundary, form.callbacks())
            async for chunk in request.stream():
                parser.write(chunk)
                await form.written(all_of_it=False)
            parser.finalize()
            if not form.ended:
                raise Refused("bad_form", field="body", limit="the form ends half-way")
            await form.written(all_of_it=True)
        except FormParserError as error:
            into.path.unlink(missing_ok=True)
            raise Refused("bad_form", field="body") from error
        except BaseException:
            into.path.unlink(missing_ok=True)
            raise
    return into
