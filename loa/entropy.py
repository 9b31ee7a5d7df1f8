"""Randomness is injected too: a function from a length in bytes to that many bytes."""

import secrets
from collections.abc import Callable

from loa.units import Id16

Entropy = Callable[[int], bytes]

system_entropy: Entropy = secrets.token_bytes


def new_id(entropy: Entropy) -> Id16:
    """A fresh identifier of a broadcast or an order."""
    return Id16(entropy(16))


def fraction(entropy: Entropy) -> float:
    """A number in [0, 1), for jitter."""
    return int.from_bytes(entropy(6), "big") / float(1 << 48)
