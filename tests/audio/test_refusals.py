"""Files that are refused, each with its code, before or after libav has seen them."""

import contextlib
import gzip
import io
import os
import struct
import tarfile
import tempfile
import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest

from audio.importing import ImportOptions, import_recording
from loa.errors import Refused
from loa.problems import PROBLEMS, explain
from tests.audio.makers import SAMPLES, Array, speech_like, write_format, write_recording


def _wave(folder: Path, sound: Array) -> Path:
    """A plain WAV that says nothing of where its channels belong."""
    path = folder / "x.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(sound))
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes((sound.T * 32767).astype("<i2").tobytes())
    return path


def _refused(recording: Path | bytes, options: ImportOptions | None = None) -> Refused:
    with pytest.raises(Refused) as caught:
        import_recording(recording, options=options)
    assert caught.value.code in PROBLEMS
    assert explain(caught.value, "en").title
    return caught.value


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("sound.mp3", b"x" * 100)
    return file.getvalue()


def _tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("sound.mp3"))
    return file.getvalue()


M3U8 = b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:10,\nhttp://127.0.0.1/x.ts\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty_audio"),
        (M3U8, "playlist_forbidden"),
        (b"\xef\xbb\xbf\n " + M3U8, "playlist_forbidden"),
        (b"\xff\xfe" + M3U8.decode().encode("utf-16-le"), "playlist_forbidden"),
        (b"ID3\x03\x00\x00\x00\x00\x00\x0a" + bytes(10) + M3U8, "playlist_forbidden"),
        (b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>', "playlist_forbidden"),
        (b"<asx version='3.0'><entry><ref href='http://x/y'/></entry></asx>", "playlist_forbidden"),
        (b"[playlist]\nFile1=http://example.org/a.mp3\n", "playlist_forbidden"),
        (b"ffconcat version 1.0\nfile '/etc/passwd'\n", "playlist_forbidden"),
        (b"file '/etc/passwd'\n", "playlist_forbidden"),
        (b"concat:/etc/passwd|/etc/hosts", "playlist_forbidden"),
        (b"# a comment\nhttp://example.org/stream\n", "playlist_forbidden"),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n", "playlist_forbidden"),
        (b"RIFF\xff\x00\x00\x00AVI LIST" + bytes(40) + b"GAB2\x00" + M3U8, "container_forbidden"),
        (b"RIFF\xff\x00\x00\x00WAVEdata" + bytes(40) + M3U8, "container_forbidden"),
        (b"\x1aE\xdf\xa3" + bytes(400) + M3U8, "container_forbidden"),
        (_zip(), "archive_forbidden"),
        (_tar(), "archive_forbidden"),
        (gzip.compress(b"x" * 100, mtime=0), "archive_forbidden"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(50), "archive_forbidden"),
        (b"Rar!\x1a\x07\x01\x00" + bytes(50), "archive_forbidden"),
        (b"hello, world\n", "unsupported_format"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "unsupported_format"),
        (b"%PDF-1.7\n", "unsupported_format"),
        (b"\x7fELF" + bytes(100), "unsupported_format"),
        (b"OggS" + bytes(200), "decode_failed"),
        (b"fLaC" + bytes(200), "decode_failed"),
        (b"RIFF\x10\x00\x00\x00WAVE" + bytes(4), "decode_failed"),
        (b"\x00\x00\x00\x18ftypM4A \x00\x00\x00\x00M4A mp42" + bytes(200), "decode_failed"),
        (b"#!AMR\n", "decode_failed"),
        (
            b"\x00\x00\x00\x10ftypM4A \x00\x00\x00\x00\x00\x00\x00\x20moov\x00\x00\x00\x18rmra" + bytes(16),
            "container_forbidden",
        ),
        (
            b"\x00\x00\x00\x10ftypM4A \x00\x00\x00\x00\x00\x00\x00\x34moov\x00\x00\x00\x2cdref"
            b"\x00\x00\x00\x00\x00\x00\x00\x01"
            b"\x00\x00\x00\x1curl \x00\x00\x00\x00http://x/y\x00" + bytes(8),
            "container_forbidden",
        ),
        (
            b"\x00\x00\x00\x10ftypM4A \x00\x00\x00\x00\x00\x00\x00\x18moov\x00\x00\x00\x10enca" + bytes(8),
            "drm_protected",
        ),
    ],
)
def test_content(data: bytes, code: str) -> None:
    error = _refused(data, ImportOptions(name="sound.mp3"))
    assert error.code == code
    assert tempfile.gettempdir() not in str(error.values)  # people are not told where a centre keeps its files


@pytest.mark.parametrize(
    "name", ["../../x", "..", "a/b.mp3", "a\\b.mp3", "", " ", "x\x00.mp3", "C:x.mp3", "a\n.mp3", "x" * 300]
)
def test_bad_name(name: str) -> None:
    assert _refused(b"x", ImportOptions(name=name)).code == "bad_name"


def test_vietnamese_name_is_a_name(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "x.wav", speech_like(0.5), 48_000, "pcm_s16le")
    assert import_recording(path, options=ImportOptions(name="Bản tin sáng 5 giờ (thôn 1).wav"))


def test_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp3")
    for path in (tmp_path, tmp_path / "absent.mp3", tmp_path / "pipe.mp3"):
        assert _refused(path).code == "file_missing"


def test_too_large() -> None:
    assert _refused(b"RIFF" + bytes(2000), ImportOptions(max_bytes=1000)).limit == 1000


