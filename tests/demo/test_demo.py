"""`loa demo --once` as a process, on both brokers: the report, what is left behind, and that nothing stays running."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from simulators.announcement import write_announcement
from tests import tools

_KEYS = [
    "nodes",
    "wired",
    "wireless",
    "played",
    "matched",
    "start_skew_ms_p99",
    "audio_bytes_published",
    "repair_bytes",
    "duplicates",
    "failures",
]


def _start(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from loa.cli.main import main; main()", "demo", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"COLUMNS": "120"},
    )


def _children(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.slow
@pytest.mark.needs("mosquitto")
@pytest.mark.parametrize(("broker", "cut"), [("mosquitto", "half-open"), ("amqtt", "dropped")])
def test_once_every_node_plays_both_and_matches(broker: str, cut: str, tmp_path: Path) -> None:
    write_announcement(tmp_path / "in.wav", seconds=5.0)
    process = _start(
        *("--once", "--audio", "in.wav", "--out", "out", "--broker", broker, "--cut", cut), folder=tmp_path
    )
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert list(report) == _KEYS
    assert (report["nodes"], report["wired"], report["wireless"]) == (24, 4, 20)
    assert report["played"] == report["matched"] == 24
    assert report["duplicates"] == 0
    assert report["failures"] == []
    assert report["start_skew_ms_p99"] < 100
    assert 0 < report["audio_bytes_published"] < 100_000
    assert report["repair_bytes"] <= report["audio_bytes_published"]
    heard = sorted((tmp_path / "out" / "heard").iterdir())
    assert len(heard) == 48
    assert len({path.stem.rpartition("-")[2] for path in heard}) == 2
    assert f"{broker} mqtt://127.0.0.1:" in output
    for step in (
        "the island Cô Tô is on its own",
        "heard on 24 of 24 nodes, 8 of them on the cut-off island; receipts from 16",
        "8 of 8 island nodes after",
        "ordered and heard on 24 of 24 nodes",
        "of both broadcasts from 24 of 24 nodes",
        "48 of 48 recordings",
    ):
        assert step in output


@pytest.mark.slow
@pytest.mark.needs("mosquitto")
def test_ctrl_c_in_the_middle_ends_everything_in_order(tmp_path: Path) -> None:
    process = _start("--once", "--out", "out", folder=tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if "timetable" in line:
            break
    children = _children(process)
    assert any("mosquitto" in child.name() for child in children)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert time.monotonic() - began < 15
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert not psutil.wait_procs(children, timeout=5)[1]


@pytest.mark.slow
@pytest.mark.needs("mosquitto")
def test_two_demos_side_by_side_and_a_port_that_is_taken(tmp_path: Path) -> None:
    first = _start("--broker", "mosquitto", "--port", "0", "--out", "one", folder=tmp_path)
    assert first.stdout is not None
    try:
        url = next(line for line in first.stdout if "http://127.0.0.1:" in line)
        port = url.rpartition(":")[2].strip()
        taken = _start("--once", "--out", "two", "--port", port, folder=tmp_path)
        output, _ = taken.communicate(timeout=60)
        assert taken.returncode == 1
        assert "[port_in_use]" in output
        second = _start("--broker", "amqtt", "--out", "three", folder=tmp_path)
        assert second.stdout is not None
        assert any("24 nodes in contact" in line for line in second.stdout)
        second.send_signal(signal.SIGINT)
        output, _ = second.communicate(timeout=30)
        assert second.returncode == 0, output
    finally:
        first.send_signal(signal.SIGINT)
        output, _ = first.communicate(timeout=30)
    assert first.returncode == 0, output


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [("drm-protected.wma", "drm_protected"), ("malformed.mp3", "decode_failed")])
def test_a_bad_sample_is_refused_with_its_code(name: str, code: str, tmp_path: Path) -> None:
    folder = tools.samples()
    if folder is None:
        pytest.skip("no samples here")
    process = _start("--once", "--audio", str(folder / "audio" / name), folder=tmp_path)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"[{code}]" in output


@pytest.mark.slow
def test_no_file_no_recording_and_vietnamese_words(tmp_path: Path) -> None:
    (tmp_path / "empty.mp3").write_bytes(b"")
    for name, code in (("missing.mp3", "file_missing"), ("empty.mp3", "empty_audio")):
        process = _start("--once", "--lang", "vi", "--audio", name, folder=tmp_path)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 1
        assert f"[{code}]" in output
        assert "tệp" in output.lower()
