"""Laying one sound over another: lag, drift, mel bands. Numpy alone."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from audio.decode import Pcm

Signal = NDArray[np.float32]
Samples: TypeAlias = bytes | Pcm | NDArray[np.int16] | NDArray[np.float32]
"""Mono: signed 16-bit little-endian bytes, PCM, or an array of int16 or of floats with full scale 1."""

_WHOLE_SECONDS = 150
_FINE_SECONDS = 10
_MAX_DRIFT = 400e-6
_TAPS = 16


def signal_of(samples: Samples) -> Signal:
    """Floats with full scale 1."""
    if isinstance(samples, Pcm):
        samples = samples.data
    if isinstance(samples, bytes | bytearray | memoryview):
        array = np.frombuffer(samples, "<i2")
    else:
        array = np.asarray(samples).reshape(-1)
    if array.dtype.kind == "i":
        return array.astype(np.float32) / np.float32(32768)
    return array.astype(np.float32)


def find_lag(moved: Signal, fixed: Signal, rate: int) -> int:
    """Frames by which `moved` is late: moved[lag + i] looks like fixed[i]. Negative where its beginning is missing."""
    if not len(moved) or not len(fixed):
        return 0
    if len(moved) + len(fixed) <= 2 * _WHOLE_SECONDS * rate:
        return _correlate(moved, fixed)
    step = max(1, rate // 1000)
    coarse = _correlate(_envelope(moved, step), _envelope(fixed, step)) * step
    at = _loudest(fixed, min(len(fixed), _FINE_SECONDS * rate))
    piece = fixed[at : at + _FINE_SECONDS * rate]
    reach = rate // 20
    from_ = max(0, at + coarse - reach)
    near = moved[from_ : at + coarse + len(piece) + reach]
    return coarse if not len(near) else _correlate(near, piece) + from_ - at


def _correlate(moved: Signal, fixed: Signal) -> int:
    size = 1 << (len(moved) + len(fixed) - 1).bit_length()
    product = np.fft.rfft(moved, size) * np.conj(np.fft.rfft(fixed, size))
    best = int(np.fft.irfft(product, size).argmax())
    return best - size if best >= len(moved) else best


def _envelope(signal: Signal, step: int) -> Signal:
    whole = len(signal) // step * step
    envelope = np.abs(signal[:whole]).reshape(-1, step).mean(axis=1)
    return np.asarray(envelope - envelope.mean(), np.float32)


def _loudest(signal: Signal, length: int) -> int:
    step = max(1, length // 10)
    starts = range(0, max(1, len(signal) - length + 1), step)
    return max(starts, key=lambda start: float(np.square(signal[start : start + length]).sum()))


def laid_over(moved: Signal, lag: int, before: int, length: int) -> Signal:
    """`length` frames of `moved` so that frame `before` is its frame `lag`; zeros where it has none."""
    out = np.zeros(length, np.float32)
    start = lag - before
    first, last = max(0, -start), min(length, len(moved) - start)
    if last > first:
        out[first:last] = moved[start + first : start + last]
    return out


def fine_lags(moved: Signal, fixed: Signal, rate: int, *, drift: bool) -> tuple[float, float]:
    """What is left after whole frames: (lag at frame 0, lag gained a frame), by the loud half-seconds.

    `moved` and `fixed` are laid over each other already. Without drift the second is 0.
    """
    length = rate // 2
    count = len(fixed) // length
    if count == 0:
        return 0.0, 0.0
    power = np.square(fixed[: count * length]).reshape(count, length).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 1e-2)
    loud = loud[np.linspace(0, len(loud) - 1, min(len(loud), 60)).round().astype(int)]
    reach = 4 + (int(_MAX_DRIFT * len(fixed)) if drift else 0)
    places = loud * length + length / 2
    lags = np.array([_fine_lag(moved, fixed, int(piece) * length, length, reach) for piece in loud])
    if not drift or len(loud) < 3:
        return float(np.median(lags)), 0.0
    steps = places[:, None] - places[None, :]
    upper = np.triu_indices(len(places), 1)
    slope = float(np.median((lags[:, None] - lags[None, :])[upper] / steps[upper]))
    slope = max(-_MAX_DRIFT, min(_MAX_DRIFT, slope))
    return float(np.median(lags - slope * places)), slope


def _fine_lag(moved: Signal, fixed: Signal, at: int, length: int, reach: int) -> float:
    piece = fixed[at : at + length]
    near = laid_over(moved, at - reach, 0, length + 2 * reach)
    size = 1 << (len(near) + len(piece)).bit_length()
    scores = np.fft.irfft(np.fft.rfft(near, size) * np.conj(np.fft.rfft(piece, size)), size)[: 2 * reach + 1]
    best = int(scores.argmax())
    if not 0 < best < 2 * reach:
        return float(best - reach)
    left, middle, right = (float(score) for score in scores[best - 1 : best + 2])
    bend = left - 2 * middle + right
    return best - reach + (0.5 * (left - right) / bend if bend else 0.0)


def shifted(signal: Signal, lag: float, slope: float) -> Signal:
    """The signal read at frame + lag + slope × frame, between frames by a windowed sinc."""
    out = np.zeros(len(signal), np.float32)
    padded = np.pad(signal, _TAPS)
    offsets = np.arange(-_TAPS // 2 + 1, _TAPS // 2 + 1)
    for start in range(0, len(signal), 1 << 18):
        frames = np.arange(start, min(len(signal), start + (1 << 18)))
        places = np.clip(frames + lag + slope * frames, -1, len(signal))
        whole = np.floor(places).astype(np.int64)
        distance = (places - whole)[:, None] - offsets[None, :]
        kernel = np.sinc(distance) * (0.5 + 0.5 * np.cos(np.pi * distance / (_TAPS / 2 + 1)))
        out[frames] = (padded[whole[:, None] + offsets[None, :] + _TAPS] * kernel).sum(axis=1)
    return out


def log_mel(signal: Signal, rate: int, *, bands: int = 40, window: int = 2048, hop_ms: int = 20) -> Signal:
    """Decibels, shape (hops, bands): mel bands from 80 to 8,000 Hz of Hann windows."""
    hop = rate * hop_ms // 1000
    count = max(1, 1 + (len(signal) - window) // hop)
    padded = np.pad(signal, (0, max(0, window + (count - 1) * hop - len(signal))))
    filters = _mel_filters(rate, bands, window)
    shape = np.hanning(window).astype(np.float32)
    hops = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop][:count]
    out = np.empty((count, bands), np.float32)
    for at in range(0, count, 512):
        power = np.square(np.abs(np.fft.rfft(hops[at : at + 512] * shape, axis=1)))
        out[at : at + 512] = 10 * np.log10(power @ filters.T + 1e-20)
    return out


def _mel_filters(rate: int, bands: int, window: int) -> NDArray[np.float64]:
    top = min(8000.0, rate / 2)
    mel = np.linspace(2595 * np.log10(1 + 80 / 700), 2595 * np.log10(1 + top / 700), bands + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    bins = np.fft.rfftfreq(window, 1 / rate)[None, :]
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    return np.clip(np.minimum(rising, falling), 0, None)
