"""The part of CBOR that the wire uses: RFC 8949 core deterministic encoding, and less than all of it.

Integers, byte strings, text, arrays, maps with unsigned keys, booleans and null, all of definite length and in
shortest form; COSE's two tags where a signed structure starts. Everything else is malformed. Reading is done here and
not by a general decoder, so no tag can make it compile, expand or loop.
"""

import cbor2

from devices.protocol.refusal import Malformed

MAX_DEPTH = 12
MAX_ITEMS = 150_000
"""A bound of the time that reading takes: a full timetable has about 130,000."""
_SIMPLE = {0xF4: False, 0xF5: True, 0xF6: None}
_TAGS = (18, 98)


def dumps(value: object) -> bytes:
    """Encode deterministically (RFC 8949 section 4.2.1)."""
    return cbor2.dumps(value, canonical=True)


def dumps_in_order(value: object) -> bytes:
    """As `dumps`, in half the time, for what has every map's keys in ascending order already."""
    return cbor2.dumps(value)


def head_of_bytes(length: int) -> bytes:
    """What stands before a byte string of this length, at most 4 GiB."""
    if length < 24:
        return bytes((0x40 | length,))
    if length < 256:
        return bytes((0x58, length))
    if length < 65536:
        return b"\x59" + length.to_bytes(2, "big")
    return b"\x5a" + length.to_bytes(4, "big")


def loads(data: bytes, *, max_bytes: int) -> object:
    """Decode one item that fills `data` exactly. Raises Malformed; never anything else, for any bytes."""
    if len(data) > max_bytes:
        raise Malformed(f"{len(data)} bytes, at most {max_bytes}")
    reading = _Reading(data)
    try:
        value = reading.item(MAX_DEPTH)
    except IndexError:
        raise Malformed("ends too early") from None
    except UnicodeDecodeError:
        raise Malformed("text that is not UTF-8") from None
    if reading.at != len(data):
        raise Malformed(f"{len(data) - reading.at} bytes after the end")
    return value


class _Reading:
    """A position in bytes, and how many items there may still be."""

    __slots__ = ("at", "budget", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.budget = MAX_ITEMS

    def item(self, depth: int) -> object:
        """The item that starts here. Raises Malformed; IndexError at the end of the bytes; UnicodeDecodeError."""
        first = self.data[self.at]
        self.at += 1
        if first < 24:  # most are small numbers
            return first
        major, argument = first >> 5, first & 0x1F
        if major == 7:
            if first not in _SIMPLE:
                raise Malformed("a simple value or float that the wire does not use")
            return _SIMPLE[first]
        if argument > 23:
            argument = self._long(argument)
        if major < 2:
            return -1 - argument if major else argument
        if major < 4:
            return self._string(argument, is_text=major == 3)
        if depth <= 1:
            raise Malformed(f"nested deeper than {MAX_DEPTH}")
        if major == 6:
            if argument not in _TAGS:
                raise Malformed("a tag that the wire does not use")
            return cbor2.CBORTag(argument, self.item(depth - 1))
        if argument > len(self.data) - self.at:  # each member takes a byte at least
            raise Malformed("ends too early")
        self.budget -= argument
        if self.budget < 0:
            raise Malformed(f"more than {MAX_ITEMS} items")
        return self._map(argument, depth) if major == 5 else [self.item(depth - 1) for _ in range(argument)]

    def _long(self, short: int) -> int:
        """The argument in the bytes that follow, which must not fit into fewer."""
        if short > 27:
            raise Malformed("indefinite length")
        at, width = self.at, 1 << (short - 24)
        self.at = end = at + width
        if end > len(self.data):
            raise Malformed("ends too early")
        argument = self.data[at] if width == 1 else int.from_bytes(self.data[at:end], "big")
        if argument < (24 if width == 1 else 1 << 4 * width):
            raise Malformed("not in shortest form")
        return argument

    def _string(self, length: int, *, is_text: bool) -> bytes | str:
        at = self.at
        self.at = end = at + length
        if end > len(self.data):
            raise Malformed("ends too early")
        read = self.data[at:end]
        return str(read, "utf-8") if is_text else read

    def _map(self, count: int, depth: int) -> dict[int, object]:
        found: dict[int, object] = {}
        before, depth, data = -1, depth - 1, self.data
        for _ in range(count):
            key = data[self.at]
            self.at += 1
            if key > 23:
                if key > 0x1F:
                    raise Malformed("a map key that is not an unsigned integer")
                key = self._long(key)
            if key <= before:
                raise Malformed("map keys that are not in ascending order")
            before = key
            first = data[self.at]
            if first < 24:  # as `item` would, without a call for each of the many small numbers
                self.at += 1
                found[key] = first
            else:
                found[key] = self.item(depth)
        return found
