"""Decoding of renditions whose bytes are still coming in."""

import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio.decode import RATE, HeldBytes, decode_file, open_clip
from audio.importing import make_rendition
from audio.ogg import PageReader, page_checksum
from audio.render import RenditionFile
from audio.tones import pcm_of, siren
from loa.errors import Fault
from tests.audio.makers import speech_like

CLOSE = 330
"""40 dB below full scale: a decoder that starts in the middle does not come to the very same samples."""


@cache
def _speech() -> RenditionFile:
    return make_rendition(pcm_of(speech_like(7.303)))


@cache
def _whole() -> np.typing.NDArray[np.int32]:
    return np.frombuffer(decode_file(_speech().data).data, "<i2").astype(np.int32)


class Arriving:
    """A ByteSource whose bytes come in any order."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.here = np.zeros(len(data), bool)

    @property
    def length_bytes(self) -> int:
        return len(self._data)

    def read_at(self, offset: int, length: int) -> bytes | None:
        if not self.here[offset : offset + length].all():
            return None
        return self._data[offset : offset + length]


def _read_all(clip_offset_ms: int, sizes: int = 1000) -> np.typing.NDArray[np.int32]:
    clip = open_clip([HeldBytes(_speech().data)], clip_offset_ms)
    parts = []
    while part := clip.read(sizes):
        assert len(part) <= 2 * sizes
        parts.append(part)
    return np.frombuffer(b"".join(parts), "<i2").astype(np.int32)


def test_length_is_exact() -> None:
    assert len(_whole()) == _speech().duration_ms * RATE // 1000


@given(offset_ms=st.integers(0, 7400))
@settings(max_examples=25, deadline=None)
def test_an_offset_is_exact(offset_ms: int) -> None:
    part, wanted = _read_all(offset_ms), _whole()[offset_ms * 48 :]
    assert len(part) == len(wanted)
    if len(part):
        assert np.abs(part - wanted).max() <= CLOSE


@given(order=st.randoms(use_true_random=False), offset_ms=st.sampled_from([0, 500, 3210, 7000]))
@settings(max_examples=20, deadline=None)
def test_bytes_may_come_in_any_order(order: object, offset_ms: int) -> None:
    source = Arriving(_speech().data)
    blocks = list(range(0, len(_speech().data), 4096))
    order.shuffle(blocks)  # type: ignore[attr-defined]
    clip = open_clip([source], offset_ms)
    out = b""
    while True:
        part = clip.read(960)
        if part is None:
            block = blocks.pop()
            source.here[block : block + 4096] = True
        elif part == b"":
            break
        else:
            out += part
    got = np.frombuffer(out, "<i2").astype(np.int32)
    assert len(got) == len(_whole()) - offset_ms * 48
    assert np.abs(got - _whole()[offset_ms * 48 :]).max() <= CLOSE


def test_joining_late_needs_nothing_from_before() -> None:
    source = Arriving(_speech().data)
    source.here[:4096] = True
    source.here[2 * 4096 :] = True
    clip = open_clip([source], 6000)
    got = clip.read(RATE)
    assert got is not None
    assert np.abs(np.frombuffer(got, "<i2").astype(np.int32)[:4800] - _whole()[288_000 : 288_000 + 4800]).max() <= CLOSE


def test_sources_follow_each_other() -> None:
    other = make_rendition(siren(1000))
    clip = open_clip([HeldBytes(_speech().data), HeldBytes(other.data)], 7000)
    data = b""
    while part := clip.read(4321):
        data += part
    assert len(data) // 2 == (_speech().duration_ms + other.duration_ms - 7000) * 48
    assert clip.position_frames == (_speech().duration_ms + other.duration_ms) * 48


def test_known_durations_leave_earlier_sources_alone() -> None:
    absent = Arriving(_speech().data)
    clip = open_clip(
        [absent, HeldBytes(_speech().data)], _speech().duration_ms + 1000, durations_ms=[_speech().duration_ms] * 2
    )
    got = clip.read(RATE)
    assert got is not None
    assert len(got) == 2 * RATE


def test_gain() -> None:
    half = np.frombuffer(open_clip([HeldBytes(_speech().data)], gain=0.5).read(96_000) or b"", "<i2")
    assert np.abs(half - _whole()[:96_000] / 2).max() < 60
    assert not any(open_clip([HeldBytes(_speech().data)], gain=0.0).read(96_000) or b"x")


def test_checksum_is_ogg_s() -> None:
    page = _speech().data[: PageReader(HeldBytes(_speech().data)).next_page().length]  # type: ignore[union-attr]
    crc = 0
    for byte in page[:22] + bytes(4) + page[26:]:
        crc ^= byte << 24
        for _ in range(8):
            crc = ((crc << 1) ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    assert crc == page_checksum(page[:22] + bytes(4) + page[26:]) == int.from_bytes(page[22:26], "little")


@given(data=st.binary(max_size=300))
@settings(max_examples=100, deadline=None)
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(Fault, match="decode_failed"):
        decode_file(data)


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
@settings(max_examples=60, deadline=None)
def test_damage_is_noticed(place: float, bit: int, cut: bool) -> None:
    damaged = bytearray(_speech().data)
    at = int(place * len(damaged))
    damaged[at] ^= 1 << bit
    with pytest.raises(Fault, match="decode_failed"):
        decode_file(bytes(damaged[: at + 1] if cut else damaged))


@pytest.mark.slow
def test_a_node_needs_neither_numpy_nor_pydub() -> None:
    program = "import sys, audio.decode; sys.exit(any(name in sys.modules for name in ('numpy', 'pydub', 'pydantic')))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
