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
from audio.survey import Survey
from loa.errors import Fault
from loa.units import DbTp, DurationMs, Lufs

TARGET_LUFS = -16.0
TOLERANCE_LU = 1.0
CEILING_DBTP = -1.0
_AIM_LU = 0.5
_AIM_DBTP = -1.1
_FIRST_CEILING_DB = -3.0
_PEAK_LEVEL_DB = -2.0
_LEAST_LOUDNESS_FRAMES = 3 * RATE
_MOST_CREST_DB = 26.0
_ROUNDS = 6

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
    ceiling_db: float


Step = Callable[[str, float], None]
"""Called with the name of a stage and how much of it is done, 0 to 1; may raise to stop."""


def render(sound: Sound, plan: Survey, around: Surroundings, step: Step) -> RenditionFile:
    """Encode, measure what comes out, adjust, again; the best of at most six rounds. Raises what reading raises."""
    by = _levelled_by(plan)
    setting = _first_setting(plan, by)
    best: tuple[float, bytes, Level] | None = None
    for _ in range(_ROUNDS):
        data, frames = _encode(sound, plan, around, setting, step)
        level = _decoded_level(data, frames, step)
        miss = _miss(level, by)
        if best is None or miss < best[0]:
            best = (miss, data, level)
        if miss == 0:
            break
        setting = _adjusted(setting, level, by)
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
    short = plan.end - plan.start < _LEAST_LOUDNESS_FRAMES
    burst = plan.loudness_lufs <= SILENCE_LUFS or plan.peak_db - plan.loudness_lufs > _MOST_CREST_DB
    return "peak" if short or burst else "loudness"


def _first_setting(plan: Survey, by: LevelledBy) -> _Setting:
    if by == "peak":
        return _Setting(_PEAK_LEVEL_DB - plan.peak_db, 0.0)
    return _Setting(TARGET_LUFS - plan.loudness_lufs, _FIRST_CEILING_DB)


def _miss(level: Level, by: LevelledBy) -> float:
    """How far off; 0 is good. A peak too high weighs more than any loudness."""
    over = max(0.0, level.peak_dbtp - _AIM_DBTP) * 100
    if by == "peak":
        return over + max(0.0, _AIM_DBTP - 1.5 - level.peak_dbtp)
    return over + max(0.0, abs(level.loudness_lufs - TARGET_LUFS) - _AIM_LU)


def _adjusted(setting: _Setting, level: Level, by: LevelledBy) -> _Setting:
    over = level.peak_dbtp - _AIM_DBTP
    if by == "peak":
        return replace(setting, gain_db=setting.gain_db - over - 0.3)
    louder = TARGET_LUFS - level.loudness_lufs
    ceiling = setting.ceiling_db - (over + 0.3 if over > 0 else 0.0)
    # A limiter eats a part of what is added, the more the deeper it works: ask for a little more.
    return _Setting(setting.gain_db + louder * (1.3 if louder > 0 else 1.0), ceiling)


def _encode(sound: Sound, plan: Survey, around: Surroundings, setting: _Setting, step: Step) -> tuple[bytes, int]:
    writer = OpusWriter()
    writer.write(_samples(around.before))
    limiter = Limiter(setting.ceiling_db)
    gain = np.float32(10 ** (setting.gain_db / 20))
    at, written, body = 0, 0, plan.end - plan.start

    def put(pieces: list[Mono]) -> None:
        nonlocal written
        for piece in pieces:
            part = piece[: body - written]
            writer.write(part)
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


def _decoded_level(data: bytes, frames: int, step: Step) -> Level:
    clip = open_clip([HeldBytes(data)])
    meter = LoudnessMeter()
    while part := clip.read(RATE):
        meter.feed(np.frombuffer(part, "<i2").astype(np.float32) / np.float32(32768))
        step("checking", clip.position_frames / frames)
    if clip.position_frames != frames:
        raise Fault("decode_failed", why=f"encoded {frames} frames, decoded {clip.position_frames}")
    return meter.level()


def _samples(pcm: Pcm) -> Mono:
    return np.frombuffer(pcm.data, "<i2").astype(np.float32) / np.float32(32768)
