"""The first page: plain files, nothing built."""

from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response

from api.needs import needs
from controller.permissions import Open
from loa.errors import Refused

router = APIRouter(include_in_schema=False)
_KINDS = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "html": "text/html; charset=utf-8",
}
_FOLDER = files("api") / "page"
_FILES = {item.name: item.read_bytes() for item in _FOLDER.iterdir() if item.name.rpartition(".")[2] in _KINDS}


def _file(name: str) -> Response:
    found = _FILES.get(name)
    if found is None:
        raise Refused("not_found", field="file", value=name[:100])
    return Response(found, media_type=_KINDS[name.rpartition(".")[2]], headers={"Cache-Control": "no-cache"})


@router.get("/")
@needs(Open.PUBLIC)
async def page() -> Response:
    """The page itself; it signs in by itself."""
    return _file("index.html")


@router.get("/page/{name}")
@needs(Open.PUBLIC)
async def part(name: Annotated[str, Path(max_length=60)]) -> Response:
    """Its style, script and icon."""
    return _file(name)
