"""A first reading of a recording: how loud, where its ends are, and how its channels become one."""

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audio.decode import RATE
from audio.level import SILENCE_LUFS, WINDOW, LoudnessMeter, Mono
from audio.recording import Block, Sound
from loa.errors import Refused
from loa.units import Lufs

TRIM_DB = -50.0
_TRIM_BELOW_PEAK_DB = -30.0
_SILENT_DB = -75.0
_QUIET_DB = -20.0
_PAD = WINDOW
_WHOLE_MS = RATE // 1000
_LOUDEST = 24
_CANCELLED_SHARE = 0.1
_ACTIVE_SHARE = 1e-4

Tick = Callable[[int], None]
"""Called with the frames read so far; may raise to stop."""


@dataclass(frozen=True)
class Survey:
    """What a recording holds and which part of it is used."""

    weights: NDArray[np.float32]
    """Each channel's share in the mono sound."""
    offset: float
    """The constant in the mono sound that is taken away (an off-centre microphone input)."""
    frames: int
    start: int
    end: int
    """The part between the silent ends, in frames; a whole number of milliseconds long."""
    loudness_lufs: Lufs
    peak_db: float
    """Sample peak of the mono sound."""
    towering_db: float
    """How far the loudest hundredth of a second stands above the loudest hundredth of the whole."""
    heights: Mono
    """Of each window of 10 ms between start and end: the highest sample of the mono sound."""
    powers: Mono
    """The same windows' mean squares."""
    loudest: tuple[Mono, ...]
    """The two dozen seconds, or nearly, of the mono sound with the highest peaks: soft at their edges, in order."""

    def mono(self, block: Block) -> Mono:
        mixed: Mono = (self.weights @ block - np.float32(self.offset)).astype(np.float32)
        return mixed


def survey(sound: Sound, tick: Tick) -> Survey:
    """Read all of it. Raises Refused(silent_audio) and what reading raises."""
    reading = _Reading(None, 0.0)
    reading.read(sound, tick)
    weights = reading.better_weights()
    if weights is not None:
        reading = _Reading(weights, 0.0)
        reading.read(sound, tick)
    result = reading.result()
    if result.peak_db < _QUIET_DB:
        # The measure's absolute gate would take a quiet recording for silence: it is measured louder.
        reading = _Reading(result.weights, -result.peak_db)
        reading.read(sound, tick)
        result = reading.result()
    return result


