"""Loudness: measuring it (ITU-R BS.1770 by libav's ebur128) and holding peaks down (alimiter)."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

from audio.decode import RATE
from loa.units import DbTp, Lufs

SILENCE_LUFS = Lufs(-70.0)
"""What the measure shows where nothing is above its absolute gate."""

Mono = NDArray[np.float32]
"""Samples, shape (frames,), full scale 1, at 48 kHz."""


WINDOW = RATE // 100
_REACH = 16
"""Samples on either side of a place between two samples that decide on the height there."""
_NEAR = 0.63
_HUSH = (np.random.default_rng(1).standard_normal(RATE) * 1e-7).astype(np.float32)
"""A second of noise, 140 dB below full scale."""


def _between() -> Mono:
    """Shape (2 x _REACH, 3): weights for 1/4, 1/2 and 3/4 of the way from sample _REACH - 1 to the next."""
    distance = np.arange(1 - _REACH, _REACH + 1)[:, None] - np.array([0.25, 0.5, 0.75])[None, :]
    return np.asarray(np.sinc(distance) * np.cos(np.pi * distance / (2 * _REACH + 2)) ** 2, np.float32)


_BETWEEN = _between()


@dataclass(frozen=True)
class Level:
    """Integrated loudness (SILENCE_LUFS where there is none) and true peak."""

    loudness_lufs: Lufs
    peak_dbtp: DbTp


class _Chain:
    """A chain of libav filters over mono samples."""

    def __init__(self, *filters: tuple[str, str]) -> None:
        self._graph = Graph()
        self._in: Any = self._graph.add_abuffer(
            sample_rate=RATE, format="flt", layout="mono", time_base=Fraction(1, RATE)
        )
        last: Any = self._in
        for name, arguments in filters:
            step = self._graph.add(name, arguments)
            last.link_to(step)
            last = step
        self._out: Any = self._graph.add("abuffersink")
        last.link_to(self._out)
        self._graph.configure()
        self._at = 0

    def push(self, samples: Mono | None) -> list[Any]:
        """Frames that are ready; None at the end flushes."""
        if samples is None:
            self._in.push(None)
        elif len(samples):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32)[None, :], "flt", "mono")
            frame.sample_rate, frame.pts = RATE, self._at
            self._at += len(samples)
            self._in.push(frame)
        frames = []
        while True:
            try:
                frames.append(self._out.pull())
            except (av.BlockingIOError, av.EOFError):
                return frames


class LoudnessMeter:
    """Feed it samples, then ask. Memory does not grow with length."""

    def __init__(self) -> None:
        self._chain = _Chain(("ebur128", "metadata=1:framelog=quiet:peak=none"))
        self._loudness = SILENCE_LUFS

    def feed(self, samples: Mono) -> None:
        # Perfect silence would leave numbers in the measure's filters that are too small for the processor to be quick.
        for at in range(0, len(samples), len(_HUSH)):
            part = samples[at : at + len(_HUSH)]
            self._take(self._chain.push(part + _HUSH[: len(part)]))

    def loudness(self) -> Lufs:
        """Ends the measurement."""
        # The measure moves in steps of 100 ms: silence after the end lets it take the last part, and is gated out.
        self._take(self._chain.push(np.zeros(RATE // 10, np.float32)))
        self._take(self._chain.push(None))
        return Lufs(max(self._loudness, SILENCE_LUFS))

    def _take(self, frames: list[Any]) -> None:
        for frame in frames:
            loudness = float(frame.metadata.get("lavfi.r128.I", "nan"))
            if math.isfinite(loudness):
                self._loudness = Lufs(loudness)


class PeakMeter:
    """Peaks of windows of 10 ms: true peaks (four points a sample) where they come near the highest.

    Between samples a wave rises by more than 4 dB only if it lies close below 24 kHz, where renditions hold nothing.
    """

    def __init__(self, lead: int = 0) -> None:
        """lead: frames by which the first window is short."""
        self._rest = np.zeros(_REACH + lead, np.float32)
        self._highest = np.float32(0)
        self._windows: list[Mono] = []

    def feed(self, samples: Mono) -> None:
        """Any number of samples; those of an unfinished window wait for more."""
        joined = np.concatenate((self._rest, samples))
        count = (len(joined) - 2 * _REACH) // WINDOW
        if count <= 0:
            self._rest = joined
            return
        heights = np.abs(joined[_REACH : _REACH + count * WINDOW + 1])
        peaks = heights[:-1].reshape(count, WINDOW).max(axis=1)
        self._highest = max(self._highest, peaks.max())
        high = heights > self._highest * np.float32(_NEAR)
        places = np.flatnonzero(high[:-1] | high[1:])
        if len(places):
            around = np.lib.stride_tricks.sliding_window_view(joined, 2 * _REACH)
            between = np.abs(around[places + 1] @ _BETWEEN).max(axis=1)
            np.maximum.at(peaks, places // WINDOW, between)
            self._highest = max(self._highest, between.max())
        self._windows.append(peaks)
        self._rest = joined[count * WINDOW :]

    def windows_db(self) -> Mono:
        """Decibels of each window; ends the measurement."""
        self.feed(np.zeros(WINDOW + 2 * _REACH, np.float32))
        return np.asarray(20 * np.log10(np.maximum(np.concatenate(self._windows), 1e-6)), np.float32)


class Limiter:
    """Holds sample peaks below a ceiling, looking 0.3 ms ahead; length and position are kept.

    It lets go within 1 ms: only the peaks themselves are touched. By log-mel a voice limited as slowly as is usual
    (5 and 50 ms) is four times as far from the original, since far more must be taken for the same height of peaks.
    """

    def __init__(self, ceiling_db: float) -> None:
        limit = max(0.0625, min(1.0, 10 ** (ceiling_db / 20)))
        self._chain = _Chain(
            ("alimiter", f"limit={limit:.6f}:attack=0.3:release=1:level=disabled:latency=1"),
            ("aformat", "sample_fmts=flt"),
        )

    def feed(self, samples: Mono | None) -> list[Mono]:
        """Limited samples that are ready; None at the end gives the rest."""
        return [frame.to_ndarray().reshape(-1) for frame in self._chain.push(samples)]


def measure(samples: Mono) -> Level:
    """The level of a short piece."""
    loudness, peaks = LoudnessMeter(), PeakMeter()
    loudness.feed(samples)
    peaks.feed(samples)
    return Level(loudness.loudness(), DbTp(float(peaks.windows_db().max())))
