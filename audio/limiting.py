"""How much a sound must be limited: reckoned from its windows of 10 ms, before anything is encoded."""

import math

import numpy as np
from numpy.typing import NDArray

from audio.level import Mono
from loa.units import Lufs

MOST_DRIVE_DB = 20.0
NEAR_DB = 0.5
_STEP_DB = 0.1
_BLOCK, _HOP = 40, 10
"""Windows in a block of 400 ms, and from one block to the next (ITU-R BS.1770-4, annex 1)."""
_ABSOLUTE_GATE = 1e-7
_RELATIVE_GATE = 0.1
_TAIL = 0.1
_LEAST_TAIL = 5
_EULER = 0.577
_FURTHEST_DB = 1.0
_LET_GO = 0.6
"""The limiter touches a part only of a window in which it holds a peak: measured on speech and music."""


class Drive:
    """What the limiter takes from a sound at each drive: by how many decibels its highest peak is over the ceiling."""

    def __init__(self, heights: Mono, powers: Mono, loudness_lufs: Lufs) -> None:
        """Of each window: the highest sample, full scale 1, and the mean square."""
        self._heights, self._powers = heights, powers.astype(np.float64)
        self._peak = max(float(heights.max(initial=0.0)), 1e-9)
        self.peak_db = 20 * math.log10(self._peak)
        self._crest_db = self.peak_db - loudness_lufs
        self._whole_db = _gated_db(self._powers)

    def loss_db(self, drive_db: float) -> float:
        """By how much the limiter lowers the loudness."""
        held = np.minimum(1.0, self._peak * 10 ** (-drive_db / 20) / np.maximum(self._heights, 1e-9))
        return _LET_GO * (self._whole_db - _gated_db(self._powers * np.square(held)))

    def crest_db(self, drive_db: float) -> float:
        """The highest sample over the loudness, after limiting."""
        return self._crest_db - drive_db + self.loss_db(drive_db)

    def near_ceiling(self, drive_db: float) -> int:
        """Of how many windows the peaks reach to within half a decibel of the ceiling, or over it."""
        return int(np.count_nonzero(self._heights > self._peak * 10 ** (-(drive_db + NEAR_DB) / 20)))

    def least(self, crest_db: float) -> float:
        """The least drive, 0 at least, after which the crest is as wanted; MOST_DRIVE_DB where it never is."""
        steps = np.arange(0.0, MOST_DRIVE_DB, _STEP_DB)
        low, high = 0, len(steps)
        while low < high:
            middle = (low + high) // 2
            if self.crest_db(float(steps[middle])) <= crest_db:
                high = middle
            else:
                low = middle + 1
        return float(steps[low]) if low < len(steps) else MOST_DRIVE_DB


def _gated_db(powers: NDArray[np.float64]) -> float:
    """Loudness of windows' powers without the weighting of frequencies, of which only differences are of use."""
    if len(powers) < _BLOCK:
        powers = np.pad(powers, (0, _BLOCK - len(powers)))
    sums = np.concatenate(([0.0], np.cumsum(powers)))
    first = np.arange(0, len(powers) - _BLOCK + 1, _HOP)
    blocks = (sums[first + _BLOCK] - sums[first]) / _BLOCK
    blocks = blocks[blocks > _ABSOLUTE_GATE]
    if not len(blocks):
        return -70.0
    return 10 * math.log10(float(blocks[blocks > blocks.mean() * _RELATIVE_GATE].mean()))


def highest_of_all(tried_db: Mono, among: int) -> float:
    """The highest peak to be expected in all of a sound, of which some peaks near the ceiling are known.

    The number of peaks above a height falls exponentially with its decibels, as far as it was looked at: the highest of
    n is then expected at the mean excess times ln n + 0.577. At most 1 dB above the highest that is known.
    """
    tail = np.sort(tried_db)[-max(_LEAST_TAIL, int(len(tried_db) * _TAIL)) :].astype(np.float64)
    more = max(1.0, among / len(tried_db))
    expected = tail[0] + (tail - tail[0]).mean() * (math.log(len(tail) * more) + _EULER)
    return float(np.clip(expected, tail[-1], tail[-1] + _FURTHEST_DB))
