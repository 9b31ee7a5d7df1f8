"""Any recording as blocks of samples: opened by libav with everything but the file itself out of its reach."""

import contextlib
import ctypes
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import av
import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from audio.decode import RATE, Pcm
from audio.headers import mp3_counts_frames, wav_declared_ms
from audio.sniff import SoundForm
from loa.errors import Refused

Block = NDArray[np.float32]
"""Samples, shape (channels, frames), full scale 1, at 48 kHz."""

MAX_CHANNELS = 8
_LOWEST_RATE, _HIGHEST_RATE = 4_000, 768_000
_LARGEST = np.float32(1000)
_ESTIMATED = frozenset({SoundForm.MP3, SoundForm.AAC, SoundForm.AMR})
"""Forms without a header: their length is guessed, unless the first frame of an MP3 holds a count."""


class Sound(Protocol):
    """Something that can be read from its start any number of times."""

    frames_hint: int
    """About how many frames there are, for progress; 0 where unknown."""
    bandwidth_hz: int
    """Half the rate at which it was recorded: there is nothing above."""

    def blocks(self) -> Generator[Block]:
        """From the start, about a second at a time, always with the same number of channels."""
        ...


class HeldSound:
    """Mono PCM in memory."""

    def __init__(self, pcm: Pcm) -> None:
        assert pcm.rate == RATE
        self._samples = np.frombuffer(pcm.data, "<i2")
        self.frames_hint = len(self._samples)
        self.bandwidth_hz = RATE // 2

    def blocks(self) -> Generator[Block]:
        for at in range(0, len(self._samples), RATE):
            yield self._samples[None, at : at + RATE].astype(np.float32) / np.float32(32768)


@dataclass
class Damage:
    """What did not decode in the last reading."""

    packets: int = 0
    bad_packets: int = 0
    cut_off: bool = False
    """The container itself broke before its end."""


class RecordingFile:
    """A file on disk. Raises Refused: decode_failed, channel_limit, unsupported_format, duration_limit."""

    def __init__(self, path: Path, form: SoundForm, *, max_duration_ms: int) -> None:
        self._path = path
        self.form = form
        self._max_frames = max_duration_ms * RATE // 1000
        self.damage = Damage()
        with self._opened() as (container, stream):
            context = stream.codec_context
            self.codec: str = context.name
            self.rate: int = context.sample_rate or 0
            self.channels: int = context.channels or 0
            self.declared_ms = _declared_ms(container, stream)
        with path.open("rb") as file:
            self.declared_exactly = form not in _ESTIMATED or (form is SoundForm.MP3 and mp3_counts_frames(file))
            if form is SoundForm.WAV and (claimed := wav_declared_ms(file)) is not None:
                self.declared_ms = claimed
        _check_channels(self.channels)
        if self.rate and not _LOWEST_RATE <= self.rate <= _HIGHEST_RATE:
            raise Refused("unsupported_format", field="file")
        if self.declared_ms is not None and self.declared_ms > max_duration_ms:
            raise _too_long(self._max_frames)
        # Some AAC streams name half of the rate at which they play.
        self.bandwidth_hz = RATE // 2 if self.codec.startswith("aac") else (self.rate or RATE) // 2
        self.frames_hint = (self.declared_ms or 0) * RATE // 1000

    def blocks(self) -> Generator[Block]:
        """As in Sound. Stops with Refused(duration_limit) as soon as more has been decoded than is allowed."""
        self.damage = Damage()
        frames = 0
        gathered: list[Block] = []
        waiting = 0
        with self._opened() as (container, stream):
            for block in self._resampled(container, stream):
                frames += block.shape[1]
                if frames > self._max_frames:
                    raise _too_long(self._max_frames)
                gathered.append(block)
                waiting += block.shape[1]
                if waiting >= RATE:
                    yield _joined(gathered)
                    gathered, waiting = [], 0
        if gathered:
            yield _joined(gathered)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[Any, Any]]:
        # An open file, not a name: libav parses names. No protocol is allowed, so nothing in the file leads elsewhere.
        with self._path.open("rb") as file:
            try:
                container: Any = av.open(
                    cast(BinaryIO, file),
                    format=self.form.value,
                    options={"protocol_whitelist": "", "enable_drefs": "0", "use_absolute_path": "0"},
                    container_options={},
                    metadata_errors="replace",
                )
            except (av.FFmpegError, ValueError, OverflowError) as error:
                raise Refused(
                    "decode_failed", field="file", plays_s=0, claimed_s="?", why="damaged or cut off"
                ) from error
            with container:
                streams = container.streams.audio
                if not streams or streams[0].codec_context is None:
                    raise Refused("unsupported_format", field="file")
                streams[0].thread_type = "NONE"
                _plain_layout(streams[0].codec_context)
                yield container, streams[0]

    def _resampled(self, container: Any, stream: Any) -> Iterator[Block]:
        layout: Any = None
        entry: tuple[str, str, int] | None = None
        resampler: Any = None
        for frame in self._frames(container, stream):
            if frame.layout.nb_channels == 0 or not _LOWEST_RATE <= frame.sample_rate <= _HIGHEST_RATE:
                self.damage.bad_packets += 1
                continue
            _check_channels(frame.layout.nb_channels)
            frame.pts = None
            if resampler is None and _as_wanted(frame):
                layout = frame.layout
                yield from _arrays([frame])
                continue
            came_as = (frame.format.name, frame.layout.name, frame.sample_rate)
            if came_as != entry:
                # Some streams change rate or channels on the way; the blocks keep the first number of channels.
                if resampler is not None:
                    yield from _arrays(resampler.resample(None))
                if layout is None:
                    channels = frame.layout.nb_channels
                    layout = _layout_name(channels) if _lists_channels(frame.layout) else frame.layout
                resampler, entry = av.AudioResampler(format="flt", layout=layout, rate=RATE), came_as
            try:
                yield from _arrays(resampler.resample(frame))
            except (av.FFmpegError, ValueError) as error:
                raise Refused("unsupported_format", field="file") from error
        if resampler is not None:
            yield from _arrays(resampler.resample(None))

    def _frames(self, container: Any, stream: Any) -> Iterator[AudioFrame]:
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, ValueError):
                self.damage.cut_off = True
                return
            self.damage.packets += 1
            try:
                decoded = packet.decode()
            except av.EOFError:
                return
            except (av.FFmpegError, ValueError):
                self.damage.bad_packets += 1
                continue
            for frame in decoded:
                _lists_channels(frame.layout)
            yield from decoded


