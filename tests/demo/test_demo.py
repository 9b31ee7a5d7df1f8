"""`loa demo --once` as a process, on both brokers: the report, what is left behind, and that nothing stays running."""

import json
import signal
from pathlib import Path

import pytest

from simulators.announcement import write_announcement
from tests import tools
from tests.demo.process import interrupted, start_demo

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


@pytest.mark.slow
@pytest.mark.needs("mosquitto")
@pytest.mark.parametrize(("broker", "cut"), [("mosquitto", "half-open"), ("amqtt", "dropped")])
def test_once_every_node_plays_both_and_matches(broker: str, cut: str, tmp_path: Path) -> None:
    write_announcement(tmp_path / "in.wav", seconds=5.0)
    process = start_demo(
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
    assert interrupted(start_demo("--once", "--out", "out", folder=tmp_path), "timetable") < 15


@pytest.mark.slow
@pytest.mark.needs("mosquitto")
def test_two_demos_side_by_side_and_a_port_that_is_taken(tmp_path: Path) -> None:
    first = start_demo("--broker", "mosquitto", "--port", "0", "--out", "one", folder=tmp_path)
    assert first.stdout is not None
    try:
        url = next(line for line in first.stdout if "http://127.0.0.1:" in line)
        port = url.rpartition(":")[2].strip()
        taken = start_demo("--once", "--out", "two", "--port", port, folder=tmp_path)
        output, _ = taken.communicate(timeout=60)
        assert taken.returncode == 1
        assert "[port_in_use]" in output
        second = start_demo("--broker", "amqtt", "--out", "three", folder=tmp_path)
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
    process = start_demo("--once", "--audio", str(folder / "audio" / name), folder=tmp_path)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"[{code}]" in output


@pytest.mark.slow
def test_no_file_no_recording_and_vietnamese_words(tmp_path: Path) -> None:
    (tmp_path / "empty.mp3").write_bytes(b"")
    for name, code in (("missing.mp3", "file_missing"), ("empty.mp3", "empty_audio")):
        process = start_demo("--once", "--lang", "vi", "--audio", name, folder=tmp_path)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 1
        assert f"[{code}]" in output
        assert "tệp" in output.lower()
