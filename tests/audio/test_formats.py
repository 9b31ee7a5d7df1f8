"""Every format for which an encoder is to be had goes in and comes out the same sound, levelled."""

from pathlib import Path

import av
import numpy as np
import pytest

from audio.compare import rendition_matches
from audio.decode import decode_file
from audio.importing import ImportOptions, import_recording, read_mono
from tests.audio.makers import FORMATS, SAMPLES, music_like, speech_like, with_silence, write_format, write_recording

RATE = 48_000


QUICK = {"mp3", "m4a", "amr"}


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in sorted(FORMATS)]
)
def test_format(tmp_path: Path, name: str) -> None:
    codec = FORMATS[name]["codec"]
    if codec not in av.codecs_available:
        pytest.skip(f"no encoder {codec} in this build of libav")
    path = write_format(tmp_path, name, speech_like(4, FORMATS[name]["rate"]))
    imported = import_recording(path)
    rendition = imported.rendition
    assert rendition.levelled_by == "loudness"
    assert abs(rendition.loudness_lufs + 16) <= 1
    assert rendition.peak_dbtp <= -1
    decoded = decode_file(rendition.data)
    assert decoded.duration_ms == rendition.duration_ms
    match = rendition_matches(decoded, read_mono(path))
    assert match.ok, match


def _matches(path: Path) -> None:
    rendition = import_recording(path).rendition
    match = rendition_matches(decode_file(rendition.data), read_mono(path))
    assert match.ok, match
    assert rendition.peak_dbtp <= -1


def _wav(path: Path, sound: np.typing.NDArray[np.float32], rate: int = RATE, codec: str = "pcm_s16le") -> Path:
    return write_recording(path / "sound.wav", sound, rate, codec)


@pytest.mark.slow
def test_music_in_stereo(tmp_path: Path) -> None:
    path = _wav(tmp_path, music_like(5))
    imported = import_recording(path)
    assert imported.rendition.levelled_by == "loudness"
    assert abs(imported.rendition.loudness_lufs + 16) <= 1
    _matches(path)


def test_channels_in_opposite_phase_do_not_cancel(tmp_path: Path) -> None:
    voice = speech_like(4)
    imported = import_recording(_wav(tmp_path, np.stack([voice, -voice])))
    match = rendition_matches(decode_file(imported.rendition.data), voice)
    assert match.ok, match


@pytest.mark.slow
@pytest.mark.parametrize("place", range(6))
def test_one_voice_among_six_channels(tmp_path: Path, place: int) -> None:
    voice = speech_like(3.2)
    six = np.zeros((6, len(voice)), np.float32)
    six[place] = voice
    imported = import_recording(_wav(tmp_path, six))
    match = rendition_matches(decode_file(imported.rendition.data), voice)
    assert match.ok, match


def test_constant_offset_is_no_sound(tmp_path: Path) -> None:
    voice = with_silence(speech_like(4) * 0.5, 2, 2)[0]
    imported = import_recording(_wav(tmp_path, voice + np.float32(0.2)))
    assert abs(imported.trimmed_head_ms - 2000) <= 60
    match = rendition_matches(decode_file(imported.rendition.data), voice)
    assert match.ok, match


@pytest.mark.slow
@pytest.mark.parametrize("gain_db", [-55, -40, 20])
def test_very_quiet_and_clipped(tmp_path: Path, gain_db: int) -> None:
    voice = np.clip(speech_like(4) * np.float32(10 ** (gain_db / 20)), -1, 1)
    path = _wav(tmp_path, voice, codec="pcm_s24le")
    assert abs(import_recording(path).rendition.loudness_lufs + 16) <= 1
    _matches(path)


@pytest.mark.slow
def test_noisy_telephone(tmp_path: Path) -> None:
    noisy = speech_like(5, 8000) + np.random.default_rng(5).standard_normal(40_000).astype(np.float32) * np.float32(
        0.03
    )
    _matches(_wav(tmp_path, noisy, 8000))


@pytest.mark.slow
def test_long_silence_around(tmp_path: Path) -> None:
    path = _wav(tmp_path, with_silence(speech_like(3.5), 30, 10))
    imported = import_recording(path)
    assert imported.trimmed_head_ms >= 29_900
    assert imported.rendition.duration_ms < 3_600
    _matches(path)


def test_very_short(tmp_path: Path) -> None:
    path = _wav(tmp_path, speech_like(0.3, seed=4))
    imported = import_recording(path)
    assert imported.rendition.levelled_by == "peak"
    assert -5 <= imported.rendition.peak_dbtp <= -1
    _matches(path)


@pytest.mark.slow
def test_samples_above_full_scale(tmp_path: Path) -> None:
    path = _wav(tmp_path, speech_like(4) * np.float32(8), codec="pcm_f32le")
    _matches(path)


@pytest.mark.slow
def test_odd_chunks_and_tags(tmp_path: Path) -> None:
    path = _wav(tmp_path, speech_like(3.5))
    data = path.read_bytes()
    odd = b"LIST" + (13).to_bytes(4, "little") + b"INFOISFT\x01\x00\x00\x00x" + b"\x00"
    path.write_bytes(data[:12] + odd + b"junk" + (3).to_bytes(4, "little") + b"abc\x00" + data[12:])
    _matches(path)


@pytest.mark.slow
def test_picture_in_the_tag(tmp_path: Path) -> None:
    path = write_format(tmp_path, "mp3", speech_like(3.5, 44_100))
    picture = b"\x00image/png\x00\x03\x00" + b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 400
    body = b"APIC" + len(picture).to_bytes(4, "big") + b"\x00\x00" + picture
    size = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
    sound = path.read_bytes()
    start = 10 + (sound[6] << 21 | sound[7] << 14 | sound[8] << 7 | sound[9]) if sound.startswith(b"ID3") else 0
    path.write_bytes(b"ID3\x03\x00\x00" + size + body + sound[start:])
    _matches(path)


def test_same_recording_same_bytes(tmp_path: Path) -> None:
    path = _wav(tmp_path, speech_like(3.5))
    assert import_recording(path).rendition.data == import_recording(path.read_bytes()).rendition.data


@pytest.mark.slow
def test_chimes_go_around(tmp_path: Path) -> None:
    path = _wav(tmp_path, speech_like(4))
    rendition = import_recording(path, options=ImportOptions(chime=True)).rendition
    tail = rendition.duration_ms - rendition.body_start_ms - rendition.body_ms
    assert rendition.body_start_ms > 1500
    assert tail > 1500
    assert abs(rendition.loudness_lufs + 16) <= 1
    match = rendition_matches(
        decode_file(rendition.data), read_mono(path), skip_head_ms=rendition.body_start_ms, skip_tail_ms=tail
    )
    assert match.ok, match


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "by"),
    [
        ("vietnamese-speech-synthesised.wav", "loudness"),
        ("tone-stereo-tagged.mp3", "loudness"),
        ("s2.flac", "peak"),
    ],
)
def test_good_samples(name: str, by: str) -> None:
    path = SAMPLES / name
    if not path.exists():
        pytest.skip("no samples here")
    rendition = import_recording(path).rendition
    assert rendition.levelled_by == by
    assert rendition.peak_dbtp <= -1
    if by == "loudness":
        assert abs(rendition.loudness_lufs + 16) <= 1
    match = rendition_matches(decode_file(rendition.data), read_mono(path))
    assert match.ok, match
