"""`loa demo --alert` as a process: what is shown, what is left behind, what it is not given together with."""

import csv
import json
import time
import wave
from pathlib import Path

import numpy as np
import pytest

from controller.cap.judgement import Terms, judge_alone
from loa.units import InstantMs
from simulators.places import ISLAND, LOUDSPEAKERS
from tests.demo.process import interrupted, start_demo


@pytest.mark.slow
@pytest.mark.needs("mosquitto", "espeak-ng")
def test_all_of_it_is_shown_in_under_three_minutes(tmp_path: Path) -> None:
    process = start_demo("--alert", "--out", "out", folder=tmp_path)
    output, _ = process.communicate(timeout=300)
    out = tmp_path / "out"
    assert process.returncode == 0, output
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert report["failures"] == []
    assert (report["nodes"], report["in_reach"], report["started"], report["started_after_link_back"]) == (
        24,
        16,
        16,
        8,
    )
    assert (report["sounding_at_cancel"], report["silent"], report["sirens"]) == (24, 24, 24)
    assert 500 <= report["first_sound_ms"] <= report["last_in_reach_ms"] < 5000
    assert 0 < report["silent_ms"] < 5000
    assert report["seconds"] < 180

    for said in (
        "mỗi người có mã và khoá duyệt riêng",
        "storm.cap.xml: 201 accepted",
        "12 thôn/khu, 24 bộ thu",
        "Cần người thứ hai xác nhận",
        "Vẫn im: 24/24 bộ thu",
        "cả 16 bộ thu còn liên lạc",
        "16/24 bộ thu đã phát",
        "8/8 bộ thu nhận sau",
        "24/24 bộ thu đã phát",
        "24 bộ thu đang phát, im hết sau",
        "24/24 bản ghi từ loa mở đầu đúng bằng còi 1",
    ):
        assert said in output
    first_ladder = output[output.index("16/24") :]
    assert first_ladder.index("Thanh Lân") < first_ladder.index("Bến Đoan"), "unreached first"

    (verdict,) = judge_alone((out / "storm.cap.xml").read_bytes(), Terms(at=InstantMs(time.time_ns() // 1_000_000)))
    assert not verdict.refused
    rows = list(csv.DictReader((out / "alert-report.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert {row["node"] for row in rows} == {plan.node for plan in LOUDSPEAKERS}
    assert {row["end"] for row in rows} == {"cancelled"}
    started = {row["node"]: row["started_at"] for row in rows}
    island = {plan.node for plan in LOUDSPEAKERS if plan.commune == ISLAND}
    assert min(started[node] for node in island) > max(at for node, at in started.items() if node not in island)
    assert "CẢNH BÁO THẬT" in (out / "alert-report.html").read_text(encoding="utf-8")
    heard = sorted((out / "heard").iterdir())
    assert len(heard) == 24
    for path in heard:
        with wave.open(str(path)) as file:
            sound = np.frombuffer(file.readframes(file.getframerate()), "<i2")
        assert np.abs(sound.astype(int)).max() > 1000, f"{path.name} begins in silence"


@pytest.mark.slow
@pytest.mark.needs("mosquitto")
def test_ctrl_c_in_the_middle_ends_it_in_order(tmp_path: Path) -> None:
    interrupted(start_demo("--alert", "--lang", "en", "--out", "out", folder=tmp_path), "nodes in contact")


@pytest.mark.slow
@pytest.mark.parametrize("more", [("--once",), ("--audio", "in.wav")])
def test_what_does_not_go_with_it_is_said_before_anything_is_made(more: tuple[str, ...], tmp_path: Path) -> None:
    process = start_demo("--alert", *more, folder=tmp_path)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"{more[0]} không đi cùng --alert [options_exclude]" in output
    assert list(tmp_path.iterdir()) == []
