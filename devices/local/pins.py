"""PINs of those who hold a station's key, and how often somebody may try. Pure, but for the hash."""

import hashlib
import hmac
from dataclasses import dataclass, replace

from loa.entropy import Entropy

SHORTEST, LONGEST = 6, 12
MOST_WRONG = 5
FIRST_LOCK_S, LONGEST_LOCK_S = 60.0, 3600.0
_COST, _BLOCK, _LANES = 1 << 12, 8, 1


@dataclass(frozen=True)
class Pin:
    """Somebody's PIN, hashed (scrypt, RFC 7914). Digits are few: what protects them is that tries are."""

    name: str
    salt: bytes
    hash: bytes

    @classmethod
    def of(cls, name: str, digits: str, entropy: Entropy) -> "Pin":
        """Raises ValueError for what is not 6 to 12 digits."""
        if not (digits.isascii() and digits.isdecimal() and SHORTEST <= len(digits) <= LONGEST):
            raise ValueError(f"a PIN is {SHORTEST} to {LONGEST} digits")
        salt = entropy(16)
        return cls(name, salt, _hashed(digits, salt))

    def fits(self, digits: str) -> bool:
        return hmac.compare_digest(_hashed(digits, self.salt), self.hash)


@dataclass(frozen=True)
class Tries:
    """Wrong PINs since the last right one. After five the input is locked: 1, 2, 4 … 60 minutes."""

    wrong: int = 0
    locked_until_s: float = 0.0
    """By the monotonic clock."""

    def after_wrong(self, now_s: float) -> "Tries":
        wrong = self.wrong + 1
        lock_s = min(LONGEST_LOCK_S, FIRST_LOCK_S * 2 ** min(wrong - MOST_WRONG, 10)) if wrong >= MOST_WRONG else 0.0
        return Tries(wrong, now_s + lock_s)

    def restored(self, now_s: float) -> "Tries":
        """After a restart: whoever pulls the plug gains nothing."""
        return replace(self, wrong=self.wrong - 1).after_wrong(now_s) if self.wrong else self

    def locked_for_s(self, now_s: float) -> float:
        return max(0.0, self.locked_until_s - now_s)


def _hashed(digits: str, salt: bytes) -> bytes:
    return hashlib.scrypt(digits.encode("utf-8", "replace"), salt=salt, n=_COST, r=_BLOCK, p=_LANES, dklen=32)
