"""The demo's report and screen, in both languages."""

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from loa.cli import demo_words
from loa.cli.demo_report import DemoReport, p99
from loa.cli.demo_screen import CommuneLine, Screen, coverage_table
from loa.cli.demo_words import DemoWords
from loa.clock import SystemClock


def _report(**changes: object) -> DemoReport:
    values: dict[str, object] = {
        "nodes": 24,
        "wired": 4,
        "wireless": 20,
        "played": 24,
        "matched": 24,
        "start_skew_ms_p99": 3.5,
        "audio_bytes_published": 61_000,
        "repair_bytes": 0,
        "duplicates": 0,
        "failures": (),
    }
    return DemoReport(**(values | changes))  # type: ignore[arg-type]


def test_the_report_is_json_with_exactly_its_ten_keys(tmp_path: Path) -> None:
    path = _report(failures=("Cô Tô",)).write(tmp_path)
    assert path.name == "report.json"
    read = json.loads(path.read_text(encoding="utf-8"))
    assert list(read) == [
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
    assert read["failures"] == ["Cô Tô"]


@pytest.mark.parametrize("change", [{"played": 23}, {"matched": 23}, {"duplicates": 1}, {"failures": ("x",)}])
def test_one_thing_wrong_fails_it(change: dict[str, object]) -> None:
    assert _report().passed
    assert not _report(**change).passed


def test_p99_is_a_value_that_occurred() -> None:
    assert p99([]) == 0.0
    assert p99([5.0]) == 5.0
    assert p99([float(n) for n in range(1, 101)]) == 99.0


@pytest.mark.parametrize("key", sorted(demo_words._WORDS))
def test_both_languages_fill_the_same_blanks(key: str) -> None:
    en, vi = (set(re.findall(r"{(\w+)", text)) for text in demo_words._WORDS[key])
    assert en == vi


@pytest.mark.parametrize("language", ["en", "vi"])
def test_what_is_not_a_terminal_gets_plain_lines(language: str) -> None:
    out = io.StringIO()
    words = DemoWords("vi" if language == "vi" else "en")
    screen = Screen(words, SystemClock(), Console(file=out, width=120))
    with screen.step("audio") as step:
        step.update("…", 0.5)
        step.finish("ok")
    with pytest.raises(RuntimeError), screen.step("cut"):
        raise RuntimeError
    screen.line("")
    screen.console.print(coverage_table(words, [CommuneLine("Cô Tô", 8, 8, 8, 8, 7, 2.5)]))
    text = out.getvalue()
    assert "\x1b" not in text
    assert text.count("✓") == 1
    assert text.count("✗") == 1
    assert "7/8" in text