def _as_wanted(frame: AudioFrame) -> bool:
    """Mono at the right rate in floating point: nothing is left to do."""
    return frame.sample_rate == RATE and frame.format.name in ("flt", "fltp") and frame.layout.name == "mono"


def _layout_name(channels: int) -> str:
    return {1: "mono", 2: "stereo"}.get(channels, f"{channels} channels")


def _plain_layout(context: Any) -> None:
    """Channels are counted and not named: which loudspeaker each was meant for is of no matter here."""
    layout = context.layout
    if _lists_channels(layout):
        context.layout = _layout_name(layout.nb_channels)


def _lists_channels(layout: Any) -> bool:
    """Whether a layout may hold a list of channels in an order of its own, as some CAF and MP4 files make it.

    PyAV 18 copies a layout without the list and frees the list with each copy, which corrupts memory. Such a copy is
    therefore never let go.
    """
    try:
        listed = "(" in layout.name
    except (RuntimeError, ValueError):
        listed = True
    if listed:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(layout))
    return listed


def _arrays(frames: list[Any]) -> Iterator[Block]:
    """Interleaved frames as blocks. (Not planar ones: PyAV 18 reads past the end of eight planes.)"""
    for frame in frames:
        channels = frame.layout.nb_channels
        if frame.samples:
            plane = np.frombuffer(frame.planes[0], np.float32, frame.samples * channels)
            yield plane.reshape(-1, channels).T.copy()


def _joined(blocks: list[Block]) -> Block:
    """One block; what is no number (a broken float file) is silence, what is absurdly large is held within reason."""
    block = np.nan_to_num(np.concatenate(blocks, axis=1), copy=False, nan=0.0, posinf=1.0, neginf=-1.0)
    return np.clip(block, -_LARGEST, _LARGEST, out=block)


def _check_channels(channels: int) -> None:
    if channels > MAX_CHANNELS:
        raise Refused("channel_limit", field="file", limit=MAX_CHANNELS, channels=channels)


def _too_long(max_frames: int) -> Refused:
    return Refused("duration_limit", field="file", limit=max_frames // RATE // 60)


def _declared_ms(container: Any, stream: Any) -> int | None:
    """What the file itself says; None where it says nothing."""
    if stream.duration is not None and stream.time_base is not None:
        return int(stream.duration * stream.time_base * 1000)
    if container.duration is not None:
        return int(container.duration // 1000)
    return None
