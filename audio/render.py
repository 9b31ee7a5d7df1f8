"""One rendition out of a sound: mixed, trimmed, limited, encoded; measured as a node will decode it, and levelled by
the gain in its header."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from audio.decode import RATE, HeldBytes, Pcm, open_clip
from audio.encode import OpusWriter, with_output_gain
from audio.level import SILENCE_LUFS, WINDOW, Level, Limiter, LoudnessMeter, Mono, PeakMeter
from audio.limiting import NEAR_DB, Drive, highest_of_all
from audio.recording import Sound
from audio.survey import Survey
from loa.errors import Fault
from loa.units import DbTp, DurationMs, Lufs

TARGET_LUFS = -16.0
TOLERANCE_LU = 1.0
CEILING_DBTP = -1.0
_AIM_LU = 0.9
_AIM_DBTP = -1.2
"""Lower than the ceiling: meters of true peaks differ by a tenth or two."""
_PEAK_GOAL_DBTP = -1.5
_MOST_CREST_OUT_DB = _AIM_DBTP - (TARGET_LUFS - _AIM_LU)
_MOST_TRIM_DB = 4.0
_PEAK_LEVEL_DB = -2.0
_USUAL_OVERSHOOT_DB = 1.3
_TRIED_OVERSHOOT_DB = 1.8
_MARGIN_DB = 0.4
_STEP_DB = 0.2
_TRIAL_FRAMES = 45 * RATE
_FEW_WINDOWS = 0.01
_LEAST_LOUDNESS_FRAMES = 3 * RATE
_SHORT_FRAMES = 10 * RATE
_BURST_CREST_DB = 20.0
_BURST_TOWERS_DB = 6.0
_MOST_CREST_DB = 30.0
_ROUNDS = 5

LevelledBy = Literal["loudness", "peak"]


@dataclass(frozen=True)
class RenditionFile:
    """An Ogg Opus file, and what it decodes to."""

    data: bytes
    duration_ms: DurationMs
    loudness_lufs: Lufs
    """Of the decoded rendition, chimes and all; -70 where nothing is above the gate."""
    peak_dbtp: DbTp
    levelled_by: LevelledBy
    body_start_ms: DurationMs
    """Where the recording itself begins, after any opening chime and gap."""
    body_ms: DurationMs


@dataclass(frozen=True)
class Surroundings:
    """Short sounds around the body, already at the target level."""

    before: Pcm = Pcm(b"")
    after: Pcm = Pcm(b"")


@dataclass(frozen=True)
class _Setting:
    gain_db: float
    limiter_db: float
    dips_db: Mono
    """A gain for each window of 10 ms of the body, at most 0, applied after the limiter: where the codec overshoots."""


@dataclass(frozen=True)
class _Attempt:
    data: bytes
    level: Level
    """As decoded without any gain of the header's."""
    trim_db: float
    """The gain to put into the header."""
    miss: float
    """How far off it then still is; 0 is good."""


@dataclass(frozen=True)
class _Result:
    """What a node will decode."""

    level: Level
    window_peaks_db: Mono
    """Peaks of the body, a window of 10 ms each."""


Step = Callable[[str, float], None]
"""Called with the name of a stage and how much of it is done, 0 to 1; may raise to stop."""


