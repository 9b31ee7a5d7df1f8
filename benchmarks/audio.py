"""How fast recordings go in: the whole import and the encoding alone, against bare libopus in the same run."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from audio.decode import RATE, decode_file
from audio.encode import OpusWriter
from audio.importing import import_recording
from benchmarks.bars import Bar

BARS = {
    "import_x_realtime": Bar("ten minutes of speech in MP3, all of the import, per processor second", at_least=30),
    "encode_x_realtime": Bar("the encoding alone, per processor second", at_least=50),
    "encode_share_of_bare": Bar("the encoding against bare libopus", at_least=0.8),
}


def _speech(seconds: int) -> NDArray[np.float32]:
    """Syllables of a buzzing voice and hiss; no two minutes alike."""
    random = np.random.default_rng(1)
    place = np.arange(seconds * RATE) / RATE
    voice = np.zeros(len(place), np.float32)
    phase = 2 * np.pi * np.cumsum(130 + 30 * np.sin(2 * np.pi * 0.41 * place)) / RATE
    # sin(n x) = 2 cos(x) sin((n - 1) x) - sin((n - 2) x)
    before, now, twice_cosine = np.zeros(len(place)), np.sin(phase), 2 * np.cos(phase)
    for number in range(1, 20):
        voice += (now / (1 + abs(number - 5))).astype(np.float32)
        before, now = now, twice_cosine * now - before
    hiss = random.standard_normal(len(place)).astype(np.float32) * np.float32(0.2)
    beat = np.clip(np.sin(2 * np.pi * 2.7 * place) + 0.5, 0, 1) * np.clip(np.sin(2 * np.pi * 0.23 * place) + 0.9, 0, 1)
    return ((voice + hiss) * beat * 0.15).astype(np.float32)


def _mp3(path: Path, sound: NDArray[np.float32]) -> Path:
    file: Any = av.open(str(path), "w", format="mp3")
    with file:
        stream = file.add_stream("libmp3lame", rate=RATE)
        stream.layout, stream.bit_rate = "mono", 128_000
        for at in range(0, len(sound), 1152):
            frame = av.AudioFrame.from_ndarray(sound[None, at : at + 1152], "fltp", "mono")
            frame.sample_rate, frame.pts = RATE, at
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def _bare(sound: NDArray[np.float32]) -> None:
    """libopus alone: packets are thrown away."""
    codec: Any = av.CodecContext.create("libopus", "w")
    codec.sample_rate, codec.layout, codec.format, codec.bit_rate = RATE, "mono", "flt", 24_000
    codec.options = {"application": "audio"}
    for at in range(0, len(sound), RATE):
        frame = av.AudioFrame.from_ndarray(sound[None, at : at + RATE], "flt", "mono")
        frame.sample_rate, frame.pts = RATE, at
        codec.encode(frame)
    codec.encode(None)


def _ours(sound: NDArray[np.float32]) -> bytes:
    writer = OpusWriter()
    for at in range(0, len(sound), RATE):
        writer.write(sound[at : at + RATE])
    return writer.finish()


Times = tuple[float, float]
"""Multiples of real time: by processor time, since others may be at work on the same machine, and by the wall."""


def _times_real(seconds: int, rounds: int, *works: Callable[[], object]) -> tuple[Times, ...]:
    """Medians of these, done in turns."""
    taken: list[list[Times]] = [[] for _ in works]
    for _ in range(rounds):
        for work, found in zip(works, taken, strict=True):
            cpu, wall = time.process_time(), time.perf_counter()
            work()
            found.append((seconds / (time.process_time() - cpu), seconds / (time.perf_counter() - wall)))
    return tuple(
        (statistics.median(cpu for cpu, _ in found), statistics.median(wall for _, wall in found)) for found in taken
    )


def run(quick: bool) -> dict[str, float]:
    """Figures as multiples of real time, and our encoding as a share of bare libopus."""
    seconds, rounds = (60, 1) if quick else (600, 5)
    sound = _speech(seconds)
    encoded = _ours(sound)
    with tempfile.TemporaryDirectory() as folder:
        path = _mp3(Path(folder) / "speech.mp3", sound)
        imported, ours, bare, decoded = _times_real(
            seconds, rounds,
            lambda: import_recording(path), lambda: _ours(sound), lambda: _bare(sound), lambda: decode_file(encoded),
        )  # fmt: skip
    return {
        "import_x_realtime": imported[0],
        "import_x_realtime_by_the_wall": imported[1],
        "encode_x_realtime": ours[0],
        "bare_libopus_x_realtime": bare[0],
        "decode_x_realtime": decoded[0],
        "encode_share_of_bare": ours[0] / bare[0],
    }
