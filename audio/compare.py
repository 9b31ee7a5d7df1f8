"""Whether what was heard is what was sent, and whether a rendition is what was recorded."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audio.align import Samples, Signal, find_lag, fine_lags, laid_over, log_mel, shifted, signal_of

WINDOW_MS = 100
WINDOW_BAR_DB = -20.0
LOUDEST_BAR_DB = -45.0
MEL_BAR_DB = 2.0
MEL_FLOOR_DB = 60.0
LENGTH_BAR = 0.01
_LENGTH_SLACK_S = 0.03
_HOLE_DB = 20.0
_HOLE_HOPS = 4
_SECOND_HOPS = 50
_SECOND_BAR_DB = 8.0
_TRIM_DB = -50.0
_TRIM_BELOW_PEAK_DB = -30.0


@dataclass(frozen=True)
class Match:
    """The verdict, and what it rests on."""

    ok: bool
    lag_ms: float
    """How much later the first sound begins than the second."""
    gain: float
    """Linear: the first over the second."""
    worst_window_db: float
    """heard: by how much the worst window is over its bar (below 0: under it). rendition: mean log-mel difference."""
    failed_windows: tuple[int, ...]
    """Their places, in milliseconds of the second sound; the first 20."""
    reason: str
    """Why not, in English; empty where it matches."""
    drift_ppm: float = 0.0


def _no(reason: str) -> Match:
    return Match(False, 0.0, 0.0, float("inf"), (), reason)


def heard_matches(heard: Samples, reference: Samples, rate: int = 48_000, *, drift: bool = False) -> Match:
    """Whether `heard` is `reference` at one lag and one gain (and one drift of the clock, where that is allowed).

    No window of 100 ms may have a residual above the larger of -20 dB of that window and -45 dB of the loudest one.
    What was heard before and after the reference counts as residual.
    """
    moved, fixed = signal_of(heard), signal_of(reference)
    if not len(fixed) or not np.any(fixed):
        return _no("the reference is silent")
    if not len(moved) or not np.any(moved):
        return _no("nothing was heard")
    lag = find_lag(moved, fixed, rate)
    step = rate * WINDOW_MS // 1000
    before = -(-max(0, lag) // step) * step
    after = max(0, len(moved) - lag - len(fixed))
    windows = -(-(before + len(fixed) + after) // step)
    held = laid_over(fixed, 0, before, windows * step)
    laid = laid_over(moved, lag, before, windows * step)
    fine, slope = fine_lags(laid, held, rate, drift=drift)
    if abs(fine) > 0.02 or slope:
        laid = shifted(laid, fine, slope)
    gain = float(np.dot(laid, held) / np.dot(held, held))
    if gain <= 0:
        return _no("another sound")
    wanted = _powers(held * np.float32(gain), step)
    excess = _powers(laid - np.float32(gain) * held, step) - np.maximum(
        wanted + WINDOW_BAR_DB, wanted.max() + LOUDEST_BAR_DB
    )
    failed = np.flatnonzero(excess > 0)
    reason = f"{len(failed)} of {windows} windows differ" if len(failed) else ""
    return Match(
        ok=not len(failed),
        lag_ms=round((lag + fine) * 1000 / rate, 3),
        gain=gain,
        worst_window_db=float(excess.max()),
        failed_windows=tuple(int(number) * WINDOW_MS - before * 1000 // rate for number in failed[:20]),
        reason=reason,
        drift_ppm=slope * 1e6,
    )


def _powers(signal: Signal, step: int) -> NDArray[np.float64]:
    """Decibels of each window."""
    power = np.square(signal, dtype=np.float64).reshape(-1, step).mean(axis=1)
    return np.asarray(10 * np.log10(power + 1e-12))


def rendition_matches(
    rendition: Samples, recording: Samples, rate: int = 48_000, *, skip_head_ms: int = 0, skip_tail_ms: int = 0
) -> Match:
    """Whether a decoded rendition holds the recording (mono, same rate), levelled and trimmed as it may be.

    skip_head_ms, skip_tail_ms: chimes of the rendition that the recording lacks. The bar is a mean difference of 2 dB
    in log-mel after the mean gain is removed, and lengths within 1 % after trimming. Holes and places that differ
    through a whole second fail too, which a mean over a long recording would hide.
    """
    made, source = signal_of(rendition), signal_of(recording)
    made = made[skip_head_ms * rate // 1000 : len(made) - skip_tail_ms * rate // 1000]
    threshold = _threshold(source)
    source = _trimmed(source - (source.mean() if len(source) else 0), threshold, rate)
    if not len(source):
        return _no("the recording is silent")
    if not len(made) or np.abs(made).max() < 10 ** (_TRIM_DB / 20):
        return _no("the rendition is silent")
    lag = find_lag(made, source, rate)
    ours = log_mel(laid_over(made, lag, 0, len(source)), rate)
    theirs = log_mel(source, rate)
    gain_db = _mean_gain(ours, theirs)
    own_threshold = min(10 ** (-30 / 20), threshold * 10 ** (gain_db / 20))
    # Near the threshold the codec moves the ends of a slow fade: cut ends count as they are, silence on them does not.
    length = min(len(made), len(_trimmed(made, own_threshold, rate)), key=lambda frames: abs(frames - len(source)))
    difference = _floored(ours) - _floored(theirs)
    difference -= difference.mean()
    mean_db = float(np.abs(difference).mean())
    places = _differing_places(ours - np.float32(gain_db), theirs)
    slack = max(LENGTH_BAR * len(source), _LENGTH_SLACK_S * rate)
    reason = ""
    if mean_db > MEL_BAR_DB:
        reason = f"the sound differs by {mean_db:.1f} dB in the mean"
    elif abs(length - len(source)) > slack:
        reason = f"{length / rate:.2f} s long, the recording {len(source) / rate:.2f} s"
    elif places:
        reason = f"{len(places)} places differ"
    return Match(not reason, round(lag * 1000 / rate, 3), 10 ** (gain_db / 20), mean_db, places, reason)


def _floored(bands: Signal) -> Signal:
    peak = float(bands.max())
    return np.asarray(np.maximum(bands - np.float32(peak), np.float32(-MEL_FLOOR_DB)), np.float32)


def _mean_gain(ours: Signal, theirs: Signal) -> float:
    """Median difference where there is sound, decibels."""
    loud = theirs > theirs.max() - 40
    return float(np.median((ours - theirs)[loud]))


def _differing_places(ours: Signal, theirs: Signal) -> tuple[int, ...]:
    """Milliseconds where, with the gain taken out, a hole gapes or a whole second is something else."""
    found: list[int] = []
    loud_ours, loud_theirs = ours.max(axis=1), theirs.max(axis=1)
    hole = (loud_theirs > loud_theirs.max() - 40) & (loud_ours < loud_theirs - _HOLE_DB)
    run = 0
    for number, is_hole in enumerate(hole):
        run = run + 1 if is_hole else 0
        if run == _HOLE_HOPS:
            found.append((number - _HOLE_HOPS + 1) * 20)
    floor = np.float32(theirs.max() - MEL_FLOOR_DB)
    apart = np.abs(np.maximum(ours, floor) - np.maximum(theirs, floor)).mean(axis=1)
    for at in range(0, len(apart) - _SECOND_HOPS + 1, _SECOND_HOPS // 2):
        if float(apart[at : at + _SECOND_HOPS].mean()) > _SECOND_BAR_DB:
            found.append(at * 20)
    return tuple(sorted(found)[:20])


def _threshold(signal: Signal) -> float:
    peak = float(np.abs(signal - signal.mean()).max()) if len(signal) else 0.0
    return min(10 ** (_TRIM_DB / 20), peak * 10 ** (_TRIM_BELOW_PEAK_DB / 20)) if peak > 0 else 1.0


def _trimmed(signal: Signal, threshold: float, rate: int) -> Signal:
    step = rate // 100
    if len(signal) < step:
        return signal
    whole = len(signal) // step * step
    loud = np.flatnonzero(np.abs(signal[:whole]).reshape(-1, step).max(axis=1) >= threshold)
    return signal[loud[0] * step : (loud[-1] + 1) * step] if len(loud) else signal[:0]