def render(sound: Sound, plan: Survey, around: Surroundings, step: Step) -> RenditionFile:
    """Encode, measure what comes out, and set the header's gain by it; most often once is enough.

    Raises what reading raises.
    """
    by = _levelled_by(plan)
    drive = Drive(plan.heights, plan.powers, plan.loudness_lufs)
    setting = _first_setting(plan, drive, by)
    best: _Attempt | None = None
    for _ in range(_ROUNDS):
        data, frames = _encode(sound, plan, around, setting, step)
        result = _decoded(data, frames, len(around.before.data) // 2, len(setting.dips_db), step)
        attempt = _attempt(data, result.level, by)
        if best is None or attempt.miss < best.miss:
            best = attempt
        if best.miss == 0:
            break
        setting = _adjusted(setting, result, drive)
    assert best is not None
    loudness = Lufs(max(SILENCE_LUFS, best.level.loudness_lufs + best.trim_db))
    if by == "loudness" and abs(loudness - TARGET_LUFS) > TOLERANCE_LU:
        by = "peak"
    before, after = _samples(around.before), _samples(around.after)
    body = plan.end - plan.start
    return RenditionFile(
        data=with_output_gain(best.data, best.trim_db),
        duration_ms=DurationMs((len(before) + body + len(after)) * 1000 // RATE),
        loudness_lufs=loudness,
        peak_dbtp=DbTp(best.level.peak_dbtp + best.trim_db),
        levelled_by=by,
        body_start_ms=DurationMs(len(before) * 1000 // RATE),
        body_ms=DurationMs(body * 1000 // RATE),
    )


def _levelled_by(plan: Survey) -> LevelledBy:
    length = plan.end - plan.start
    crest = plan.peak_db - plan.loudness_lufs
    burst = length < _SHORT_FRAMES and crest > _BURST_CREST_DB and plan.towering_db > _BURST_TOWERS_DB
    if length < _LEAST_LOUDNESS_FRAMES or plan.loudness_lufs == SILENCE_LUFS or burst or crest > _MOST_CREST_DB:
        return "peak"
    return "loudness"


def _first_setting(plan: Survey, drive: Drive, by: LevelledBy) -> _Setting:
    no_dips = np.zeros(len(plan.heights), np.float32)
    if by == "peak":
        return _Setting(_PEAK_LEVEL_DB - plan.peak_db, 0.0, no_dips)
    if plan.end - plan.start < _TRIAL_FRAMES:
        return _for_overshoot(drive, _USUAL_OVERSHOOT_DB, no_dips)
    # A round is dear with a long recording: how far the codec overshoots is tried on the loudest places first.
    trial = _for_overshoot(drive, _TRIED_OVERSHOOT_DB, no_dips)
    return _for_overshoot(drive, _tried_overshoot(plan, drive, trial) + _MARGIN_DB, no_dips)


def _for_overshoot(drive: Drive, overshoot_db: float, dips_db: Mono) -> _Setting:
    """As little limiting as the bars allow, since it is what a listener would notice.

    The quiet end of the tolerance is aimed at, with peaks as high above it as the codec's overshoot leaves room for.
    """
    drive_db = drive.least(_MOST_CREST_OUT_DB - overshoot_db)
    # Where the crest is small anyway, the sound is as loud as it should be and its peaks are lower.
    ceiling_db = min(_AIM_DBTP - overshoot_db, TARGET_LUFS + drive.crest_db(drive_db))
    return _Setting(ceiling_db + drive_db - drive.peak_db, ceiling_db, dips_db)


def _tried_overshoot(plan: Survey, drive: Drive, setting: _Setting) -> float:
    """How far decoded peaks will rise above the limiter's ceiling, by the loudest places."""
    limiter, gain = Limiter(setting.limiter_db), np.float32(10 ** (setting.gain_db / 20))
    with OpusWriter() as writer:
        for part in (*plan.loudest, None):
            for piece in limiter.feed(None if part is None else part * gain):
                writer.write(piece)
        data, frames = writer.finish(), writer.frames
    peaks = _decoded(data, frames, 0, frames // WINDOW, lambda _stage, _part: None).window_peaks_db
    near = peaks[peaks > setting.limiter_db - NEAR_DB]
    if not len(near):
        return _TRIED_OVERSHOOT_DB
    among = drive.near_ceiling(setting.gain_db + drive.peak_db - setting.limiter_db)
    return highest_of_all(near, among) - setting.limiter_db


def _attempt(data: bytes, level: Level, by: LevelledBy) -> _Attempt:
    """The gain that puts a decoded file where it belongs, as far as its peaks allow, and what is then still missing."""
    if by == "peak":
        return _Attempt(data, level, _PEAK_GOAL_DBTP - level.peak_dbtp, 0.0)
    louder = TARGET_LUFS - level.loudness_lufs
    trim = min(louder, _AIM_DBTP - level.peak_dbtp)
    miss = max(0.0, louder - trim - _AIM_LU) + max(0.0, abs(trim) - _MOST_TRIM_DB)
    return _Attempt(data, level, trim, miss)


def _adjusted(setting: _Setting, result: _Result, drive: Drive) -> _Setting:
    """After a round with peaks too high above the loudness."""
    highest = result.level.loudness_lufs + _MOST_CREST_OUT_DB
    over = result.window_peaks_db - np.float32(highest)
    if np.count_nonzero(over > 0) > max(1, len(over) * _FEW_WINDOWS):
        came_out = result.level.peak_dbtp - result.level.loudness_lufs
        went_in = drive.crest_db(setting.gain_db + drive.peak_db - setting.limiter_db)
        return _for_overshoot(drive, came_out - went_in + _STEP_DB, setting.dips_db)
    # Only in a few places: dips there.
    excess = np.maximum(over + np.float32(0.3), 0)
    excess[excess > 0] += np.float32(0.5)
    wide = np.maximum(excess, np.maximum(np.append(excess[1:], 0), np.append(0, excess[:-1])))
    return replace(setting, dips_db=(setting.dips_db - wide).astype(np.float32))


def _encode(sound: Sound, plan: Survey, around: Surroundings, setting: _Setting, step: Step) -> tuple[bytes, int]:
    limiter = Limiter(setting.limiter_db)
    gain = np.float32(10 ** (setting.gain_db / 20))
    at, written, body = 0, 0, plan.end - plan.start
    with contextlib.closing(sound.blocks()) as blocks, OpusWriter(sound.bandwidth_hz) as writer:

        def put(pieces: list[Mono]) -> None:
            nonlocal written
            for piece in pieces:
                part = piece[: body - written]
                writer.write(_dipped(part, setting.dips_db, written))
                written += len(part)

        writer.write(_samples(around.before))
        for block in blocks:
            begin, at = at, at + block.shape[1]
            if at <= plan.start:
                continue
            part = plan.mono(block)[max(0, plan.start - begin) : max(0, plan.end - begin)]
            put(limiter.feed(part * gain))
            step("encoding", written / body)
            if at >= plan.end:
                break
        put(limiter.feed(None))
        writer.write(np.zeros(body - written, np.float32))
        writer.write(_samples(around.after))
        return writer.finish(), writer.frames


def _dipped(part: Mono, dips_db: Mono, at: int) -> Mono:
    """A part from frame `at` on, with its dips: gain goes in a straight line between the middles of windows."""
    first, last = max(0, at // WINDOW - 1), (at + len(part)) // WINDOW + 2
    near = dips_db[first:last]
    if not near.any():
        return part
    place = (np.arange(at, at + len(part)) - WINDOW / 2) / WINDOW
    gain_db = np.interp(place, np.arange(first, first + len(near)), near)
    return np.asarray(part * 10 ** (gain_db / 20), np.float32)


def _decoded(data: bytes, frames: int, body_at: int, windows: int, step: Step) -> _Result:
    # At half gain, so that what goes over full scale is seen as it is and not clipped.
    clip = open_clip([HeldBytes(data)], gain=0.5)
    loudness, peaks = LoudnessMeter(), PeakMeter(-body_at % WINDOW)
    while part := clip.read(RATE):
        samples = np.frombuffer(part, "<i2").astype(np.float32) * np.float32(1 / 16384)
        loudness.feed(samples)
        peaks.feed(samples)
        step("checking", clip.position_frames / frames)
    if clip.position_frames != frames:
        raise Fault("decode_failed", why=f"encoded {frames} frames, decoded {clip.position_frames}")
    heights = peaks.windows_db()
    first = -(-body_at // WINDOW)
    return _Result(Level(loudness.loudness(), DbTp(float(heights.max()))), heights[first : first + windows])


def _samples(pcm: Pcm) -> Mono:
    return np.frombuffer(pcm.data, "<i2").astype(np.float32) / np.float32(32768)
