"""Friendly flags mean the right rules; what people write never reaches the terminal as anything but text."""

from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from loa.cli.client import local, memory_file, problem_error, remember, table
from loa.cli.programmes import days_of, slots_of, times_of
from loa.errors import Fault, OperatorNeeded, Refused
from loa.problems import explain
from loa.units import InstantMs
from scheduler.rules.recurrence import check_recurrence, expand

TODAY = "2026-11-23"  # a Monday


def test_instants_are_shown_by_the_clock_that_programmes_are_written_in() -> None:
    assert local("2026-11-23T22:00:00Z") == "2026-11-24 05:00:00"
    assert not local(None)


def test_days() -> None:
    assert days_of("mon-fri") == ["MO", "TU", "WE", "TH", "FR"]
    assert days_of("Sat, sunday") == ["SA", "SU"]
    assert days_of("fri-mon") == ["MO", "FR", "SA", "SU"]
    for bad in ("", "someday", "mon-", "mon-fry"):
        with pytest.raises(Refused, match="bad_argument"):
            days_of(bad)


def test_times() -> None:
    assert times_of("17:00,05:00, 5:00") == [(5, 0), (17, 0)]
    for bad in ("24:00", "5", "", "05:60", "05:00,"):
        with pytest.raises(Refused, match="bad_argument"):
            times_of(bad)


def test_slots() -> None:
    assert slots_of("05:00,17:00", None, None, None, TODAY) == [
        (f"{TODAY}T05:00:00", "FREQ=DAILY;BYHOUR=5,17;BYMINUTE=0")
    ]
    assert len(slots_of("05:00,17:30", "mon-fri", None, None, TODAY)) == 2
    assert slots_of("07:00", None, None, "2026-12-01", TODAY) == [("2026-12-01T07:00:00", "")]
    assert slots_of("07:00", None, "RRULE:FREQ=MONTHLY", None, TODAY) == [(f"{TODAY}T07:00:00", "FREQ=MONTHLY")]
    with pytest.raises(Refused):
        slots_of("07:00", "mon", "FREQ=DAILY", None, TODAY)


@given(st.sets(st.tuples(st.integers(0, 23), st.integers(0, 59)), min_size=1, max_size=6))
def test_every_time_is_heard_once_a_day_and_no_other(times: set[tuple[int, int]]) -> None:
    text = ",".join(f"{hour:02d}:{minute:02d}" for hour, minute in times)
    heard = []
    for starts_on, rule in slots_of(text, None, None, None, TODAY):
        check_recurrence(starts_on, rule)
        day = (InstantMs(1_795_453_200_000), InstantMs(1_795_453_200_000 + 86_400_000))  # the 24th, from midnight
        heard += [(one.local.hour, one.local.minute) for one in expand(starts_on, rule, (), day)]
    assert sorted(heard) == sorted(times)


def test_what_is_remembered_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    path = remember("http://x", "loa_secret")
    assert path == memory_file()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0


def test_a_servers_words_are_shown_as_they_are() -> None:
    body = {"code": "test_of_words", "title": "Ten {of} them", "remedy": "Do {it}", "field": "x", "limit": None}
    for status, kind in ((404, Refused), (503, OperatorNeeded), (507, OperatorNeeded), (500, Fault)):
        error = problem_error(body, status)
        assert isinstance(error, kind)
        assert explain(error, "en").title == "Ten {of} them"


def test_no_markup_and_no_escape_sequences_reach_the_terminal() -> None:
    out = StringIO()
    Console(file=out, width=200).print(table(("A",), [("[red]x[/red]\x1b[2J\r\n",)]))
    assert "[red]x[/red]" in out.getvalue()
    assert "\x1b" not in out.getvalue()
