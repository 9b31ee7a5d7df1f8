"""The centre itself tells a wrong time for a while: what a node does then must not outlast it."""

import pytest

from devices.node.memory import MemoryStorage
from devices.protocol.documents import Entry
from devices.protocol.orders import OrderAction
from devices.protocol.reports import ReceiptCause, ReceiptEvent
from loa.precedence import Precedence
from loa.units import Percent
from tests.node.releasing import alert, refusals, sounds
from tests.node.rig import Rig, an_id, recording
from tests.protocol.world import PERSON

DAY_MS = 86_400_000
E = ReceiptEvent


async def _centre_is_ahead(rig: Rig, seconds: float, *planned: Entry) -> None:
    """Three days ahead for so long, orders and documents of that time included; then it is set right."""
    rig.clock._wall_ms += 3 * DAY_MS  # all that the centre signs bears its own time
    rig.link.drop("weather")
    rig.link.restore()
    await rig.clock.advance(seconds)
    rig.settings(ordinary_cap=Percent(90))
    if planned:
        rig.timetable(*planned)
    rig.give(rig.order("of that time", action=OrderAction.VOLUME, volume=Percent(60), in_ms=100))
    await rig.clock.advance(2)
    rig.clock._wall_ms -= 3 * DAY_MS
    rig.link.drop("weather")
    rig.link.restore()
    await rig.clock.advance(40)


@pytest.mark.parametrize("reboots", [False, True])
async def test_an_emergency_is_not_shut_out_afterwards(rig: Rig, reboots: bool) -> None:
    storage = MemoryStorage()
    await rig.up(storage)
    await rig.clock.advance(700)
    await _centre_is_ahead(rig, 60)
    if reboots:
        await rig.pull_the_plug()
        await rig.boot(storage, seed="again")
        await rig.clock.advance(2)
    alert(rig, "x", PERSON, repeats=0)
    await rig.clock.advance(4)
    assert sounds(rig, "x")
    assert not refusals(rig)


async def test_the_timetable_of_those_days_is_not_given_up(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    rig.timetable(*(rig.entry(f"day {n}", 3_600_000 + n * DAY_MS, recording()) for n in range(3)))
    await rig.clock.advance(700)
    await _centre_is_ahead(rig, 60)
    assert E.SKIPPED not in rig.desk.events()
    await rig.clock.advance(3700)
    assert rig.desk.events(an_id("day 0"))[-1] is E.FINISHED


async def test_a_timetable_of_a_centre_that_is_days_ahead_gives_nothing_up(rig: Rig) -> None:
    """It leaves out what is over by that clock; set right, the centre plans the same again."""
    await rig.up(MemoryStorage())
    week = [rig.entry(f"day {n}", 3_600_000 + n * DAY_MS, recording()) for n in range(5)]
    rig.timetable(*week)
    await rig.clock.advance(700)
    await _centre_is_ahead(rig, 60, *week[3:])
    rig.timetable(*week)
    await rig.clock.advance(3700)
    assert E.SKIPPED not in rig.desk.events()
    assert rig.desk.events(an_id("day 0"))[-1] is E.FINISHED


async def test_what_was_missed_is_told_once_the_time_has_stood(rig: Rig) -> None:
    """The positive control: a box that was off tells what it skipped, a while after it knows the time."""
    storage = MemoryStorage()
    await rig.up(storage)
    rig.timetable(rig.entry("missed", 60_000, recording()))
    await rig.clock.advance(20)
    await rig.pull_the_plug()
    rig.clock._wall_ms += 3_600_000
    await rig.boot(storage, seed="again")
    await rig.clock.advance(660)
    assert [(one.event, one.cause) for one in rig.desk.about(an_id("missed"))][-1] == (
        E.SKIPPED, ReceiptCause.TOO_LATE,
    )  # fmt: skip
    assert not rig.any_sound


async def test_volume_and_acknowledgements_go_on_at_once(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    await rig.clock.advance(700)
    await _centre_is_ahead(rig, 60)
    rig.give(rig.order("now", action=OrderAction.VOLUME, volume=Percent(30), in_ms=100))
    await rig.clock.advance(2)
    status = rig.node.status()
    assert status.volume == 30
    assert status.acknowledged == status.last_number


async def test_the_floor_follows_a_time_that_stands(rig: Rig) -> None:
    """Or last year's capture would count at a box that lost its clock."""
    await rig.up(MemoryStorage())
    await rig.clock.advance(1800)
    floor = rig.node._records.floor_ms
    assert rig.clock.now_ms() - 900_000 < floor <= rig.clock.now_ms()
    rig.give(rig.order("x", recording(), precedence=Precedence.PRIORITY))
    await rig.clock.advance(2)
    assert rig.node._records.floor_ms > floor
