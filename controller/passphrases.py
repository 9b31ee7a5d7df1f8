"""Passphrases that keys are sealed under: what is too weak, and one form of the same text on every keyboard."""

import base64
import unicodedata
from collections.abc import Iterable
from itertools import pairwise

from loa.entropy import Entropy
from loa.errors import Refused

SHORTEST_PASSPHRASE, LONGEST_PASSPHRASE = 12, 256
_LEAST_NEWS = 8
"""So many characters must say something: not repeat, go on in a row of keys or belong to a word that all try first."""
_ROWS = ("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = frozenset(a + b for row in _ROWS for line in (row, row[::-1]) for a, b in pairwise(line))
_COMMON = (
    "passphrase", "password", "matkhau", "khancap", "emergency", "quangninh", "vietnam", "truyenthanh", "phatthanh",
    "canhbao", "trungtam", "welcome", "iloveyou", "anhyeuem", "admin", "letmein", "loudspeaker", "secret", "bimat",
)  # fmt: skip


def written(passphrase: str) -> bytes:
    """The passphrase as it is put to use: UTF-8 of NFC, since keyboards differ in how they make a letter like ậ."""
    return unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogatepass")


def check_passphrase(passphrase: str, *, field: str = "passphrase", known: Iterable[str] = ()) -> None:
    """Raises Refused(weak_passphrase, too_large).

    known: words that say nothing here, such as the account's own name. Strength comes from length: a few words of
    one's own do; what everybody tries first does not, however long.
    """
    if len(passphrase) > LONGEST_PASSPHRASE:
        raise Refused("too_large", field=field, limit=f"{LONGEST_PASSPHRASE} characters")
    if len(unicodedata.normalize("NFC", passphrase)) < SHORTEST_PASSPHRASE or _news(passphrase, known) < _LEAST_NEWS:
        raise Refused("weak_passphrase", field=field, limit=SHORTEST_PASSPHRASE)


def suggest_passphrase(entropy: Entropy) -> str:
    """100 random bits as five groups of four letters and digits."""
    drawn = base64.b32encode(entropy(15)).decode().lower()
    return "-".join(drawn[at : at + 4] for at in range(0, 20, 4))


def _news(passphrase: str, known: Iterable[str]) -> int:
    """How many characters say something."""
    plain = _plain(passphrase)
    for word in sorted((*_COMMON, *map(_plain, known)), key=len, reverse=True):
        if len(word) >= 3:
            plain = plain.replace(word, "\0")
    plain = _once(plain)
    return sum(
        before != here and before + here not in _NEIGHBOURS for before, here in zip("\0" + plain, plain, strict=False)
    )


def _plain(text: str) -> str:
    """Small letters without accents, spaces and signs between them."""
    bare = unicodedata.normalize("NFD", text.casefold()).replace("đ", "d")
    return "".join(letter for letter in bare if not unicodedata.combining(letter) and not letter.isspace())


def _once(text: str) -> str:
    """A text that is one part over and over, once."""
    at = (text + text).find(text, 1) if text else 0
    return text[:at]
