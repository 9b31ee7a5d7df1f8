"""Sound out of renditions (Ogg Opus, RFC 7845) while their bytes are still coming in. Needs PyAV alone.

The pages are read by our own small parser and only whole packets are given to libav, so that "not here yet" can never
be taken for the end, and libav never opens, probes or seeks anything.
"""

import math
import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame

from audio.ogg import ByteSource, HeldBytes, PacketJoiner, Page, PageReader, find_page
from loa.errors import Fault
from loa.units import DurationMs

__all__ = ["RATE", "ByteSource", "ClipDecoder", "HeldBytes", "Pcm", "decode_file", "open_clip"]

RATE = 48_000
"""Frames a second of everything decoded here; one channel, signed 16 bits, little-endian."""

_FRAME_BYTES = 2
# RFC 7845, 4.6 asks for 80 ms until an Opus decoder has converged; after 400 ms no difference is left to measure.
_PREROLL = RATE * 400 // 1000


@dataclass(frozen=True)
class Pcm:
    """Mono sound: signed 16-bit little-endian frames at `rate` a second."""

    data: bytes
    rate: int = RATE

    @property
    def frames(self) -> int:
        return len(self.data) // _FRAME_BYTES

    @property
    def duration_ms(self) -> DurationMs:
        return DurationMs(self.frames * 1000 // self.rate)


def open_clip(
    sources: Sequence[ByteSource],
    offset_ms: int = 0,
    *,
    durations_ms: Sequence[int] | None = None,
    gain: float = 1.0,
) -> "ClipDecoder":
    """A decoder over renditions played one after another, from `offset_ms` in the whole on.

    durations_ms: of each source, where known: sources that lie wholly before the offset are then not touched, and need
    not be here. gain: linear amplitude, applied by the codec. Raises nothing; what is wrong shows at the first read.
    """
    return ClipDecoder(sources, offset_ms, durations_ms, gain)


def decode_file(data: bytes) -> Pcm:
    """All of an Ogg Opus file. Raises Fault(decode_failed)."""
    clip = open_clip([HeldBytes(data)])
    parts = []
    while part := clip.read(RATE):
        parts.append(part)
    return Pcm(b"".join(parts))


class ClipDecoder:
    """Sound of a clip, a read at a time. Holds one page and what it decodes to."""

    def __init__(
        self, sources: Sequence[ByteSource], offset_ms: int, durations_ms: Sequence[int] | None, gain: float
    ) -> None:
        self._waiting = deque(sources)
        self._gain = gain
        skip = max(0, offset_ms) * RATE // 1000
        self.position_frames = skip
        """Frames from the clip's beginning to the next read."""
        for duration_ms in durations_ms or ():
            length = duration_ms * RATE // 1000
            if skip < length or not self._waiting:
                break
            self._waiting.popleft()
            skip -= length
        self._skip = skip
        self._stream: _OpusStream | None = None
        self._ready = bytearray()

    def read(self, frames: int) -> bytes | None:
        """At most `frames` frames, as many as are here; b"" at the end; None where the next bytes are not here yet.

        Never blocks. Raises Fault(decode_failed); after that the decoder is of no more use.
        """
        want = frames * _FRAME_BYTES
        starved = False
        while len(self._ready) < want and not starved:
            if self._stream is None:
                if not self._waiting:
                    break
                self._stream = _OpusStream(self._waiting.popleft(), self._skip, self._gain)
                self._skip = 0
            part = self._stream.decode_some()
            if part is None:
                starved = True
            elif part:
                self._ready += part
            elif self._stream.ended:
                self._skip = self._stream.still_to_skip
                self._stream = None
        if starved and not self._ready:
            return None
        out = bytes(self._ready[:want])
        del self._ready[: len(out)]
        self.position_frames += len(out) // _FRAME_BYTES
        return out


@dataclass(frozen=True)
class _Head:
    """What the identification header says."""

    pre_skip: int
    extradata: bytes
    """For libav: no pre-skip, since frames are counted here, and our own gain on top of the header's."""


def _head(packet: bytes, gain: float) -> _Head:
    if len(packet) < 19 or packet[:8] != b"OpusHead" or packet[8] >> 4 != 0:
        raise Fault("decode_failed", why="not an Ogg Opus file")
    channels, pre_skip, rate, output_gain, family = struct.unpack("<BHIhB", packet[9:19])
    if family != 0 or channels not in (1, 2):
        raise Fault("decode_failed", why=f"{channels} channels in mapping family {family}")
    steps = output_gain + (round(20 * math.log10(gain) * 256) if gain > 0 else -32768)
    clamped = max(-32768, min(32767, steps))
    return _Head(pre_skip, packet[:9] + struct.pack("<BHIhB", channels, 0, rate, clamped, family))


class _OpusStream:
    """One source: headers, then seeking, then packets."""

    def __init__(self, source: ByteSource, skip: int, gain: float) -> None:
        self._pages = PageReader(source)
        self._joiner = PacketJoiner()
        self._packets: deque[bytes] = deque()
        self._headers: list[bytes] = []
        self._gain = gain
        self._muted = gain <= 0
        self._head: _Head | None = None
        self._codec: AudioCodecContext | None = None
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        self._skip_from_start = skip
        self._sought = False
        self._at: int | None = None  # granule position of the next decoded frame
        self._from = 0  # granule position of the first frame that is wanted
        self._until: int | None = None  # granule position of the end, known on the last page
        self.ended = False
        self.still_to_skip = 0
        """At the end: frames of the wanted offset that lie beyond this source."""

    def decode_some(self) -> bytes | None:
        """Frames of the next packet; b"" where there are none in this step or at the end (`ended`); None if starved."""
        if self._packets:
            return self._decode(self._packets.popleft())
        if self._pages.at_end:
            return self._end()
        if self._head is not None and not self._sought and not self._seek(self._head):
            return None
        if self._pages.at_end:
            return self._end()
        page = self._pages.next_page()
        if page is None:
            return None
        if self._head is None or len(self._headers) < 2:
            self._take_header(page)
        else:
            self._take_audio(page)
        return b""

    def _end(self) -> bytes:
        if self._head is None:
            raise Fault("decode_failed", why="no audio in the file")
        self.ended = True
        self.still_to_skip = max(0, self._from - (self._at or 0)) if self._sought else self._skip_from_start
        return b""

    def _take_header(self, page: Page) -> None:
        self._headers += self._joiner.packets_of(page)
        if self._headers and self._head is None:
            self._head = _head(self._headers[0], self._gain)
        if len(self._headers) >= 2 and not self._headers[1].startswith(b"OpusTags"):
            raise Fault("decode_failed", why="no OpusTags after OpusHead")

    def _seek(self, head: _Head) -> bool:
        """Place the reader on the page from which decoding must begin; False where its bytes are not here yet."""
        if len(self._headers) < 2:
            return True
        self._from = head.pre_skip + self._skip_from_start
        target = self._from - _PREROLL
        if self._skip_from_start == 0 or target <= 0:
            self._sought = True
            return True
        while not self._pages.at_end:
            start = self._pages.offset
            page = self._pages.next_page() or find_page(self._pages.source, start)
            if page is None:
                self._pages.offset = start
                return False
            if page.last or (page.granule is not None and page.granule > target):
                self._pages.offset = start
                self._sought = page.offset == start
                return self._sought
            self._pages.offset = page.offset + page.length
            if page.granule is not None and page.ends_whole:
                self._at = page.granule
        self._sought = True
        return True

    def _take_audio(self, page: Page) -> None:
        packets = self._joiner.packets_of(page)
        if page.granule is not None:
            if self._at is None:
                length = sum(_packet_frames(packet) for packet in packets)
                # A stream may begin late (cut from a longer one): its first frame is then our frame 0. Shorter than its
                # packets it may only be where it also ends here.
                start = page.granule - length
                late = max(0, start)
                self._at, self._from = late, self._from + late
            if page.last or self._pages.at_end:
                self._until = page.granule
        self._packets = packets

    def _decode(self, packet: bytes) -> bytes:
        if self._at is None or self._head is None:
            raise Fault("decode_failed", why="audio before any position")
        sound = self._raw(packet)
        first, end = self._at, self._at + len(sound) // _FRAME_BYTES
        self._at = end
        keep_from = max(0, self._from - first)
        keep_to = max(0, min(end, self._until if self._until is not None else end) - first)
        if self._until is not None:
            self._at = min(end, max(first, self._until))
        part = sound[keep_from * _FRAME_BYTES : keep_to * _FRAME_BYTES]
        return bytes(len(part)) if self._muted else part

    def _as_wanted(self, frame: AudioFrame) -> list[AudioFrame]:
        if frame.format.name == "s16" and frame.layout.nb_channels == 1:
            return [frame]
        return self._resampler.resample(frame)

    def _raw(self, packet: bytes) -> bytes:
        if self._codec is None:
            assert self._head is not None
            self._codec = _opus_codec(self._head.extradata)
        expected = _packet_frames(packet)
        try:
            decoded = self._codec.decode(av.Packet(packet))
            out = b"".join(
                _frame_bytes(piece)
                for frame in decoded
                if isinstance(frame, AudioFrame)
                for piece in self._as_wanted(frame)
            )
        except (av.FFmpegError, ValueError) as error:
            raise Fault("decode_failed", why=f"the codec refuses a packet: {error}") from error
        if len(out) != expected * _FRAME_BYTES:
            raise Fault("decode_failed", why="the codec gives another length than the packet says")
        return out


def _opus_codec(extradata: bytes) -> AudioCodecContext:
    name = "libopus" if "libopus" in av.codecs_available else "opus"
    codec = AudioCodecContext.create(name, "r")
    assert isinstance(codec, AudioCodecContext)
    codec.extradata = extradata
    codec.thread_count = 1
    try:
        codec.open()
    except (av.FFmpegError, ValueError) as error:
        raise Fault("decode_failed", why=f"the codec refuses the header: {error}") from error
    return codec


def _frame_bytes(frame: AudioFrame) -> bytes:
    return bytes(frame.planes[0])[: frame.samples * _FRAME_BYTES]


def _packet_frames(packet: bytes) -> int:
    """Length of an Opus packet in frames at 48 kHz, from its first bytes (RFC 6716, 3.1)."""
    if not packet:
        raise Fault("decode_failed", why="an empty Opus packet")
    config, code = packet[0] >> 3, packet[0] & 3
    if config < 12:
        each = (480, 960, 1920, 2880)[config & 3]
    elif config < 16:
        each = (480, 960)[config & 1]
    else:
        each = (120, 240, 480, 960)[config & 3]
    if code == 3 and len(packet) < 2:
        raise Fault("decode_failed", why="a cut-off Opus packet")
    count = (1, 2, 2, packet[1] & 63 if code == 3 else 0)[code]
    if not 0 < each * count <= 5760:
        raise Fault("decode_failed", why="an Opus packet of an impossible length")
    return each * count
