"""Samples into an Ogg Opus file (RFC 7845), mono, 24 kbit/s. The same samples always make the same bytes."""

import io
import math
import struct
from typing import Any

import av
import numpy as np

from audio.decode import RATE
from audio.level import Mono
from audio.ogg import page_checksum

BIT_RATE = 24_000
_STEP = RATE // 50
_BANDWIDTHS = (4000, 6000, 8000, 12_000)
_HEAD_AT = 28
_HEAD_PAGE_BYTES = _HEAD_AT + 19
"""The first page holds the header of 19 bytes alone."""


class OpusWriter:
    """Feed it samples, then take the file. Holds the encoded file in memory: 11 MB an hour."""

    def __init__(self, bandwidth_hz: int = RATE // 2) -> None:
        """bandwidth_hz: what the sound reaches up to; the codec spends nothing above it."""
        self._file = io.BytesIO()
        # bitexact: no random stream serial and no version of the encoder in the file.
        self._container: Any = av.open(self._file, "w", format="ogg", container_options={"fflags": "+bitexact"})
        self._stream: Any = self._container.add_stream("libopus", rate=RATE)
        self._stream.layout = "mono"
        self._stream.bit_rate = BIT_RATE
        context = self._stream.codec_context
        cutoff = next((limit for limit in _BANDWIDTHS if bandwidth_hz <= limit), 0)
        context.options = {"application": "audio", "vbr": "on", "flags": "+bitexact", "cutoff": str(cutoff)}
        self._rest = np.zeros(0, np.float32)
        self.frames = 0
        """Frames written so far."""

    def __enter__(self) -> "OpusWriter":
        return self

    def __exit__(self, *_: object) -> None:
        """Also where the file is not finished: libav's part must not be left to the garbage collector."""
        self._container.close()

    def write(self, samples: Mono) -> None:
        """Full scale is 1; more is clipped by the encoder's float input only where the decoder makes 16 bits of it."""
        joined = np.concatenate((self._rest, samples))
        whole = len(joined) // _STEP * _STEP
        if whole:
            self._encode(joined[:whole])
        self._rest = joined[whole:]

    def finish(self) -> bytes:
        """The file."""
        if len(self._rest):
            self._encode(self._rest)
        for packet in self._stream.encode(None):
            self._container.mux(packet)
        self._container.close()
        return self._file.getvalue()

    def _encode(self, samples: Mono) -> None:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples)[None, :], "flt", "mono")
        frame.sample_rate, frame.pts = RATE, self.frames
        self.frames += len(samples)
        for packet in self._stream.encode(frame):
            self._container.mux(packet)


def with_output_gain(data: bytes, gain_db: float) -> bytes:
    """The same file with another output gain in its header, which every decoder applies (RFC 7845, 5.1).

    In steps of 1/256 dB, rounded down. Nothing is encoded again, so that nothing else changes.
    """
    length = _HEAD_PAGE_BYTES
    page = bytearray(data[:length])
    assert page[_HEAD_AT : _HEAD_AT + 8] == b"OpusHead"
    page[22:26] = bytes(4)
    struct.pack_into("<h", page, _HEAD_AT + 16, math.floor(gain_db * 256))
    struct.pack_into("<I", page, 22, page_checksum(bytes(page)))
    return bytes(page) + data[length:]
