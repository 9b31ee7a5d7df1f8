"""The part of CBOR that the wire uses: RFC 8949 core deterministic encoding, and less than all of it.

Integers, byte strings, text, arrays, maps with unsigned keys, booleans and null, all of definite length and in
shortest form; COSE's two tags where a signed structure starts. Everything else is malformed. The shape is checked
before any general decoder sees the bytes, so no tag can make it compile, expand or loop.
"""

import cbor2

from devices.protocol.refusal import Malformed

MAX_DEPTH = 12
MAX_ITEMS = 150_000
"""A bound of the time that reading takes: a full timetable has about 130,000."""
_SIMPLE = (0xF4, 0xF5, 0xF6)  # false, true, null
_TAGS = (0xD2, 0xD8)  # 18 in one byte; 98 in two


def dumps(value: object) -> bytes:
    """Encode deterministically (RFC 8949 section 4.2.1)."""
    return cbor2.dumps(value, canonical=True)


def loads(data: bytes, *, max_bytes: int) -> object:
    """Decode one item that fills `data` exactly. Raises Malformed; never anything else, for any bytes."""
    if len(data) > max_bytes:
        raise Malformed(f"{len(data)} bytes, at most {max_bytes}")
    end = _scan(data, 0, MAX_DEPTH, [MAX_ITEMS])
    if end != len(data):
        raise Malformed(f"{len(data) - end} bytes after the end")
    try:
        value: object = cbor2.loads(data)
        again = dumps(value)
    except (ValueError, TypeError, OverflowError, EOFError, UnicodeError, cbor2.CBORError) as error:
        raise Malformed("not CBOR") from error
    if again != data:
        raise Malformed("not in deterministic form")
    return value


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """Major type, argument, position after the head."""
    if at >= len(data):
        raise Malformed("ends too early")
    first = data[at]
    short = first & 0x1F
    if short < 24:
        return first >> 5, short, at + 1
    if short > 27:
        raise Malformed("indefinite length")
    width = 1 << (short - 24)
    if at + 1 + width > len(data):
        raise Malformed("ends too early")
    return first >> 5, int.from_bytes(data[at + 1 : at + 1 + width], "big"), at + 1 + width


def _scan(data: bytes, at: int, depth: int, budget: list[int]) -> int:
    """Position after the item that starts at `at`. `budget[0]` is how many items there may still be."""
    if depth == 0:
        raise Malformed(f"nested deeper than {MAX_DEPTH}")
    if at >= len(data):
        raise Malformed("ends too early")
    first = data[at]
    major, argument, after = _head(data, at)
    if major <= 1:
        return after
    if major <= 3:
        if argument > len(data) - after:
            raise Malformed("ends too early")
        return after + argument
    if major <= 5:
        return _scan_members(data, after, argument, depth, budget, is_map=major == 5)
    if major == 6:
        if first not in _TAGS or argument not in (18, 98):
            raise Malformed("a tag that the wire does not use")
        return _scan(data, after, depth - 1, budget)
    if first not in _SIMPLE:
        raise Malformed("a simple value or float that the wire does not use")
    return after


def _scan_members(data: bytes, at: int, count: int, depth: int, budget: list[int], *, is_map: bool) -> int:
    if count > len(data) - at:  # each member takes a byte at least
        raise Malformed("ends too early")
    budget[0] -= count
    if budget[0] < 0:
        raise Malformed(f"more than {MAX_ITEMS} items")
    for _ in range(count):
        if is_map:
            if at >= len(data) or data[at] >> 5 != 0:
                raise Malformed("a map key that is not an unsigned integer")
            _, _, at = _head(data, at)
        at = _scan(data, at, depth - 1, budget)
    return at
