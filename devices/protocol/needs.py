"""What a node should hold, and what comes out of its intake."""

from dataclasses import dataclass

from loa.precedence import Precedence
from loa.units import Digest, InstantMs


@dataclass(frozen=True, slots=True)
class Need:
    """A rendition that this node should hold. `stream_at` and `pace` (bytes a second) announce its shared stream."""

    digest: Digest
    length_bytes: int
    precedence: Precedence
    needed_at: InstantMs | None = None
    """When it sounds; none: in no hurry."""
    stream_at: InstantMs | None = None
    pace: float | None = None


@dataclass(frozen=True, slots=True)
class VerifiedBlock:
    """A block whose hash is the one that the manifest names. `offset` is its place in the file, in bytes."""

    digest: Digest
    index: int
    offset: int
    data: bytes


@dataclass(slots=True)
class Traffic:
    """What went in and out, in bytes of audio."""

    received: int = 0
    verified: int = 0
    asked: int = 0
    wasted: int = 0
    """Came twice, or was wrong."""


def merged(one: Need, other: Need) -> Need:
    """Two broadcasts need one rendition: the higher precedence, the earlier instant, the later stream."""
    needed = [n.needed_at for n in (one, other) if n.needed_at is not None]
    streamed = max((n for n in (one, other) if n.stream_at is not None), key=lambda n: n.stream_at or 0, default=one)
    return Need(
        one.digest,
        one.length_bytes,
        max(one.precedence, other.precedence),
        min(needed, default=None),
        streamed.stream_at,
        streamed.pace,
    )
