"""A node plays what it is told: by order and by timetable."""

import numpy as np

from devices.node.memory import MemoryStorage
from devices.protocol.reports import ReceiptEvent
from loa.units import InstantMs
from tests.node.rig import Rig, an_id, recording

E = ReceiptEvent


async def test_an_immediate_order(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    rig.give(rig.order("now", recording(), in_ms=3000))
    await rig.clock.advance(10)
    assert np.array_equal(rig.heard("now"), recording().sound)
    assert rig.desk.events(an_id("now")) == [E.RECEIVED, E.READY, E.STARTED, E.FINISHED]
    started = rig.desk.about(an_id("now"))[2]
    assert started.late_ms is not None
    assert abs(started.late_ms) <= 2


async def test_a_timetable_entry(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    rig.timetable(rig.entry("morning", 60_000, recording(), recording(2.0, 500.0)))
    await rig.clock.advance(30)
    rig.link.drop()  # it needs nobody any more
    await rig.clock.advance(60)
    assert len(rig.heard("morning")) == 5 * 48_000
    rig.link.restore()
    await rig.clock.advance(2)
    assert rig.desk.events(an_id("morning")) == [E.READY, E.STARTED, E.FINISHED]


async def test_a_wrong_wall_clock_does_not_matter(rig: Rig) -> None:
    await rig.up(MemoryStorage(), wall_off_ms=-10 * 365 * 86_400_000)
    start = rig.clock.now_ms() + 5000
    rig.timetable(rig.entry("morning", 5000, recording()))
    await rig.clock.advance(4)
    rig.box.wall_off_ms = 10 * 365 * 86_400_000
    await rig.clock.advance(10)
    assert rig.desk.events(an_id("morning")) == [E.READY, E.STARTED, E.FINISHED]
    assert abs(rig.desk.about(an_id("morning"))[1].at - InstantMs(start)) < 50
