"""Renditions over HTTP: the sound as loudspeakers get it, whole or in ranges, so that a browser can jump about."""

import re
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import FileResponse

from loa.errors import Refused

_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})\Z")
SOUND: dict[int | str, dict[str, Any]] = {
    200: {"description": "Ogg Opus", "content": {"audio/ogg": {}}},
    206: {"description": "The range that was asked for", "content": {"audio/ogg": {}}},
}
"""OpenAPI's `responses` of a route that answers with sound."""


def sound_reply(path: Path, request: Request) -> FileResponse:
    """A rendition's file. Raises Refused(bad_range)."""
    _check_range(request.headers.get("range"), path.stat().st_size)
    return FileResponse(path, media_type="audio/ogg", headers={"Cache-Control": "private, max-age=31536000, immutable"})


def _check_range(asked: str | None, length: int) -> None:
    """One range within the file, or none."""
    if asked is None:
        return
    found = _RANGE.match(asked)
    if found is None or not (found[1] or found[2]):
        raise Refused("bad_range", field="Range", limit=length)
    first = int(found[1]) if found[1] else 0
    if first >= length or (found[2] and (int(found[2]) < first or (not found[1] and int(found[2]) == 0))):
        raise Refused("bad_range", field="Range", limit=length)
