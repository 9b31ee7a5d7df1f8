"""Bytes as people type them: Crockford's base32 in groups of four, with two symbols that check the others.

Without I, L, O and U; O, I and L are understood as 0, 1 and 1 (https://www.crockford.com/base32.html). His own check
symbols `*~$=` are not used: a shell and a QR code's alphanumeric mode take offence at them.
"""

from hashlib import sha256

from loa.errors import Refused

_SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TYPED = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})


def base32(data: bytes) -> str:
    """The bytes as a number in base 32, most significant symbol first, at its full width; no check symbol."""
    width = -(-len(data) * 8 // 5)
    number = int.from_bytes(data, "big")
    return "".join(_SYMBOLS[(number >> 5 * (width - 1 - at)) & 31] for at in range(width))


def typed_code(data: bytes) -> str:
    """`base32` with its check symbols, in groups of four: ``7ZZZ-0G42-…``."""
    text = base32(data) + _check(data)
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


def read_base32(text: str, length: int, *, field: str = "code") -> bytes:
    """The `length` bytes that `base32` wrote. Raises Refused(bad_label)."""
    symbols = text.upper().translate(_TYPED)
    if len(symbols) != -(-length * 8 // 5) or any(symbol not in _SYMBOLS for symbol in symbols):
        raise Refused("bad_label", field=field, limit=f"{-(-length * 8 // 5)} symbols")
    number = 0
    for symbol in symbols:
        number = number << 5 | _SYMBOLS.index(symbol)
    if number >> 8 * length:
        raise Refused("bad_label", field=field, limit=f"{length} bytes")
    return number.to_bytes(length, "big")


def read_code(text: str, length: int) -> bytes:
    """The `length` bytes that `typed_code` wrote, as somebody typed it. Raises Refused(bad_label)."""
    symbols = text.upper().translate(_TYPED)
    data = read_base32(symbols[:-2], length)
    if symbols[-2:] != _check(data):
        raise Refused("bad_label", field="code", limit="its last two symbols fit the others")
    return data


def _check(data: bytes) -> str:
    """10 bits of a hash: one mistake in a thousand is overlooked here, and none by the MAC that follows."""
    return base32(sha256(b"loa code" + data).digest())[:2]
