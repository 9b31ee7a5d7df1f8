"""Recurrence: as a calendar says, in any zone, and no slower for a rule that began long ago."""

import contextlib
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from loa.errors import Refused
from loa.units import InstantMs
from scheduler.rules.recurrence import check_recurrence, expand, local_midnight, occurrences

VN = ZoneInfo("Asia/Ho_Chi_Minh")


def ms(text: str, zone: str = "Asia/Ho_Chi_Minh") -> InstantMs:
    return InstantMs(round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000))


def window(first: str, last: str, zone: str = "Asia/Ho_Chi_Minh") -> tuple[InstantMs, InstantMs]:
    return ms(first, zone), ms(last, zone)


def local(found: list[InstantMs], zone: str = "Asia/Ho_Chi_Minh") -> list[str]:
    return [datetime.fromtimestamp(at / 1000, ZoneInfo(zone)).strftime("%m-%d %H:%M") for at in found]


def test_twice_a_day_without_tet() -> None:
    found = occurrences(
        "2026-01-01T05:00", "FREQ=DAILY;BYHOUR=5,17", ["2026-02-17"], window("2026-02-16T00:00", "2026-02-19T00:00")
    )
    assert local(found) == ["02-16 05:00", "02-16 17:00", "02-18 05:00", "02-18 17:00"]


def test_once() -> None:
    assert local(occurrences("2026-02-16T05:00", "", [], window("2026-02-01T00:00", "2026-03-01T00:00"))) == [
        "02-16 05:00"
    ]
    assert occurrences("2026-02-16T05:00", "", [], window("2026-02-17T00:00", "2026-03-01T00:00")) == []


def test_weekdays_by_name_are_those_of_the_calendar() -> None:
    found = occurrences(
        "2023-01-02T05:00", "FREQ=WEEKLY;BYDAY=MO,FR", [], window("2026-11-23T00:00", "2026-11-30T00:00")
    )
    assert local(found) == ["11-23 05:00", "11-27 05:00"]


def test_every_other_week_keeps_its_weeks_after_years() -> None:
    found = occurrences(
        "2020-01-06T06:30", "FREQ=WEEKLY;INTERVAL=2", [], window("2026-11-01T00:00", "2026-12-01T00:00")
    )
    weeks = [(datetime.fromtimestamp(at / 1000, VN).date() - date(2020, 1, 6)).days / 7 for at in found]
    assert weeks
    assert all(week % 2 == 0 for week in weeks)


def test_leap_days() -> None:
    span = window("2090-01-01T00:00", "2110-01-01T00:00")
    found = occurrences("2024-02-29T05:00", "FREQ=YEARLY", [], span)
    assert [datetime.fromtimestamp(at / 1000, VN).year for at in found] == [2092, 2096, 2104, 2108]  # 2100 has none
    check_recurrence("2096-03-01T05:00", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29")


def test_the_31st_comes_where_there_is_one() -> None:
    found = occurrences("2020-01-31T05:00", "FREQ=MONTHLY", [], window("2026-01-01T00:00", "2027-01-01T00:00"))
    assert [datetime.fromtimestamp(at / 1000, VN).month for at in found] == [1, 3, 5, 7, 8, 10, 12]


def test_clock_changes_elsewhere() -> None:
    """New York: 2026-03-08 has no 02:30, 2026-11-01 has two 01:30."""
    zone = "America/New_York"
    gap = occurrences("2026-03-01T02:30", "FREQ=DAILY", [], window("2026-03-07T00:00", "2026-03-10T00:00", zone), zone)
    assert local(gap, zone) == ["03-07 02:30", "03-08 03:30", "03-09 02:30"]  # RFC 5545: by the offset before the gap
    twice = occurrences(
        "2026-03-01T01:30", "FREQ=DAILY", [], window("2026-10-31T00:00", "2026-11-03T00:00", zone), zone
    )
    assert local(twice, zone) == ["10-31 01:30", "11-01 01:30", "11-02 01:30"]
    assert datetime.fromtimestamp(twice[1] / 1000, UTC).hour == 5  # the first of the two


def test_midnight() -> None:
    assert local_midnight(ms("2026-11-23T15:45")) == ms("2026-11-23T00:00")
    assert local_midnight(ms("2026-11-23T00:00"), days=8) == ms("2026-12-01T00:00")
    zone = "America/New_York"
    assert local_midnight(ms("2026-03-08T12:00", zone), zone, days=1) == ms("2026-03-09T00:00", zone)


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=SECONDLY", "FREQ=MINUTELY", "FREQ=DAILY;BYSECOND=1", "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=31", "DAILY",
        "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;INTERVAL=x", "FREQ=DAILY;COUNT=0", "FREQ=DAILY;COUNT=9999999",
        "FREQ=DAILY;COUNT=2;UNTIL=20270101", "FREQ=DAILY;UNTIL=yesterday", "FREQ=DAILY;UNTIL=20200101", "FREQ=FOO",
        "FREQ=DAILY;FREQ=DAILY", "FREQ=DAILY;BYHOUR=25", "FREQ=DAILY;BYDAY=XX", "FREQ=DAILY;X=1", ";", "FREQ=DAILY;",
        "FREQ=HOURLY;BYMINUTE=" + ",".join(str(n) for n in range(60)), "RRULE:FREQ=DAILY\nEXDATE:20260101", "x" * 600,
    ],
)  # fmt: skip
def test_rules_that_are_refused(rule: str) -> None:
    with pytest.raises(Refused, match="bad_recurrence"):
        check_recurrence("2026-01-01T05:00", rule)


@given(st.text(max_size=60))
def test_no_text_crashes_the_check(rule: str) -> None:
    for text in (rule, "FREQ=DAILY;" + rule):
        with contextlib.suppress(Refused):
            check_recurrence("2026-01-01T05:00", text)


@pytest.mark.parametrize("start", ["", "2026-13-01T05:00", "2026-01-01", "2026-01-01T05:00Z", "0001-01-01T05:00"])
def test_starts_that_are_refused(start: str) -> None:
    with pytest.raises(Refused, match="bad_start"):
        check_recurrence(start, "")


RULES = st.builds(
    lambda freq, interval, rest: ";".join([f"FREQ={freq}", f"INTERVAL={interval}", *rest]),
    st.sampled_from(["HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"]),
    st.integers(1, 5),
    st.lists(
        st.sampled_from(
            ["BYHOUR=5,17", "BYMINUTE=0,30", "BYDAY=MO,WE,SU", "BYMONTH=2,3,11", "BYMONTHDAY=1,15,29,31,-1", "WKST=SU"]
        ),
        unique=True,
        max_size=3,
    ),
)


@settings(deadline=None, max_examples=60)
@given(
    RULES,
    st.datetimes(datetime(2023, 1, 1), datetime(2024, 12, 31)),
    st.integers(0, 900),
    st.integers(1, 12),
)
def test_advancing_the_start_changes_nothing(rule: str, start: datetime, later: int, days: int) -> None:
    start = start.replace(second=0, microsecond=0)
    first = start + timedelta(days=later)
    last = first + timedelta(days=days)
    span = (
        InstantMs(round(first.replace(tzinfo=VN).timestamp() * 1000)),
        InstantMs(round(last.replace(tzinfo=VN).timestamp() * 1000)),
    )
    found = [one.local for one in expand(start.isoformat(), rule, (), span)]
    try:
        plain = rrulestr(rule, dtstart=start).replace(until=last)  # type: ignore[union-attr]
    except ValueError:  # every 2 hours from 06:00, at 5 only
        assert found == []
        return
    assert found == [at for at in plain if first <= at < last]
