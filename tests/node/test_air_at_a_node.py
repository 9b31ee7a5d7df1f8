"""Who has the air at a node, late joins, limits, and what is told of it."""

import numpy as np
import pytest

from devices.node.memory import MemoryStorage
from devices.protocol.documents import Hours, Siren
from devices.protocol.orders import OrderAction
from devices.protocol.reports import ReceiptCause, ReceiptEvent
from loa.names import AreaPath
from loa.precedence import Interruption, Precedence
from loa.units import DurationMs, Percent
from tests.node.rig import Rig, an_id, recording
from tests.protocol.world import NODE, NOW

E, C = ReceiptEvent, ReceiptCause
PRIORITY, EMERGENCY = Precedence.PRIORITY, Precedence.EMERGENCY
TALK, SIREN = recording(10.0, 310.0), recording(2.0, 800.0)


def story(rig: Rig, name: str) -> list[tuple[ReceiptEvent, ReceiptCause]]:
    kept = [one for one in rig.desk.about(an_id(name)) if one.event not in (E.RECEIVED, E.READY)]
    return [(one.event, one.cause) for one in kept]


@pytest.mark.parametrize("rule", list(Interruption))
async def test_an_emergency_interrupts(rig: Rig, rule: Interruption) -> None:
    await rig.up(MemoryStorage())
    rig.timetable(rig.entry("talk", 5000, TALK, interruption=rule))
    await rig.clock.advance(8)
    rig.give(rig.order("alert", SIREN, in_ms=500, precedence=EMERGENCY))
    await rig.clock.advance(2)
    assert rig.node.status().precedence is EMERGENCY
    await rig.clock.advance(30)
    assert np.array_equal(rig.heard("alert"), SIREN.sound)
    interrupted = [(E.STARTED, C.NONE), (E.INTERRUPTED, C.PRE_EMPTED), (E.RESUMED, C.NONE), (E.FINISHED, C.NONE)]
    dropped = [(E.STARTED, C.NONE), (E.STOPPED, C.PRE_EMPTED)]
    assert story(rig, "talk") == (dropped if rule is Interruption.DROP else interrupted)
    heard = rig.heard("talk")
    if rule is Interruption.RESTART:
        assert np.array_equal(heard[-len(TALK.sound) :], TALK.sound)
    elif rule is Interruption.RESUME:
        resumed = rig.desk.about(an_id("talk"))[-2]
        assert resumed.position_ms is not None
        assert 2500 < resumed.position_ms < 3500
        rest = 48_000 * 5
        assert np.abs(heard[-rest:].astype(int) - TALK.sound[-rest:]).max() < 200


