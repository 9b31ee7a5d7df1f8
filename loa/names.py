"""Names on the wire: area paths, node and station names. All are plain ASCII, so none can hold a wildcard."""

import re
from functools import lru_cache

from loa.errors import Refused
from loa.units import NodeId

_CODE = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\Z")
_RESERVED = frozenset({"order", "trust", "settings", "timetable", "record"})
MAX_CODE_LENGTH = 32
MAX_DEPTH = 3


class AreaPath(str):
    """A place in the tree province / commune / village, e.g. ``quang-ninh/co-to/thon-1``.

    One to three codes of ``[a-z0-9-]``, each at most 32 long, joined by ``/``. Raises Refused(bad_area_path).
    """

    __slots__ = ()

    def __new__(cls, text: str) -> "AreaPath":
        if not _good_path(text):
            raise Refused("bad_area_path", field="area", limit="province/commune/village", value=text[:100])
        return super().__new__(cls, text)

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(self.split("/"))

    @property
    def parent(self) -> "AreaPath | None":
        head, slash, _ = self.rpartition("/")
        return AreaPath(head) if slash else None

    def with_ancestors(self) -> tuple["AreaPath", ...]:
        """This path and those above it, widest first."""
        return _with_ancestors(self)

    def covers(self, other: str) -> bool:
        """Whether `other` is this place or lies within it."""
        return other == self or other.startswith(self + "/")


@lru_cache(maxsize=4096)
def _good_path(text: str) -> bool:
    codes = text.split("/")
    return 1 <= len(codes) <= MAX_DEPTH and all(_good_code(code) for code in codes)


@lru_cache(maxsize=4096)
def _with_ancestors(path: str) -> tuple[AreaPath, ...]:
    codes = path.split("/")
    return tuple(AreaPath("/".join(codes[: depth + 1])) for depth in range(len(codes)))


@lru_cache(maxsize=4096)
def _good_code(code: str) -> bool:
    return len(code) <= MAX_CODE_LENGTH and _CODE.match(code) is not None and code not in _RESERVED


def node_id(text: str) -> NodeId:
    """Check a node's or station's name. Raises Refused(bad_node_id)."""
    if not _good_code(text):
        raise Refused("bad_node_id", field="node", limit="1 to 32 of [a-z0-9-]", value=text[:100])
    return NodeId(text)
