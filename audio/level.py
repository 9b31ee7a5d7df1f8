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

    def __init__(self, *, true_peak: bool = True) -> None:
        self._chain = _Chain(("ebur128", f"metadata=1:framelog=quiet:peak={'true' if true_peak else 'none'}"))
        self._loudness = SILENCE_LUFS
        self._peak = 0.0

    def feed(self, samples: Mono) -> None:
        self._take(self._chain.push(samples))

    def level(self) -> Level:
        """Ends the measurement."""
        # The measure moves in steps of 100 ms: silence after the end lets it take the last part, and is gated out.
        self._take(self._chain.push(np.zeros(RATE // 10, np.float32)))
        self._take(self._chain.push(None))
        peak = 20 * math.log10(self._peak) if self._peak > 0 else -120.0
        return Level(Lufs(max(self._loudness, SILENCE_LUFS)), DbTp(peak))

    def _take(self, frames: list[Any]) -> None:
        for frame in frames:
            metadata = frame.metadata
            loudness = float(metadata.get("lavfi.r128.I", "nan"))
            if math.isfinite(loudness):
                self._loudness = Lufs(loudness)
            peak = float(metadata.get("lavfi.r128.true_peak", "nan"))
            if math.isfinite(peak):
                self._peak = max(self._peak, peak)


class Limiter:
    """Holds sample peaks below a ceiling, looking 1 ms ahead; length and position are kept.

    It lets go within 10 ms: only the peaks themselves are touched, and the sound between them keeps its balance.
    """

    def __init__(self, ceiling_db: float) -> None:
        limit = max(0.0625, min(1.0, 10 ** (ceiling_db / 20)))
        self._chain = _Chain(
            ("alimiter", f"limit={limit:.6f}:attack=1:release=10:level=disabled:latency=1"),
            ("aformat", "sample_fmts=flt"),
        )

    def feed(self, samples: Mono | None) -> list[Mono]:
        """Limited samples that are ready; None at the end gives the rest."""
        return [frame.to_ndarray().reshape(-1) for frame in self._chain.push(samples)]


def measure(samples: Mono) -> Level:
    """The level of a short piece."""
    meter = LoudnessMeter()
    for at in range(0, len(samples), RATE):
        meter.feed(samples[at : at + RATE])
    return meter.level()
