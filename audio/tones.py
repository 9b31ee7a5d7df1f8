"""Sounds that are generated: test tones, sirens, chimes. All mono, 48 kHz, signed 16 bits."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from audio.decode import RATE, Pcm
from audio.level import Mono, measure

_CHIME_LUFS = -17.0
_CHIME_PEAK = 0.6
_FADE_MS = 10


def pcm_of(samples: Mono) -> Pcm:
    """16-bit PCM of samples with full scale 1; more is clipped."""
    return Pcm(np.clip(np.round(samples * 32767), -32768, 32767).astype("<i2").tobytes())


def tone(hertz: float, duration_ms: int, *, level_db: float = -12.0) -> Pcm:
    """A sine with soft ends; its amplitude in dB below full scale."""
    time = _time(duration_ms)
    return pcm_of(_soft_ends(np.sin(2 * np.pi * hertz * time)) * np.float32(10 ** (level_db / 20)))


def silence(duration_ms: int) -> Pcm:
    """Nothing, for gaps."""
    return Pcm(bytes(2 * (duration_ms * RATE // 1000)))


def siren(duration_ms: int, *, low_hz: float = 450.0, high_hz: float = 950.0, period_ms: int = 4000) -> Pcm:
    """A wailing siren: pitch up and down once a period, with the overtones that a horn carries well."""
    time = _time(duration_ms)
    pitch = low_hz + (high_hz - low_hz) * (0.5 - 0.5 * np.cos(2 * np.pi * time * 1000 / period_ms))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    wave = np.sin(phase) + 0.4 * np.sin(2 * phase) + 0.25 * np.sin(3 * phase)
    return pcm_of(_soft_ends(wave / 1.65) * np.float32(0.7))


def two_tone(duration_ms: int, *, low_hz: float = 800.0, high_hz: float = 970.0, each_ms: int = 250) -> Pcm:
    """Two pitches in turn, as public alarms sound them (BS 5839-1: 800 and 970 Hz, four times a second)."""
    time = _time(duration_ms)
    pitch = np.where((time * 1000 / each_ms).astype(np.int64) % 2 == 0, high_hz, low_hz)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    wave = np.sin(phase) + 0.3 * np.sin(3 * phase)
    return pcm_of(_soft_ends(wave / 1.3) * np.float32(0.7))


def gong() -> Pcm:
    """Four slow bell tones, 4 s: listen, but no need to run."""
    return _chime((659.25, 523.25, 659.25, 523.25), step=0.9)


@cache
def opening_chime() -> Pcm:
    """Three bell tones going up: something is about to be said."""
    return _chime((523.25, 659.25, 783.99))


@cache
def closing_chime() -> Pcm:
    """Two bell tones going down: that was it."""
    return _chime((783.99, 523.25))


def _chime(notes: tuple[float, ...], *, step: float = 0.42) -> Pcm:
    ring = 1.3
    total = np.zeros(round((step * (len(notes) - 1) + ring) * RATE), np.float64)
    for number, hertz in enumerate(notes):
        start = round(step * number * RATE)
        time = np.arange(round(ring * RATE)) / RATE
        bell = sum(
            share * np.sin(2 * np.pi * hertz * ratio * time) * np.exp(-time * decay)
            for ratio, share, decay in ((1.0, 1.0, 3.5), (2.0, 0.35, 5.0), (3.01, 0.12, 8.0))
        )
        total[start : start + len(time)] += bell * np.minimum(1.0, time / 0.006)
    samples = _soft_ends(total)
    gain = 10 ** ((_CHIME_LUFS - measure(samples).loudness_lufs) / 20)
    return pcm_of(samples * np.float32(min(gain, _CHIME_PEAK / float(np.abs(samples).max()))))


def _time(duration_ms: int) -> NDArray[np.float64]:
    return np.arange(duration_ms * RATE // 1000) / RATE


def _soft_ends(wave: NDArray[np.float64]) -> Mono:
    fade = min(len(wave) // 2, _FADE_MS * RATE // 1000)
    shape = np.ones(len(wave))
    if fade:
        ramp = 0.5 - 0.5 * np.cos(np.pi * np.arange(fade) / fade)
        shape[:fade], shape[len(wave) - fade :] = ramp, ramp[::-1]
    return (wave * shape).astype(np.float32)
