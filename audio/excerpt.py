"""The first part of a long recording, as a file of its own that can be imported like any other."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

from audio.decode import RATE
from audio.importing import ImportOptions, check_plays
from audio.recording import RecordingFile
from loa.units import DurationMs

_FLOAT_FORM = 3
_HEAD = struct.Struct("<4sI4s4sIHHIIHH4sI")


def write_excerpt(
    recording: Path, target: Path, longest_ms: DurationMs, *, options: ImportOptions | None = None
) -> bool:
    """Write the first `longest_ms` of a longer recording to `target` (WAV, 48 kHz, 32-bit float, all channels).

    The whole recording is read, and refused as an import would refuse it. Where little of its sound lies in the first
    part, the excerpt begins where the sound does. False, and nothing written, where the recording is no longer than
    that. Blocks.
    """
    opened, plan = check_plays(recording, options)
    wanted = longest_ms * RATE // 1000
    if plan.frames <= wanted:
        return False
    begin = plan.start if plan.start > wanted // 2 else 0
    with target.open("wb") as file:
        file.write(bytes(_HEAD.size))
        channels, size = _copy(opened, file.write, begin, begin + wanted)
        file.seek(0)
        file.write(_header(channels, size))
    return True


def _copy(opened: RecordingFile, write: Callable[[bytes], object], begin: int, end: int) -> tuple[int, int]:
    """Frames `begin` to `end`, interleaved; returns channels and bytes written."""
    at = size = channels = 0
    for block in opened.blocks():
        first, at, channels = at, at + block.shape[1], block.shape[0]
        data = np.ascontiguousarray(block[:, max(0, begin - first) : max(0, end - first)].T, dtype="<f4").tobytes()
        write(data)
        size += len(data)
        if at >= end:
            break
    return channels, size


def _header(channels: int, size: int) -> bytes:
    width = 4 * channels
    form = (16, _FLOAT_FORM, channels, RATE, RATE * width, width, 32)
    return _HEAD.pack(b"RIFF", 36 + size, b"WAVE", b"fmt ", *form, b"data", size)
