"""Imports in a process of their own."""

import asyncio
import itertools
import os
from pathlib import Path

import numpy as np
import psutil
import pytest

from audio.importing import ImportOptions, import_recording
from audio.process import import_in_process
from loa.errors import Refused
from tests.audio.makers import speech_like, write_recording

pytestmark = pytest.mark.slow
RATE = 48_000
HOUR_BAR_BYTES = 300_000_000


def _long(path: Path, seconds: int) -> Path:
    """A minute of speech in WAV at 16 kHz, again and again."""
    minute = (speech_like(60, 16_000) * 32767).astype("<i2").tobytes()
    data = (minute * (seconds // 60 + 1))[: seconds * 32_000]
    head = b"RIFF" + (len(data) + 36).to_bytes(4, "little") + b"WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00"
    head += (16_000).to_bytes(4, "little") + (32_000).to_bytes(4, "little") + b"\x02\x00\x10\x00data"
    path.write_bytes(head + len(data).to_bytes(4, "little") + data)
    return path


def _workers() -> list[psutil.Process]:
    return [child for child in psutil.Process(os.getpid()).children() if "audio.worker" in " ".join(child.cmdline())]


async def test_the_same_as_here(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "x.wav", speech_like(5), RATE, "pcm_s16le")
    seen: list[tuple[float, str]] = []
    there = await import_in_process(path, progress=lambda done, stage: seen.append((done, stage)))
    assert there == import_recording(path)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert {stage for _, stage in seen} == {"reading", "encoding", "checking"}
    assert seen[-1][0] == 1.0
    assert (await import_in_process(path.read_bytes())).rendition == there.rendition


async def test_refusals_come_across() -> None:
    with pytest.raises(Refused) as caught:
        await import_in_process(b"#EXTM3U\nhttp://x/y\n")
    assert (caught.value.code, caught.value.field) == ("playlist_forbidden", "file")


async def test_cancelling_kills_the_worker(tmp_path: Path) -> None:
    path = _long(tmp_path / "x.wav", 600)
    begun = asyncio.Event()
    task = asyncio.create_task(import_in_process(path, progress=lambda _done, _stage: begun.set()))
    await asyncio.wait_for(begun.wait(), 30)
    assert len(_workers()) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not _workers()


async def test_a_killed_worker_is_no_hang(tmp_path: Path) -> None:
    path = _long(tmp_path / "x.wav", 600)

    def kill(_done: float, _stage: str) -> None:
        for worker in _workers():
            worker.kill()

    with pytest.raises(Refused, match="decode_failed"):
        await import_in_process(path, progress=kill)


async def test_the_loop_goes_on_meanwhile(tmp_path: Path) -> None:
    path = _long(tmp_path / "x.wav", 120)
    task = asyncio.create_task(import_in_process(path))
    loop = asyncio.get_running_loop()
    longest, last = 0.0, loop.time()
    while not task.done():
        await asyncio.wait([task], timeout=0.01)
        longest, last = max(longest, loop.time() - last), loop.time()
    assert (await task).source.decoded_ms == 120_000
    assert longest < 1.0


async def test_an_hour_in_little_memory(tmp_path: Path) -> None:
    path = _long(tmp_path / "x.wav", 3600)
    most = 0

    def look(_done: float, _stage: str) -> None:
        nonlocal most
        for worker in _workers():
            most = max(most, worker.memory_info().rss)

    imported = await import_in_process(path, progress=look)
    assert imported.source.decoded_ms == 3_600_000
    assert 0 < most < HOUR_BAR_BYTES
    assert abs(imported.rendition.loudness_lufs + 16) <= 1


async def test_a_day_of_silence_is_stopped_early(tmp_path: Path) -> None:
    """Undeclared length, little data: stopped by what comes out of the decoder."""
    path = write_recording(tmp_path / "x.opus", np.zeros(RATE * 60, np.float32), RATE, "libopus", container="ogg")
    page = path.read_bytes()
    # FLAC of silence, repeated as one stream of frames whose numbers do not matter to the reader.
    flac = write_recording(tmp_path / "x.flac", np.zeros(RATE * 600, np.float32), RATE, "flac").read_bytes()
    start = _first_frame(flac)
    unknown = flac[:21] + bytes([flac[21] & 0xF0]) + bytes(4) + flac[26:start]
    bomb = unknown + b"".join(itertools.repeat(flac[start:], 144))
    assert len(page) < 100_000
    with pytest.raises(Refused) as caught:
        await import_in_process(bomb, options=ImportOptions(max_duration_ms=7_200_000))
    assert caught.value.code == "duration_limit"


def _first_frame(flac: bytes) -> int:
    at, last = 4, False
    while not last:
        last = bool(flac[at] & 0x80)
        at += 4 + int.from_bytes(flac[at + 1 : at + 4], "big")
    return at