class _Reading:
    def __init__(self, weights: NDArray[np.float32] | None, boost_db: float) -> None:
        self._weights = weights
        self._boost_db = boost_db
        self._boost = np.float32(10 ** (boost_db / 20))
        self._frames = 0
        self._sums: NDArray[np.float64] | None = None
        self._products: NDArray[np.float64] | None = None
        self._lows: list[NDArray[np.float32]] = []
        self._highs: list[NDArray[np.float32]] = []
        self._powers: list[NDArray[np.float32]] = []
        self._loudest: list[tuple[float, int, Mono]] = []
        self._rest = np.zeros(0, np.float32)
        self._meter = LoudnessMeter()

    def read(self, sound: Sound, tick: Tick) -> None:
        for block in sound.blocks():
            if self._weights is None:
                self._weights = np.full(block.shape[0], 1 / block.shape[0], np.float32)
            if self._sums is None or self._products is None:
                self._sums = np.zeros(block.shape[0])
                self._products = np.zeros((block.shape[0], block.shape[0]))
            self._sums += block.sum(axis=1, dtype=np.float64)
            self._products += block @ block.T
            mono = self._weights @ block
            self._meter.feed(mono * self._boost)
            self._take_windows(mono)
            self._keep_loudest(mono)
            self._frames += block.shape[1]
            tick(self._frames)

    def _take_windows(self, mono: Mono) -> None:
        joined = np.concatenate((self._rest, mono))
        whole = len(joined) // WINDOW * WINDOW
        windows = joined[:whole].reshape(-1, WINDOW)
        self._lows.append(windows.min(axis=1, initial=1e9))
        self._highs.append(windows.max(axis=1, initial=-1e9))
        self._powers.append(np.einsum("ij,ij->i", windows, windows) / np.float32(WINDOW))
        self._rest = joined[whole:]

    def _keep_loudest(self, mono: Mono) -> None:
        heapq.heappush(self._loudest, (float(np.ptp(mono)), self._frames, mono))
        if len(self._loudest) > _LOUDEST:
            heapq.heappop(self._loudest)

    def better_weights(self) -> NDArray[np.float32] | None:
        """Other weights where the plain mean of all channels would be wrong; None where it is right."""
        if self._sums is None or self._products is None or len(self._sums) == 1 or self._frames == 0:
            return None
        means = self._sums / self._frames
        power = self._products / self._frames - np.outer(means, means)
        each = np.clip(np.diag(power), 0, None)
        if each.max() <= 0:
            return None
        active = each > each.max() * _ACTIVE_SHARE
        weights = active / active.sum()
        # Channels in phase sum to n times the sum of their powers, unrelated ones to that sum, opposite ones to 0.
        if (active @ power @ active) < _CANCELLED_SHARE * each[active].sum():
            weights = np.arange(len(each)) == int(each.argmax())
        if weights.tolist() == [1 / len(each)] * len(each):
            return None
        return np.asarray(weights, np.float32)

    def _loudness(self) -> Lufs:
        measured = self._meter.loudness()
        return measured if measured <= SILENCE_LUFS else Lufs(measured - self._boost_db)

    def result(self) -> Survey:
        if self._weights is None or self._sums is None or self._frames == 0:
            raise Refused("decode_failed", field="file", plays_s=0, claimed_s="?", why="no sound could be decoded")
        if len(self._rest):
            self._lows.append(self._rest.min(keepdims=True))
            self._highs.append(self._rest.max(keepdims=True))
            self._powers.append(np.square(self._rest).mean(keepdims=True))
        offset = float(self._weights @ self._sums) / self._frames
        heights = np.maximum(np.concatenate(self._highs) - offset, offset - np.concatenate(self._lows))
        peak_db = 20 * math.log10(max(float(heights.max()), 1e-9))
        if peak_db < _SILENT_DB:
            raise Refused("silent_audio", field="file", limit=_SILENT_DB)
        threshold = 10 ** (min(TRIM_DB, peak_db + _TRIM_BELOW_PEAK_DB) / 20)
        heard = np.flatnonzero(heights >= threshold)
        start = max(0, int(heard[0]) * WINDOW - _PAD)
        end = min(self._frames, (int(heard[-1]) + 1) * WINDOW + _PAD)
        end = start + max(_WHOLE_MS, (end - start) // _WHOLE_MS * _WHOLE_MS)
        body = slice(start // WINDOW, -(-end // WINDOW))
        loudest = sorted(self._loudest, key=lambda kept: kept[1])
        return Survey(
            weights=self._weights,
            offset=offset,
            frames=self._frames,
            start=start,
            end=end,
            loudness_lufs=self._loudness(),
            peak_db=peak_db,
            towering_db=peak_db - 20 * math.log10(max(float(np.quantile(heights, 0.99)), 1e-9)),
            heights=heights[body].astype(np.float32),
            powers=np.maximum(np.concatenate(self._powers)[body] - np.float32(offset**2), 0),
            loudest=tuple(_soft_edged(mono - np.float32(offset)) for _, _, mono in loudest),
        )


def _soft_edged(samples: Mono) -> Mono:
    """So that one stretch after another makes no clicks."""
    inside = np.arange(len(samples), dtype=np.float32)
    edge = np.minimum(np.minimum(inside, inside[::-1]) / np.float32(WINDOW), np.float32(1))
    return np.asarray(samples * edge, np.float32)
