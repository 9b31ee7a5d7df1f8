"""Of a long recording, the first part; refused like the whole."""

import wave
from pathlib import Path

import pytest

from audio.excerpt import write_excerpt
from audio.importing import import_recording
from loa.errors import Refused
from loa.units import DurationMs
from simulators.announcement import RATE, hum, write_announcement


def test_a_short_recording_needs_no_excerpt(tmp_path: Path) -> None:
    write_announcement(tmp_path / "a.wav", seconds=2.0)
    assert not write_excerpt(tmp_path / "a.wav", tmp_path / "b.wav", DurationMs(2000))
    assert not (tmp_path / "b.wav").exists()


def test_of_a_long_one_the_first_part_can_be_imported(tmp_path: Path) -> None:
    write_announcement(tmp_path / "a.wav", seconds=5.0)
    assert write_excerpt(tmp_path / "a.wav", tmp_path / "b.wav", DurationMs(2000))
    assert 1900 <= import_recording(tmp_path / "b.wav").rendition.duration_ms <= 2000


def test_silence_first_and_the_excerpt_begins_with_the_sound(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(bytes(2 * RATE * 4))
        file.writeframes((hum(DurationMs(2000), 1) * 30000).astype("<i2").tobytes())
    assert write_excerpt(tmp_path / "a.wav", tmp_path / "b.wav", DurationMs(1000))
    assert 900 <= import_recording(tmp_path / "b.wav").rendition.duration_ms <= 1000


def test_what_is_no_recording_is_refused_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"")
    with pytest.raises(Refused, match="empty_audio"):
        write_excerpt(tmp_path / "a.wav", tmp_path / "b.wav", DurationMs(1000))
