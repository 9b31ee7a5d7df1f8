"""Pages and packets of an Ogg stream (RFC 3533) whose bytes are still coming in. No I/O, no decoding."""

import zlib
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from loa.errors import Fault

BLOCK_BYTES = 4096
_HEADER_BYTES = 27
_MAX_PACKET_BYTES = 1 << 17
_NO_GRANULE = (1 << 64) - 1
_CONTINUED, _LAST = 1, 4
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class ByteSource(Protocol):
    """A file of known length whose bytes may still be coming in."""

    @property
    def length_bytes(self) -> int: ...

    def read_at(self, offset: int, length: int) -> bytes | None:
        """The bytes where all of them are here; None where they are not here yet."""
        ...


class HeldBytes:
    """A ByteSource that is all here."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def length_bytes(self) -> int:
        return len(self._data)

    def read_at(self, offset: int, length: int) -> bytes | None:
        return self._data[offset : offset + length]


class _NotHere(Exception):
    """The next bytes are not here yet."""


def page_checksum(page: bytes) -> int:
    """CRC of a page whose checksum field is zero: polynomial 0x04c11db7, most significant bit first, start 0.

    zlib computes the mirrored form of the same polynomial, so bytes and result are mirrored around it.
    """
    mirrored = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_REVERSED), "big")


@dataclass(frozen=True)
class Page:
    """One page: where it lies, and what it carries."""

    offset: int
    length: int
    granule: int | None
    """Position at the end of the last packet that ends on this page; None where none ends here."""
    last: bool
    continued: bool
    lacing: bytes
    body: bytes

    @property
    def ends_whole(self) -> bool:
        """Whether no packet runs on into the next page."""
        return not self.lacing or self.lacing[-1] < 255

    def segments(self) -> list[tuple[bytes, bool]]:
        """Pieces of packets in order, each with whether its packet ends with it."""
        pieces: list[tuple[bytes, bool]] = []
        start = at = 0
        for value in self.lacing:
            at += value
            if value < 255:
                pieces.append((self.body[start:at], True))
                start = at
        if start < at or not self.ends_whole:
            pieces.append((self.body[start:at], False))
        return pieces


def _take(source: ByteSource, offset: int, length: int) -> bytes:
    if offset + length > source.length_bytes:
        raise Fault("decode_failed", why="the last Ogg page is cut off")
    data = source.read_at(offset, length)
    if data is None:
        raise _NotHere
    if len(data) != length:
        raise Fault("decode_failed", why="the stored audio is shorter than it should be")
    return data


def _page_at(source: ByteSource, offset: int) -> Page:
    head = _take(source, offset, _HEADER_BYTES)
    if head[:5] != b"OggS\x00":
        raise Fault("decode_failed", why=f"no Ogg page at byte {offset}")
    lacing = _take(source, offset + _HEADER_BYTES, head[26])
    body = _take(source, offset + _HEADER_BYTES + len(lacing), sum(lacing))
    if page_checksum(head[:22] + bytes(4) + head[26:] + lacing + body) != int.from_bytes(head[22:26], "little"):
        raise Fault("decode_failed", why=f"the Ogg page at byte {offset} is damaged")
    granule = int.from_bytes(head[6:14], "little")
    return Page(
        offset=offset,
        length=_HEADER_BYTES + len(lacing) + len(body),
        granule=None if granule == _NO_GRANULE else granule,
        last=bool(head[5] & _LAST),
        continued=bool(head[5] & _CONTINUED),
        lacing=lacing,
        body=body,
    )


class PageReader:
    """Pages one after another. A page is given only when all of it is here."""

    def __init__(self, source: ByteSource, offset: int = 0) -> None:
        self.source = source
        self.offset = offset

    @property
    def at_end(self) -> bool:
        return self.offset >= self.source.length_bytes

    def next_page(self) -> Page | None:
        """The next page, or None where it is not here yet. Not to be called at the end. Raises Fault(decode_failed)."""
        try:
            page = _page_at(self.source, self.offset)
        except _NotHere:
            return None
        self.offset += page.length
        return page


def find_page(source: ByteSource, offset: int, step: int = BLOCK_BYTES) -> Page | None:
    """The first whole page at or after `offset` that is here, looking past what is missing; None if there is none."""
    while offset < source.length_bytes:
        # Files come in blocks: up to the next block's edge, then block by block.
        length = min(step - offset % step, source.length_bytes - offset)
        here = source.read_at(offset, length)
        if here is None:
            offset += length
            continue
        ahead = offset + len(here)
        tail = source.read_at(ahead, min(3, source.length_bytes - ahead)) or b""
        for at in _captures(here + tail):
            try:
                return _page_at(source, offset + at)
            except (_NotHere, Fault):
                continue
        offset += len(here)
    return None


def _captures(data: bytes) -> list[int]:
    found, at = list[int](), -1
    while (at := data.find(b"OggS", at + 1)) >= 0:
        found.append(at)
    return found


class PacketJoiner:
    """Packets out of pages, also where one runs over several pages."""

    def __init__(self) -> None:
        self._begun: bytes | None = None

    def packets_of(self, page: Page) -> deque[bytes]:
        """The packets that end on this page. Raises Fault(decode_failed) for a packet of absurd size."""
        done: deque[bytes] = deque()
        skip_first = page.continued and self._begun is None
        if not page.continued:
            self._begun = None
        for piece, ends in page.segments():
            if skip_first:
                skip_first = False
                continue
            packet = (self._begun or b"") + piece
            self._begun = None if ends else packet
            if len(packet) > _MAX_PACKET_BYTES:
                raise Fault("decode_failed", why="an Ogg packet is too long")
            if ends:
                done.append(packet)
        return done
