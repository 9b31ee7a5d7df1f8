"""Noise on a line."""

import random


def with_bit_errors(data: bytes, share: float, chance: random.Random) -> bytes:
    """`data` with each bit flipped with a probability of `share`."""
    if share <= 0:
        return data
    spoilt = bytearray(data)
    at = int(chance.expovariate(share))
    while at < 8 * len(spoilt):
        spoilt[at // 8] ^= 1 << at % 8
        at += 1 + int(chance.expovariate(share))
    return bytes(spoilt)
