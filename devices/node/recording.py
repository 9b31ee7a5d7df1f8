"""A speaker that writes what would have been heard, in real pace by the clock: one WAV file a broadcast and node."""

import array
import asyncio
import contextlib
import math
import operator
import re
import struct
from pathlib import Path
from typing import BinaryIO

from audio.decode import RATE
from devices.node.ports import Clip, PlaybackEvents
from devices.node.sound import FRAME_BYTES, ClipSound
from loa.clock import Clock
from loa.errors import Fault
from loa.units import DurationMs

CHUNK_FRAMES = RATE // 10
_LONGEST_GAP_S = 3600.0
SILENT_DB = -96.0
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class RecordingSpeaker:
    """Writes ``<folder>/<name>-<label>.wav``, 48 kHz, mono, 16 bits. Without a folder it keeps time and writes nothing.

    Repeats of one label, and what goes on after an interruption, come into the same file with the silence between.
    """

    def __init__(self, folder: Path | None, clock: Clock, name: str) -> None:
        self._folder = folder
        self._clock = clock
        self._name = name
        self._open = False
        self._closed = asyncio.Event()
        self._files: dict[str, _Recording] = {}
        self._current: _RecordedPlayback | None = None

    async def open(self) -> None:
        if self._folder is not None:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise Fault("speaker_unavailable", reason=str(error)) from error
        self._open = True
        self._closed.clear()

    async def close(self) -> None:
        if self._current is not None:
            self._current.stop()
        self._open = False
        self._closed.set()
        for file in self._files.values():
            file.close()
        self._files.clear()

    @property
    def ready(self) -> bool:
        return self._open

    # As a sensor of itself: what it writes is what would be measured.

    async def keep(self) -> None:
        """Nothing to be kept going."""

    def level_db(self) -> float | None:
        """Of what leaves it now."""
        return SILENT_DB if self._current is None else self._current.level_db

    async def lost(self) -> None:
        if self._open:
            await self._closed.wait()

    def play(self, clip: Clip, at_monotonic_s: float, events: PlaybackEvents) -> "_RecordedPlayback":
        if self._current is not None:
            self._current.stop()
        file = self._recording(clip.label)
        self._current = _RecordedPlayback(clip, at_monotonic_s, events, self._clock, file)
        return self._current

    def _recording(self, label: str) -> "_Recording":
        if label not in self._files:
            for finished in self._files.values():
                finished.close()
            self._files[label] = _Recording(self._path(label) if self._folder is not None else None)
        return self._files[label]

    def _path(self, label: str) -> Path:
        assert self._folder is not None
        stem = f"{self._name}-{_UNSAFE.sub('_', label)}"
        path, number = self._folder / f"{stem}.wav", 2
        while path.exists():  # from an earlier run of this box: what was heard then stays as it is
            path, number = self._folder / f"{stem}-{number}.wav", number + 1
        return path


class _Recording:
    """A WAV file whose header is right after every chunk, so that a killed process leaves a readable one."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._bytes = 0
        self._began: float | None = None

    def silence_until(self, at_monotonic_s: float) -> None:
        """Fill up to where the next sound begins."""
        if self._began is None:
            self._began = at_monotonic_s
            return
        gap = min(_LONGEST_GAP_S, at_monotonic_s - self._began) * RATE - self._bytes // FRAME_BYTES
        while gap >= 1:
            part = min(RATE, int(gap))
            self.add(bytes(part * FRAME_BYTES))
            gap -= part

    def add(self, sound: bytes) -> None:
        self._bytes += len(sound)
        if self._path is None or not sound:
            return
        if self._file is None:
            is_new = not self._path.exists()
            self._file = self._path.open("w+b" if is_new else "r+b", buffering=0)
            self._file.seek(0 if is_new else 44 + self._bytes - len(sound))
            if is_new:
                self._file.write(_header(0))
        self._file.write(sound)
        self._file.seek(0)
        self._file.write(_header(self._bytes))
        self._file.seek(44 + self._bytes)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _header(size: int) -> bytes:
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, 1, 1, RATE, RATE * 2, 2, 16, b"data", size
    )


class _RecordedPlayback:
    def __init__(self, clip: Clip, at: float, events: PlaybackEvents, clock: Clock, file: _Recording) -> None:
        late = max(0.0, clock.monotonic_s() - at)
        self._sound: ClipSound | None = None
        self._clip = Clip(
            label=clip.label,
            sources=clip.sources,
            durations_ms=clip.durations_ms,
            offset_ms=DurationMs(clip.offset_ms + round(late * 1000)),
            gain=clip.gain,
            tone_hz=clip.tone_hz,
        )
        self._start = at + late
        self._events = events
        self._clock = clock
        self._file = file
        self._heard = 0
        self._chunk = b""
        self._chunk_from = self._start
        self._over = False
        self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def position_ms(self) -> DurationMs:
        done = self._heard + min(len(self._chunk) // FRAME_BYTES, self._frames_since(self._chunk_from))
        return DurationMs(self._clip.offset_ms + done * 1000 // RATE)

    @property
    def level_db(self) -> float:
        samples = array.array("h", self._chunk)
        power = sum(map(operator.mul, samples, samples)) / len(samples) if samples else 0.0
        return max(SILENT_DB, 10 * math.log10(max(power, 1e-9) / 32_768**2))

    def stop(self) -> None:
        if self._over:
            return
        self._over = True
        self._file.add(self._chunk[: self._frames_since(self._chunk_from) * FRAME_BYTES])
        self._heard += min(len(self._chunk) // FRAME_BYTES, self._frames_since(self._chunk_from))
        self._chunk = b""
        self._file.close()
        self._task.cancel()

    def _frames_since(self, instant: float) -> int:
        return max(0, int((self._clock.monotonic_s() - instant) * RATE))

    async def _run(self) -> None:
        try:
            await self._play()
        except Fault as error:
            self._end()
            self._events.failed(error.code)
        except OSError as error:
            self._end()
            self._events.failed(str(error))

    def _end(self) -> None:
        self._over = True
        self._chunk = b""
        with contextlib.suppress(OSError):
            self._file.close()

    async def _play(self) -> None:
        await self._clock.sleep(self._start - self._clock.monotonic_s())
        self._sound = ClipSound(self._clip)
        self._file.silence_until(self._start)
        began = False
        while self._chunk_from is not None:
            self._chunk = self._sound.read(CHUNK_FRAMES)
            if not self._chunk:
                break
            if not began:
                began = True
                self._events.started(self._start)
            frames = len(self._chunk) // FRAME_BYTES
            until = self._start + (self._heard + frames) / RATE
            await self._clock.sleep(until - self._clock.monotonic_s())
            self._file.add(self._chunk)
            self._heard += frames
            self._chunk, self._chunk_from = b"", until
        self._end()
        self._events.finished()
