"""The console: plain files, nothing built. Its scripts go out as one and its styles as one, named by their content.

A browser that has been here asks for one small page and is told 304; all else it has. What only some pages need goes
out apart, and is asked for when one of those is opened: `<meta name="later-…">` names it.
"""

import gzip
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from api.needs import needs
from api.squeeze import takes_gzip
from controller.permissions import Open
from loa.errors import Refused

router = APIRouter(include_in_schema=False)
_FOLDER = files("api") / "page"
_ONE_BY_ONE = re.compile(
    r'^<script src="/page/([a-z-]+\.js)" defer></script>\n|^<link rel="stylesheet" href="/page/([a-z-]+\.css)">\n',
    re.MULTILINE,
)
_LATER = re.compile(r'^<meta name="later-([a-z]+)" content="([a-z. -]+)">$', re.MULTILINE)
_COMMENT = re.compile(r"^(?: *(?://|/\*)| +\* ).*\n", re.MULTILINE)
"""A line that is a comment and nothing else; it stays at home."""
_KINDS = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "html": "text/html; charset=utf-8",
}
_FOR_EVER, _ASK_AGAIN = "public, max-age=31536000, immutable", "no-cache"


@dataclass(frozen=True)
class Part:
    """One file as it goes out."""

    data: bytes
    squeezed: bytes
    kind: str
    tag: str
    keep: str

    @classmethod
    def of(cls, data: bytes, kind: str, *, keep: str) -> "Part":
        """keep: its Cache-Control."""
        tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        return cls(data, gzip.compress(data, 9, mtime=0), _KINDS[kind], tag, keep)


def _as_one(names: Iterable[str], kind: str, called: str, parts: dict[str, Part]) -> str:
    """Put the sources of a kind together; under which name they go out, or nothing where there are none."""
    wanted = [name for name in names if name.endswith("." + kind)]
    if not wanted:
        return ""
    data = _COMMENT.sub("", "\n".join((_FOLDER / name).read_text("utf-8") for name in wanted)).encode()
    name = f"{called}.{hashlib.sha256(data).hexdigest()[:12]}.{kind}"
    parts[name] = Part.of(data, kind, keep=_FOR_EVER)
    return name


def _put_together() -> tuple[Part, dict[str, Part]]:
    """The page, and what it asks for by name. index.html names the sources in their order."""
    text = (_FOLDER / "index.html").read_text("utf-8")
    named = [found[1] or found[2] for found in _ONE_BY_ONE.finditer(text)]
    parts: dict[str, Part] = {}
    lines = f'<link rel="stylesheet" href="/page/{_as_one(named, "css", "loa", parts)}">\n'
    lines += f'<script src="/page/{_as_one(named, "js", "loa", parts)}" defer></script>\n'
    first = True

    def instead(_found: re.Match[str]) -> str:
        nonlocal first
        here, first = (lines if first else ""), False
        return here

    def later(found: re.Match[str]) -> str:
        made = [_as_one(found[2].split(), kind, f"loa-{found[1]}", parts) for kind in ("css", "js")]
        return f'<meta name="later-{found[1]}" content="{" ".join(name for name in made if name)}">'

    page = Part.of(_LATER.sub(later, _ONE_BY_ONE.sub(instead, text)).encode(), "html", keep=_ASK_AGAIN)
    for item in _FOLDER.iterdir():
        if item.name.endswith(".svg"):
            parts[item.name] = Part.of(item.read_bytes(), "svg", keep="public, max-age=86400")
    return page, parts


PAGE, PARTS = _put_together()


def _sent(part: Part, request: Request) -> Response:
    headers = {"Cache-Control": part.keep, "ETag": part.tag, "Vary": "Accept-Encoding"}
    known = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    if part.tag in known:
        return Response(status_code=304, headers=headers)
    if takes_gzip(request.headers):
        return Response(part.squeezed, media_type=part.kind, headers=headers | {"Content-Encoding": "gzip"})
    return Response(part.data, media_type=part.kind, headers=headers)


@router.get("/")
@needs(Open.PUBLIC)
async def page(request: Request) -> Response:
    """The page itself; it signs in by itself."""
    return _sent(PAGE, request)


@router.get("/page/{name}")
@needs(Open.PUBLIC)
async def part(name: Annotated[str, Path(max_length=60)], request: Request) -> Response:
    """Its script, style and pictures."""
    found = PARTS.get(name)
    if found is None:
        raise Refused("not_found", field="file", value=name[:100])
    return _sent(found, request)