@pytest.mark.parametrize("level", [0.0, 1e-5])
def test_silence(tmp_path: Path, level: float) -> None:
    noise = np.random.default_rng(1).standard_normal(48_000).astype(np.float32) * np.float32(level)
    path = write_recording(tmp_path / "x.wav", noise, 48_000, "pcm_s16le")
    assert _refused(path).code == "silent_audio"


def test_too_many_channels(tmp_path: Path) -> None:
    error = _refused(_wave(tmp_path, np.zeros((9, 4800), np.float32)))
    assert (error.code, error.limit) == ("channel_limit", 8)


def test_192_channels(tmp_path: Path) -> None:
    head = b"RIFF" + (36 + 384 * 100).to_bytes(4, "little") + b"WAVEfmt \x10\x00\x00\x00\x01\x00\xc0\x00"
    head += (48_000).to_bytes(4, "little") + (48_000 * 384).to_bytes(4, "little") + b"\x80\x01\x10\x00"
    assert _refused(head + b"data" + (38_400).to_bytes(4, "little") + bytes(38_400)).code == "channel_limit"


def test_eight_channels_are_taken(tmp_path: Path) -> None:
    eight = np.tile(speech_like(0.5), (8, 1))
    assert import_recording(_wave(tmp_path, eight)).source.channels == 8


@pytest.mark.parametrize("labels", [(1, 2), (2, 1), (2, 2), (0xFFFFFFFF, 1)])
def test_channels_in_an_order_of_their_own(labels: tuple[int, int]) -> None:
    """Read again and again: a channel list that is freed twice shows as a crash of the whole process."""
    voice = (speech_like(0.4) * 32767).astype(">i2")
    described = b"".join(struct.pack(">II3f", label, 0, 0, 0, 0) for label in labels)
    parts = {
        b"desc": struct.pack(">d4sIIIII", 48_000, b"lpcm", 0, 4, 1, 2, 16),
        b"chan": struct.pack(">III", 0, 0, 2) + described,
        b"data": bytes(4) + np.stack([voice, voice], axis=1).tobytes(),
    }
    file = b"caff\x00\x01\x00\x00" + b"".join(
        name + struct.pack(">q", len(part)) + part for name, part in parts.items()
    )
    for _ in range(3):
        assert import_recording(file).source.channels == 2


def test_declared_too_long(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "x.flac", np.zeros(48_000 * 40, np.float32), 48_000, "flac")
    error = _refused(path, ImportOptions(max_duration_ms=30_000))
    assert error.code == "duration_limit"


def test_decoded_too_long_though_nothing_is_declared(tmp_path: Path) -> None:
    data = write_recording(tmp_path / "x.flac", np.zeros(48_000 * 40, np.float32), 48_000, "flac").read_bytes()
    # The header's number of samples (36 bits at byte 21) says "unknown".
    unknown = data[:21] + bytes([data[21] & 0xF0]) + bytes(4) + data[26:]
    reached: list[float] = []
    with pytest.raises(Refused) as caught:
        import_recording(
            unknown, options=ImportOptions(max_duration_ms=10_000), progress=lambda done, _stage: reached.append(done)
        )
    assert caught.value.code == "duration_limit"
    assert len(reached) <= 12


@pytest.mark.parametrize(
    "name",
    ["wav", "3gp", "opus", *(pytest.param(name, marks=pytest.mark.slow) for name in ("flac", "m4a-faststart", "mp3"))],
)
def test_truncated(tmp_path: Path, name: str) -> None:
    path = write_format(
        tmp_path,
        name,
        speech_like(6, {"wav": 22_050, "3gp": 8000, "opus": 48_000, "m4a-faststart": 48_000}.get(name, 44_100)),
    )
    data = path.read_bytes()
    cut = data[: len(data) * 6 // 10]
    error = _refused(cut)
    assert error.code == "decode_failed"
    if name == "3gp":
        return  # its index is at the end: nothing plays
    assert 2 < float(str(error.values["plays_s"])) < 5
    part = import_recording(cut, options=ImportOptions(accept_part=True))
    assert part.source.partial
    assert 2000 < part.source.decoded_ms < 5000


def test_cancelled(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "x.wav", speech_like(5), 48_000, "pcm_s16le")
    seen: list[str] = []
    with pytest.raises(Refused) as caught:
        import_recording(path, progress=lambda _done, stage: seen.append(stage), cancelled=lambda: "encoding" in seen)
    assert caught.value.code == "cancelled"


def test_noise_in_any_form_is_refused_or_taken() -> None:
    random = np.random.default_rng(9)
    heads = [b"OggS\x00\x02", b"fLaC\x00\x00\x00\x22", b"RIFF\xff\xff\x00\x00WAVEfmt ", b"\xff\xfb\x90\x00", b"#!AMR\n"]
    heads += [
        b"\x00\x00\x00\x10ftypM4A \x00\x00\x00\x00",
        b"\xff\xf1\x50\x80",
        b"FORM\x00\x00\xff\xffAIFF",
        b"caff\x00\x01",
    ]
    for number in range(60):
        data = heads[number % len(heads)] + random.bytes(3000)
        # Anything else than Refused fails the test.
        with contextlib.suppress(Refused):
            import_recording(data, options=ImportOptions(max_duration_ms=60_000))


@pytest.mark.parametrize(("name", "code"), [("malformed.mp3", "decode_failed"), ("drm-protected.wma", "drm_protected")])
def test_bad_samples(name: str, code: str) -> None:
    path = SAMPLES / name
    if not path.exists():
        pytest.skip("no samples here")
    error = _refused(path)
    assert error.code == code
    if code == "decode_failed":
        assert error.values["plays_s"] == 2.0
        assert float(str(error.values["claimed_s"])) > 2700
        assert import_recording(path, options=ImportOptions(accept_part=True)).source.decoded_ms == 2016
