"""Permitted hours, and the clock that wakes us."""

import asyncio
from datetime import datetime
from zoneinfo import ZoneInfo

from devices.protocol.documents import Hours
from loa.clock import SystemClock
from loa.units import DurationMs, InstantMs
from scheduler.clock import DueClock
from scheduler.rules.hours import permits

MORNING = Hours(from_minute=300, to_minute=360)
WORKDAYS = Hours(from_minute=1020, to_minute=1080, days=0b0011111)
LATE, EARLY = Hours(from_minute=1380, to_minute=1440), Hours(from_minute=0, to_minute=60)


def at(text: str) -> InstantMs:
    return InstantMs(int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Ho_Chi_Minh")).timestamp() * 1000))


def minutes(count: int) -> DurationMs:
    return DurationMs(count * 60_000)


def test_hours() -> None:
    assert permits((), at("2026-11-23T03:15"), minutes(60))
    hours = (MORNING, WORKDAYS)
    assert permits(hours, at("2026-11-23T05:00"), minutes(60))
    assert not permits(hours, at("2026-11-23T05:00"), minutes(61))
    assert not permits(hours, at("2026-11-23T04:59"), minutes(5))
    assert not permits(hours, at("2026-11-23T03:15"), minutes(5))
    assert permits(hours, at("2026-11-27T17:30"), minutes(30))  # Friday
    assert not permits(hours, at("2026-11-28T17:30"), minutes(5))  # Saturday
    assert permits((LATE, EARLY), at("2026-11-23T23:30"), minutes(60))  # over midnight
    assert not permits((LATE, EARLY), at("2026-11-23T23:30"), minutes(91))


async def test_wakes_once_at_the_instant_and_at_once_for_the_past() -> None:
    clock, woken = SystemClock(), asyncio.Queue[int]()
    due = DueClock(lambda: woken.put(clock.now_ms()))
    due.start()
    due.set_next(InstantMs(clock.now_ms() + 3_600_000))
    due.set_next(InstantMs(clock.now_ms() + 50))  # instead of the one before
    asked = due.next_at
    assert asked is not None
    found = await asyncio.wait_for(woken.get(), 5)
    assert found >= asked
    assert due.next_at is None
    due.set_next(InstantMs(1))  # half a century late
    await asyncio.wait_for(woken.get(), 5)
    due.set_next(InstantMs(clock.now_ms() + 30))
    due.set_next(None)
    assert due.next_at is None
    assert woken.empty()
    due.stop()
