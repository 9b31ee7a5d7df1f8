"""Precedence and kind: what yields to what, and what can never turn into what.

The three precedences are those of Circular 39/2020/TT-BTTTT (thông thường, ưu tiên, khẩn cấp).
"""

from enum import IntEnum


class Precedence(IntEnum):
    """Who has the air: a higher one pre-empts a lower one at once."""

    ORDINARY = 1
    PRIORITY = 2
    EMERGENCY = 3


class Kind(IntEnum):
    """Live or drill. A key signs one kind only; the two never cross."""

    LIVE = 1
    DRILL = 2


class Interruption(IntEnum):
    """What becomes of a broadcast that a higher precedence interrupted."""

    DROP = 1
    RESTART = 2
    RESUME = 3
