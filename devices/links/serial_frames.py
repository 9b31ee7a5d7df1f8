"""Frames on a station's bus: COBS between zero bytes, CRC-32, at most 256 bytes. Pure.

A frame's content, before COBS: version and opcode (4 bits each), destination, source, channel with the retained flag
in its top bit, message number, fragment index (2 bytes), fragment total (2 bytes), data, CRC-32 of all before it (all
big-endian). A damaged frame is dropped and counted; nothing of it is ever looked at.
"""

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from cobs import cobs

VERSION = 1
BROADCAST = 0
STATION = 255
HIGHEST_NODE = 254
MAX_FRAME_BYTES = 256
_HEADER = struct.Struct(">BBBBBHH")
_CRC_BYTES = 4
MAX_DATA_BYTES = 253 - _HEADER.size - _CRC_BYTES
"""240: with COBS's byte and a zero on both sides that makes 256."""
_LEAST_CONTENT = _HEADER.size + _CRC_BYTES
_RETAINED = 0x80
DELIMITER = b"\x00"


class Opcode(IntEnum):
    """What a frame is for."""

    DATA = 1
    """A fragment of a message."""
    LAST = 2
    """A fragment, and the end of this node's turn."""
    POLL = 3
    """Station to one node: it is your turn."""
    DONE = 4
    """Node to station: nothing (more) to send in this turn."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. Addresses: 0 all nodes, 1 to 254 a node, 255 the station."""

    opcode: Opcode
    destination: int
    source: int
    channel: int = 0
    number: int = 0
    index: int = 0
    total: int = 1
    data: bytes = b""
    retained: bool = False


@dataclass(slots=True)
class FrameErrors:
    """How many frames were dropped, by what was wrong with them."""

    crc: int = 0
    length: int = 0
    opcode: int = 0
    address: int = 0

    @property
    def total(self) -> int:
        return self.crc + self.length + self.opcode + self.address


def encode_frame(frame: Frame) -> bytes:
    """The frame as it goes on the wire, with the zero byte that ends it."""
    channel = frame.channel | (_RETAINED if frame.retained else 0)
    header = _HEADER.pack(
        VERSION << 4 | frame.opcode,
        frame.destination,
        frame.source,
        channel,
        frame.number,
        frame.index,
        frame.total,
    )
    content = header + frame.data
    if len(frame.data) > MAX_DATA_BYTES:
        raise ValueError(f"a frame carries at most {MAX_DATA_BYTES} bytes")
    return bytes(cobs.encode(content + zlib.crc32(content).to_bytes(_CRC_BYTES, "big"))) + DELIMITER


class FrameReader:
    """Finds frames in bytes as they come in, in whatever portions. Never raises, never keeps more than a frame."""

    def __init__(self) -> None:
        self.errors = FrameErrors()
        self._part = bytearray()
        self._overlong = False

    def feed(self, data: bytes) -> list[Frame]:
        """Frames that these bytes complete."""
        frames: list[Frame] = []
        pieces = data.split(DELIMITER)
        for piece in pieces[:-1]:
            self._add(piece)
            frame = self._finish()
            if frame is not None:
                frames.append(frame)
        self._add(pieces[-1])
        return frames

    def _add(self, piece: bytes) -> None:
        if len(self._part) + len(piece) > MAX_FRAME_BYTES:
            self._overlong = True
            self._part.clear()
        elif not self._overlong:
            self._part += piece

    def _finish(self) -> Frame | None:
        encoded, overlong = bytes(self._part), self._overlong
        self._part.clear()
        self._overlong = False
        if overlong:
            self.errors.length += 1
            return None
        if not encoded:
            return None
        frame, wrong = _read(encoded)
        if wrong:
            setattr(self.errors, wrong, getattr(self.errors, wrong) + 1)
        return frame


@lru_cache(maxsize=4)  # where several ends of a bus live in one process, all of them hear the same
def _read(encoded: bytes) -> tuple[Frame | None, str]:
    """The frame, or the name of what is wrong with it."""
    try:
        content = bytes(cobs.decode(encoded))
    except cobs.DecodeError:
        return None, "crc"
    if len(content) < _LEAST_CONTENT:
        return None, "length"
    if zlib.crc32(content[:-_CRC_BYTES]) != int.from_bytes(content[-_CRC_BYTES:], "big"):
        return None, "crc"
    first, destination, source, channel, number, index, total = _HEADER.unpack_from(content)
    if first >> 4 != VERSION or first & 15 not in Opcode._value2member_map_:
        return None, "opcode"
    if source in (BROADCAST, destination) or STATION not in (source, destination):
        return None, "address"
    if index >= total:
        return None, "length"
    retained = bool(channel & _RETAINED)
    data = content[_HEADER.size : -_CRC_BYTES]
    return Frame(
        Opcode(first & 15), destination, source, channel & ~_RETAINED, number, index, total, data, retained
    ), ""
