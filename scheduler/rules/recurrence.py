"""When a recurring programme happens: RFC 5545 recurrence in a local time zone, as pure functions.

A rule that began years ago costs no more than a fresh one: its start is moved forward by whole periods that keep
every date where it was. Local times that a change of clocks skips or repeats are taken as RFC 5545 (3.3.5) says: with
the offset before the gap, and the first of two.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from math import lcm
from zoneinfo import ZoneInfo

from dateutil.rrule import rrule, rrulestr

from loa.errors import Refused
from loa.units import InstantMs

_Refuse = Callable[[str], Refused]

VIETNAM = "Asia/Ho_Chi_Minh"
MOST_PER_DAY = 96
MOST_COUNTED = 5000
_FREQUENCIES = ("HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_LIMITS = ("INTERVAL", "COUNT", "UNTIL", "WKST", "BYSETPOS")
_PARTS = ("BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYDAY", "BYHOUR", "BYMINUTE")
_KNOWN = frozenset({"FREQ", *_LIMITS, *_PARTS})
_HORIZON_DAYS = 9 * 366
"""The longest wait between two occurrences that makes sense: 29 February over a century's end."""


@dataclass(frozen=True)
class Occurrence:
    """One instance of a rule. `local` is the local date and time; it names the slot, whatever clocks do."""

    local: datetime
    at: InstantMs


@dataclass(frozen=True)
class _Rule:
    """A checked rule."""

    text: str
    frequency: str
    interval: int
    counted: bool
    until: datetime | None


def check_recurrence(starts_on: str, recurrence: str, excluded: Collection[str] = (), zone: str = VIETNAM) -> None:
    """Raise Refused(bad_recurrence, bad_start, bad_excluded_date) where the parts do not make a usable rule."""
    start = _start(starts_on)
    _dates(excluded)
    if not recurrence:
        return
    rule = _parsed(recurrence)
    if rule.until is not None and rule.until < start:
        raise Refused("bad_recurrence", field="recurrence", limit="UNTIL after the start", value=recurrence[:200])
    first = _first_match(start, rule)
    if first is None or first - start > timedelta(days=_HORIZON_DAYS):
        raise Refused("bad_recurrence", field="recurrence", limit="happens at least once", value=recurrence[:200])
    day = first.replace(hour=0, minute=0, second=0)
    if len(_expanded(start, rule, day, day + timedelta(days=1), most=MOST_PER_DAY + 1)) > MOST_PER_DAY:
        raise Refused("bad_recurrence", field="recurrence", limit=f"{MOST_PER_DAY} a day", value=recurrence[:200])
    ZoneInfo(zone)


def occurrences(
    starts_on: str,
    recurrence: str,
    excluded: Collection[str],
    window: tuple[InstantMs, InstantMs],
    zone: str = VIETNAM,
) -> list[InstantMs]:
    """Instants from window[0] up to but not including window[1], ascending."""
    return [one.at for one in expand(starts_on, recurrence, excluded, window, zone)]


def expand(
    starts_on: str,
    recurrence: str,
    excluded: Collection[str],
    window: tuple[InstantMs, InstantMs],
    zone: str = VIETNAM,
) -> list[Occurrence]:
    """As `occurrences`, with the local time of each. Raises as `check_recurrence`."""
    info = ZoneInfo(zone)
    # A day on each side: a local time and its instant may differ by a change of clocks, never by more.
    first = datetime.fromtimestamp(window[0] / 1000, info).replace(tzinfo=None) - timedelta(days=1)
    last = datetime.fromtimestamp(window[1] / 1000, info).replace(tzinfo=None) + timedelta(days=1)
    start = _start(starts_on)
    if recurrence:
        locals_ = _expanded(start, _parsed(recurrence), first, last)
    else:
        locals_ = [start] if first <= start <= last else []
    skipped = _dates(excluded)
    found = [Occurrence(local, _instant(local, info)) for local in locals_ if local.date() not in skipped]
    return sorted((one for one in found if window[0] <= one.at < window[1]), key=lambda one: (one.at, one.local))


def local_midnight(at: InstantMs, zone: str = VIETNAM, *, days: int = 0) -> InstantMs:
    """The start of the local day of `at`, or of one `days` later."""
    info = ZoneInfo(zone)
    day = datetime.fromtimestamp(at / 1000, info).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    return _instant(day + timedelta(days=days), info)


def _instant(local: datetime, info: ZoneInfo) -> InstantMs:
    return InstantMs(round(local.replace(tzinfo=info, fold=0).timestamp() * 1000))


def _start(text: str) -> datetime:
    try:
        start = datetime.fromisoformat(text)
    except (ValueError, TypeError) as error:
        raise Refused("bad_start", field="starts_on", limit="YYYY-MM-DDTHH:MM:SS", value=str(text)[:40]) from error
    if start.tzinfo is not None or len(text) < 16 or not 1970 <= start.year <= 2200:
        raise Refused("bad_start", field="starts_on", limit="YYYY-MM-DDTHH:MM:SS", value=text[:40])
    return start