async def test_a_later_equal_waits_within_its_grace(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    rig.timetable(
        rig.entry("talk", 5000, TALK),
        rig.entry("next", 8000, SIREN),
        rig.entry("hasty", 9000, recording(), grace_ms=DurationMs(1000)),
    )
    await rig.clock.advance(40)
    assert np.array_equal(rig.heard("talk"), TALK.sound)
    assert np.array_equal(rig.heard("next"), SIREN.sound)
    late = next(one for one in rig.desk.about(an_id("next")) if one.event is E.STARTED).late_ms
    assert late is not None
    assert 6900 < late < 7500
    assert story(rig, "hasty") == [(E.SKIPPED, C.PRE_EMPTED)]


async def test_a_late_node_joins_in_phase(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    rig.desk.serves = False
    rig.give(rig.order("talk", TALK, in_ms=2000, repeats=2, gap_ms=DurationMs(1000)))
    await rig.clock.advance(6)
    rig.desk.serves = True
    await rig.clock.advance(40)
    assert story(rig, "talk") == [(E.NOT_READY, C.NO_AUDIO), (E.STARTED, C.NONE), (E.FINISHED, C.NONE)]
    started = next(one for one in rig.desk.about(an_id("talk")) if one.event is E.STARTED)
    assert started.late_ms is not None
    assert abs(started.late_ms - (started.position_ms or 0) - 11_000 * started.repeat) <= 2
    assert np.array_equal(rig.heard("talk")[-len(TALK.sound) :], TALK.sound)


async def test_audio_that_never_comes(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    rig.desk.serves = False
    rig.timetable(rig.entry("x", 5000, TALK))
    rig.give(rig.order("y", recording(), in_ms=2000))
    await rig.clock.advance(400)
    assert story(rig, "x") == [(E.NOT_READY, C.NO_AUDIO), (E.SKIPPED, C.NO_AUDIO)]
    assert story(rig, "y") == [(E.NOT_READY, C.NO_AUDIO), (E.SKIPPED, C.NO_AUDIO)]


@pytest.mark.slow
async def test_an_emergency_repeats_until_it_expires(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    rig.stock([SIREN])
    rig.settings(sirens=(Siren(code=3, rendition=SIREN.ref),))
    await rig.clock.advance(5)
    order = rig.order("alert", in_ms=500, precedence=EMERGENCY, siren=3, repeats=0, gap_ms=DurationMs(500))
    rig.give(order)
    await rig.clock.advance(19)
    assert rig.node.status().playing == an_id("alert")
    await rig.clock.advance(601)
    assert rig.node.status().playing is None
    assert story(rig, "alert")[0] == (E.STARTED, C.NONE)
    assert story(rig, "alert")[-1][1] is C.EXPIRED
    assert abs(len(rig.heard("alert")) - 600 * 48_000) < 3 * 48_000


async def test_an_emergency_after_a_restart_goes_on(rig: Rig) -> None:
    storage = MemoryStorage()
    await rig.up(storage)
    payload = rig.give(rig.order("alert", TALK, in_ms=500, precedence=EMERGENCY, repeats=0))
    await rig.clock.advance(5)
    await rig.pull_the_plug()
    await rig.boot(storage, seed="again")
    rig.desk.link.publish(f"loa/1/n/{NODE}/order", payload)
    await rig.clock.advance(3)
    assert rig.node.status().playing == an_id("alert")
    assert E.UNCONFIRMED not in rig.desk.events()


async def test_an_emergency_that_comes_late_is_heard_whole(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    rig.give(rig.order("alert", TALK, in_ms=-30_000, precedence=EMERGENCY))
    await rig.clock.advance(30)
    assert np.array_equal(rig.heard("alert")[-len(TALK.sound) :], TALK.sound)
    assert story(rig, "alert")[-1] == (E.FINISHED, C.NONE)


async def test_hours_and_volume(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    minute = (NOW // 60_000 + 420) % 1440
    rig.settings(hours=(Hours(from_minute=0, to_minute=max(1, minute - 5)),), emergency_volume=Percent(100))
    await rig.clock.advance(1)
    rig.give(rig.order("x", recording(), in_ms=2000))
    rig.timetable(rig.entry("y", 3000, recording()))
    rig.give(rig.order("alert", recording(), in_ms=8000, precedence=EMERGENCY))
    await rig.clock.advance(30)
    assert story(rig, "x") == [(E.SKIPPED, C.OUT_OF_HOURS)]
    assert story(rig, "y") == [(E.SKIPPED, C.OUT_OF_HOURS)]
    assert np.array_equal(rig.heard("alert"), recording().sound)


async def test_volume_is_kept_and_capped(rig: Rig) -> None:
    storage = MemoryStorage()
    await rig.up(storage)
    rig.settings(ordinary_cap=Percent(50))
    rig.give(rig.order("v", action=OrderAction.VOLUME, volume=Percent(25), renditions=(), in_ms=0))
    await rig.clock.advance(1)
    assert story(rig, "v") == [(E.SET, C.NONE)]
    await rig.pull_the_plug()
    await rig.boot(storage, seed="again")
    await rig.clock.advance(2)
    assert rig.node.status().volume == 25
    rig.give(rig.order("x", recording(), in_ms=2000))
    rig.give(rig.order("y", recording(), in_ms=8000, volume=Percent(90)))
    await rig.clock.advance(30)
    loud = np.abs(recording().sound).max()
    assert np.abs(rig.heard("x")).max() == pytest.approx(loud / 4, rel=0.03)
    assert np.abs(rig.heard("y")).max() == pytest.approx(loud / 2, rel=0.03)


async def test_a_test_tone(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    rig.give(rig.order("t", action=OrderAction.TEST_TONE, volume=Percent(20), renditions=(), in_ms=1000))
    await rig.clock.advance(10)
    assert story(rig, "t") == [(E.STARTED, C.NONE), (E.FINISHED, C.NONE)]
    assert (rig.folder / "heard" / f"{NODE}-test-tone.wav").exists()


async def test_a_moved_broadcast_is_heard_once(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    rig.timetable(rig.entry("old", 3000, recording()))
    await rig.clock.advance(10)
    moved = rig.entry("moved", 5000, recording(), replaces=(an_id("old"),))
    repeat = rig.entry("repeat", 20_000, recording(), replaces=(an_id("old"),), repeat=True)
    rig.timetable(moved, repeat)
    await rig.clock.advance(40)
    assert story(rig, "moved") == [(E.SKIPPED, C.ALREADY_STARTED)]
    assert story(rig, "repeat") == [(E.STARTED, C.NONE), (E.FINISHED, C.NONE)]


async def test_receipts_until_they_are_acknowledged(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    rig.desk.acknowledges = False
    rig.link.drop()
    await rig.clock.advance(1)
    rig.link.restore()
    await rig.clock.advance(1)
    rig.give(rig.order("x", recording()))
    await rig.clock.advance(30)
    before = rig.desk.heard
    await rig.clock.advance(700)
    assert rig.desk.heard > before
    assert rig.desk.heard < before + 60  # it backs off
    epoch = rig.node.status().epoch
    rig.desk.acknowledge(epoch)
    await rig.clock.advance(700)
    before = rig.desk.heard
    await rig.clock.advance(1000)
    assert rig.desk.heard == before
    rig.desk.acknowledge(epoch, 1)  # the centre was restored from a backup
    await rig.clock.advance(1)
    assert rig.desk.heard == before + rig.node.status().last_number - 1


async def test_a_new_place_drops_the_old_timetable(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    rig.timetable(rig.entry("x", 30_000, recording()))
    await rig.clock.advance(5)
    assert rig.node.status().coming == 1
    rig.place(AreaPath("quang-ninh/hong-gai"))
    await rig.clock.advance(60)
    assert rig.node.status().coming == 0
    assert not rig.any_sound
