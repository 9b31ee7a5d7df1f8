"""Every benchmark runs in its smallest form and gives the figures that its promises are about."""

import json
import math
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks.bars import Bar
from benchmarks.plots import curve, draw

_NEEDS = {"memory": ("mosquitto", "pulseaudio"), "receipts": ("postgresql",)}
_OF_MANY_NODES = {"fanout_ratio_1000", "fanout_ratio_10000"}
"""The smallest form has fewer nodes than these."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.needs(*_NEEDS.get(name, ("mosquitto",))))
        for name in sorted(bench.available())
    ],
)
def test_it_runs_in_its_smallest_form(name: str) -> None:
    module = bench.available()[name]
    figures = module.run(True)
    assert set(module.BARS) - _OF_MANY_NODES <= set(figures)
    assert all(math.isfinite(value) for value in figures.values())


def test_all_promises_have_a_benchmark() -> None:
    keys = {key for module in bench.available().values() for key in module.BARS}
    assert keys >= {
        "fanout_ratio_1000", "fanout_ratio_10000", "bulk_ratio", "once_ratio", "repair_ratio", "order_behind_audio_s",
        "skew_p99_ms", "receipts_per_s", "encode_x_realtime", "import_x_realtime", "plan_10000_s", "restart_10000_s",
        "node_rss_mb", "controller_rss_mb_2000", "connect_storm_s", "alert_first_sound_p99_s", "cancel_p99_s",
        "alert_during_bulk_p99_s", "alert_during_storm_p99_s", "alert_during_db_lock_p99_s", "alert_first_sound_30_s",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("bar", "value", "met"),
    [
        (Bar("at least", at_least=3), 3.0, True),
        (Bar("at least", at_least=3), 2.9, False),
        (Bar("at most", at_most=3), 3.0, True),
        (Bar("at most", at_most=3), 3.1, False),
    ],
)
def test_a_bar(bar: Bar, value: float, met: bool) -> None:
    assert bar.met(value) is met


def test_a_curve_is_what_is_named_by_a_number_of_nodes(tmp_path: Path) -> None:
    figures = {"fanout_ms_1000": 60.0, "fanout_ms_10": 20.0, "fanout_ms_per_node": 1.0, "other": 2.0}
    assert curve(figures, "fanout_ms_") == [(10, 20.0), (1000, 60.0)]
    (path,) = draw(figures, tmp_path)
    assert path.name == "fanout.svg"
    assert path.stat().st_size < 100_000


def test_figures_are_written_beside_their_bars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Quick:
        BARS = {"quick_s": Bar("a figure", at_most=1)}

        @staticmethod
        def run(quick: bool) -> dict[str, float]:
            return {"quick_s": 0.5 if quick else 2.0}

    monkeypatch.setattr(bench, "available", lambda: {"quick": Quick})
    file = tmp_path / "figures.json"
    assert bench.main(["quick", "--quick", "--json", str(file)]) == 0
    assert json.loads(file.read_text()) == {"quick_s": 0.5}
    assert bench.main(["quick"]) == 1