def _dates(excluded: Collection[str]) -> frozenset[date]:
    if not excluded:
        return frozenset()
    try:
        return frozenset(date.fromisoformat(text) for text in excluded)
    except (ValueError, TypeError) as error:
        raise Refused("bad_excluded_date", field="excluded", limit="YYYY-MM-DD") from error


@lru_cache(maxsize=4096)
def _parsed(recurrence: str) -> _Rule:
    def refused(limit: str) -> Refused:
        return Refused("bad_recurrence", field="recurrence", limit=limit, value=recurrence[:200])

    text = recurrence.strip().upper().removeprefix("RRULE:")
    parts: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value or name in parts:
            raise refused("NAME=VALUE;…")
        if name not in _KNOWN:
            raise refused(f"without {name[:20]}")
        parts[name] = value
    if parts.get("FREQ") not in _FREQUENCIES:
        raise refused("FREQ=" + "|".join(_FREQUENCIES))
    if len(text) > 500:
        raise refused("500 characters")
    until = _until(parts.pop("UNTIL", None), refused)
    interval, count = _number(parts, "INTERVAL", 1, 1000, refused), _number(parts, "COUNT", 0, MOST_COUNTED, refused)
    if count and until:
        raise refused("COUNT or UNTIL, not both")
    rule = _Rule(";".join(f"{k}={v}" for k, v in parts.items()), parts["FREQ"], interval, bool(count), until)
    try:
        plain = ";".join(f"{name}={value}" for name, value in parts.items() if name != "INTERVAL")
        rrulestr(plain, dtstart=datetime(2024, 1, 1))  # noqa: DTZ001  local times are naive on purpose here
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise refused("RFC 5545") from error
    return rule


def _number(parts: dict[str, str], name: str, least: int, most: int, refused: _Refuse) -> int:
    if name not in parts:
        return least
    if not (parts[name].isascii() and parts[name].isdigit()) or not max(1, least) <= int(parts[name]) <= most:
        raise refused(f"{name} at most {most}")
    return int(parts[name])


def _until(text: str | None, refused: _Refuse) -> datetime | None:
    """UNTIL as local time. With Z it is UTC by RFC 5545 and is taken as Vietnam's."""
    if text is None:
        return None
    try:
        if len(text) == 8:
            return datetime.strptime(text, "%Y%m%d").replace(hour=23, minute=59, second=59)  # noqa: DTZ007
        stamp = datetime.strptime(text.removesuffix("Z"), "%Y%m%dT%H%M%S")  # noqa: DTZ007
    except ValueError as error:
        raise refused("UNTIL=YYYYMMDD[THHMMSS[Z]]") from error
    if text.endswith("Z"):
        stamp = stamp.replace(tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo(VIETNAM)).replace(tzinfo=None)
    return stamp


def _expanded(
    start: datetime, rule: _Rule, first: datetime, last: datetime, *, most: int | None = None
) -> list[datetime]:
    """Local times of the rule within [first, last], at most `most`."""
    if rule.until is not None:
        last = min(last, rule.until)
    if last < start or last < first:
        return []
    begin = start if rule.counted else _advanced(start, rule, first)
    found: list[datetime] = []
    parsed = _from(rule, begin)
    for local in parsed or ():
        if local > last:
            break
        if local >= first and local >= start:
            found.append(local)
            if len(found) == most:
                break
    return found


def _from(rule: _Rule, start: datetime) -> rrule | None:
    """The rule from a start on; None where from that start it never happens (every 2 hours from 06:00, at 5 only)."""
    try:
        parsed = rrulestr(rule.text, dtstart=start)
    except ValueError:
        return None
    return parsed if isinstance(parsed, rrule) else None


def _first_match(start: datetime, rule: _Rule) -> datetime | None:
    """The first instance. dateutil looks for one up to the year 9999, whatever UNTIL says, which for a rule that never
    matches takes seconds; the calendar repeats every 400 years, so the search begins that much nearer to the end."""
    shift = (9999 - start.year) // 400 * 400
    found = next(iter(_from(rule, start.replace(year=start.year + shift)) or ()), None)
    return None if found is None else found.replace(year=found.year - shift)


def _advanced(start: datetime, rule: _Rule, first: datetime) -> datetime:
    """The latest start at or before `first` that gives the same instances: whole periods later."""
    if start >= first:
        return start
    if rule.frequency in ("HOURLY", "DAILY", "WEEKLY"):
        step = timedelta(hours=rule.interval * {"HOURLY": 1, "DAILY": 24, "WEEKLY": 168}[rule.frequency])
        return start + max(0, (first - start) // step - 1) * step
    # Months keep their day only where it exists, so steps are whole years, and leap years for 29 February.
    years = lcm(rule.interval, 12) // 12 if rule.frequency == "MONTHLY" else rule.interval
    if (start.month, start.day) == (2, 29):
        years = lcm(years, 4)
    steps = (first.year - start.year - 1) // years
    while steps > 0:
        try:
            return start.replace(year=start.year + steps * years)
        except ValueError:  # 29 February of 2100
            steps -= 1
    return start
