"""One rendition out of a sound: mixed, trimmed, levelled, encoded; measured as a node will decode it, and done again
until it is right."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from audio.decode import RATE, HeldBytes, Pcm, open_clip
from audio.encode import OpusWriter
from audio.level import SILENCE_LUFS, Level, Limiter, LoudnessMeter, Mono
from audio.recording import Sound
from audio.survey import WINDOW, Survey
from loa.errors import Fault
from loa.units import DbTp, DurationMs, Lufs

TARGET_LUFS = -16.0
TOLERANCE_LU = 1.0
CEILING_DBTP = -1.0
_AIM_LU = 0.9
_AIM_DBTP = -1.01
_LIMITER_DB = -2.5
_PEAK_LEVEL_DB = -2.0
_LEAST_LOUDNESS_FRAMES = 3 * RATE
_SHORT_FRAMES = 10 * RATE
_BURST_CREST_DB = 20.0
_BURST_TOWERS_DB = 6.0
_MOST_CREST_DB = 30.0
_PEAK_SLACK_DB = 3.0
_ROUNDS = 6
_LAST_ROUNDS = 9

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
    peak_goal_db: float
    """How high a decoded sample may be: under the true peak aimed at."""


@dataclass(frozen=True)
class _Result:
    """What a node will decode."""

    level: Level
    window_peaks_db: Mono
    """Sample peaks of the body, a window of 10 ms each."""


Step = Callable[[str, float], None]
"""Called with the name of a stage and how much of it is done, 0 to 1; may raise to stop."""


def render(sound: Sound, plan: Survey, around: Surroundings, step: Step) -> RenditionFile:
    """Encode, measure what comes out, adjust, again; most often once or twice. Raises what reading raises."""
    by = _levelled_by(plan)
    setting = _first_setting(plan, by)
    best: tuple[float, bytes, Level] | None = None
    for number in range(_LAST_ROUNDS):
        data, frames = _encode(sound, plan, around, setting, step)
        result = _decoded(data, frames, len(around.before.data) // 2, len(setting.dips_db), step)
        miss = _miss(result.level, by)
        if best is None or miss < best[0]:
            best = (miss, data, result.level)
        if miss == 0 or (number + 1 >= _ROUNDS and best[2].peak_dbtp <= CEILING_DBTP):
            break
        # Past the usual rounds only the peak matters: quieter is better than distorted.
        setting = _adjusted(setting, result, by if number + 1 < _ROUNDS else "peak")
    assert best is not None
    _, data, level = best
    if by == "loudness" and abs(level.loudness_lufs - TARGET_LUFS) > TOLERANCE_LU:
        by = "peak"
    before, after = _samples(around.before), _samples(around.after)
    body = plan.end - plan.start
    return RenditionFile(
        data=data,
        duration_ms=DurationMs((len(before) + body + len(after)) * 1000 // RATE),
        loudness_lufs=level.loudness_lufs,
        peak_dbtp=level.peak_dbtp,
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


def _first_setting(plan: Survey, by: LevelledBy) -> _Setting:
    no_dips = np.zeros(-(-(plan.end - plan.start) // WINDOW), np.float32)
    if by == "peak":
        return _Setting(_PEAK_LEVEL_DB - plan.peak_db, 0.0, no_dips, _AIM_DBTP)
    # What the limiter will take away, roughly, is given in advance.
    taken = 0.3 * max(0.0, plan.peak_db - plan.loudness_lufs - 14)
    return _Setting(TARGET_LUFS - plan.loudness_lufs + taken, _LIMITER_DB, no_dips, _AIM_DBTP - 0.4)


def _miss(level: Level, by: LevelledBy) -> float:
    """How far off; 0 is good. A peak too high weighs more than any loudness."""
    over = max(0.0, level.peak_dbtp - _AIM_DBTP) * 100
    if by == "peak":
        return over + max(0.0, _AIM_DBTP - _PEAK_SLACK_DB - level.peak_dbtp)
    return over + max(0.0, abs(level.loudness_lufs - TARGET_LUFS) - _AIM_LU)


def _adjusted(setting: _Setting, result: _Result, by: LevelledBy) -> _Setting:
    over = result.level.peak_dbtp - _AIM_DBTP
    if by == "peak":
        return replace(setting, gain_db=setting.gain_db - over - 0.3)
    # A limiter eats a part of what is added: ask for a little more.
    louder = TARGET_LUFS - result.level.loudness_lufs
    gain_db = setting.gain_db
    if abs(louder) > _AIM_LU:
        # Left alone where it is good enough: each change moves the codec's overshoots elsewhere.
        gain_db += louder * (1.4 if louder > 0 else 1.0)
    if over <= 0:
        return replace(setting, gain_db=gain_db)
    highest = float(result.window_peaks_db.max())
    goal = min(setting.peak_goal_db - 0.3, highest - over - 0.4)
    excess = np.maximum(result.window_peaks_db - np.float32(goal), 0)
    excess[excess > 0] += np.float32(0.5)
    wide = np.maximum(excess, np.maximum(np.append(excess[1:], 0), np.append(0, excess[:-1])))
    return replace(setting, gain_db=gain_db, dips_db=(setting.dips_db - wide).astype(np.float32), peak_goal_db=goal)


def _encode(sound: Sound, plan: Survey, around: Surroundings, setting: _Setting, step: Step) -> tuple[bytes, int]:
    writer = OpusWriter(sound.bandwidth_hz)
    writer.write(_samples(around.before))
    limiter = Limiter(setting.limiter_db)
    gain = np.float32(10 ** (setting.gain_db / 20))
    at, written, body = 0, 0, plan.end - plan.start

    def put(pieces: list[Mono]) -> None:
        nonlocal written
        for piece in pieces:
            part = piece[: body - written]
            writer.write(part * _dip(setting.dips_db, written, len(part)))
            written += len(part)

    for block in sound.blocks():
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


def _dip(dips_db: Mono, at: int, length: int) -> Mono:
    """Linear gain of frames from `at` on, a straight line between the middles of windows."""
    if not dips_db.any():
        return np.ones(1, np.float32)
    place = (np.arange(at, at + length) - WINDOW / 2) / WINDOW
    first, last = max(0, int(place[0]) - 1), int(place[-1]) + 3
    near = dips_db[first:last]
    return (10 ** (np.interp(place, np.arange(first, first + len(near)), near) / 20)).astype(np.float32)


def _decoded(data: bytes, frames: int, body_at: int, windows: int, step: Step) -> _Result:
    # At half gain, so that what goes over full scale is seen as it is and not clipped.
    clip = open_clip([HeldBytes(data)], gain=0.5)
    meter = LoudnessMeter()
    peaks = np.zeros(windows, np.float32)
    at = -body_at
    while part := clip.read(RATE):
        samples = np.frombuffer(part, "<i2").astype(np.float32) / np.float32(16384)
        meter.feed(samples)
        place = np.arange(at, at + len(samples)) // WINDOW
        inside = (place >= 0) & (place < windows)
        np.maximum.at(peaks, place[inside], np.abs(samples[inside]))
        at += len(samples)
        step("checking", clip.position_frames / frames)
    if clip.position_frames != frames:
        raise Fault("decode_failed", why=f"encoded {frames} frames, decoded {clip.position_frames}")
    return _Result(meter.level(), (20 * np.log10(np.maximum(peaks, 1e-6))).astype(np.float32))


def _samples(pcm: Pcm) -> Mono:
    return np.frombuffer(pcm.data, "<i2").astype(np.float32) / np.float32(32768)
