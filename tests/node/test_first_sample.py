"""The first sample of an emergency is the first that sounds; it is placed before anything is written down about it."""

from typing import Any

import numpy as np
import pytest

from devices.node.afterwards import SOUND_FIRST_S
from devices.node.airing import WHOLE_WITHIN_MS
from devices.node.memory import MemoryStorage
from devices.protocol.orders import OrderAction
from devices.protocol.refusal import RefusalReason
from devices.protocol.reports import ReceiptEvent
from loa.precedence import Interruption
from loa.units import DurationMs
from tests.node.releasing import TALK, alert, cancel, refusals, sounds, story
from tests.node.rig import Rig, an_id
from tests.protocol.world import NODE, PERSON

E = ReceiptEvent
RATE = 48_000


class NotedStorage(MemoryStorage):
    """Says what is written."""

    def __init__(self, told: list[str]) -> None:
        super().__init__()
        self.told = told

    def write(self, name: str, data: bytes) -> None:
        self.told.append(name.partition("/")[0])
        super().write(name, data)

    def append(self, name: str, data: bytes) -> None:
        self.told.append(name.partition("/")[0])
        super().append(name, data)


async def _knows_the_sound(rig: Rig) -> None:
    """So that the alert does not wait for it."""
    rig.timetable(rig.entry("later", 3_600_000, TALK))
    await rig.clock.advance(5)


@pytest.mark.parametrize("late_ms", [1, 50, WHOLE_WITHIN_MS])
async def test_a_little_late_it_begins_with_its_beginning_and_goes_on_in_phase(rig: Rig, late_ms: int) -> None:
    await rig.up(MemoryStorage())
    await _knows_the_sound(rig)
    alert(rig, "x", PERSON, in_ms=-late_ms, repeats=2, gap_ms=DurationMs(1000))
    await rig.clock.advance(10)
    heard = rig.heard("x")
    assert np.array_equal(heard[: len(TALK.sound)], TALK.sound)
    started = next(one for one in rig.desk.about(an_id("x")) if one.event is E.STARTED)
    assert not started.position_ms
    assert late_ms <= (started.late_ms or 0) <= late_ms + 150
    # The second time through is in phase with everybody: after two seconds of sound and one of silence.
    second = round((3.0 - (started.late_ms or 0) / 1000) * RATE)
    at = next(place for place in range(len(TALK.sound), len(heard)) if heard[place])
    assert abs(at - second) <= RATE // 100


async def test_placed_too_late_for_the_card_it_is_whole_all_the_same(rig: Rig) -> None:
    """The order comes 20 ms before its start, and a card has been given its next 100 ms already."""
    await rig.up(MemoryStorage())
    await _knows_the_sound(rig)
    alert(rig, "x", PERSON, in_ms=20)
    await rig.clock.advance(4)
    assert np.array_equal(rig.heard("x"), TALK.sound)


async def test_much_later_it_joins_the_others_where_they_are(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    await _knows_the_sound(rig)
    alert(rig, "x", PERSON, in_ms=-WHOLE_WITHIN_MS - 200)
    await rig.clock.advance(4)
    heard, rest = rig.heard("x"), len(TALK.sound) - RATE * (WHOLE_WITHIN_MS + 200) // 1000
    assert np.array_equal(heard[: rest - RATE // 100], TALK.sound[-rest:][: rest - RATE // 100])
    assert np.array_equal(heard[-len(TALK.sound) :], TALK.sound)  # and once as a whole, by itself


async def test_it_is_on_the_speaker_before_anything_is_written(rig: Rig) -> None:
    told: list[str] = []
    await rig.up(NotedStorage(told))
    await _knows_the_sound(rig)
    play = rig.speaker.play

    def placed(*args: Any) -> Any:
        told.append("PLACED")
        return play(*args)

    rig.speaker.play = placed  # type: ignore[method-assign,assignment]
    told.clear()
    alert(rig, "x", PERSON, repeats=0)
    await rig.clock.advance(3)
    assert told[0] == "PLACED"
    assert {"orders", "seen", "journal", "plays"} <= set(told)
    told.clear()
    stage = rig.node._conductor.stage
    note = stage.note

    def seen(*args: Any, **more: Any) -> None:
        told.append(f"silent {not sounds(rig, 'x')}")
        note(*args, **more)

    stage.note = seen  # type: ignore[method-assign]
    cancel(rig, "x", PERSON)
    await rig.clock.advance(1)
    assert told[0] == "silent True"
    assert story(rig, "x")[-1][0] is E.STOPPED


async def test_the_same_bytes_twice_in_one_turn_are_one(rig: Rig) -> None:
    """By the topic of its province and by that of its commune: the second comes before the first is written down."""
    await rig.up(MemoryStorage())
    await _knows_the_sound(rig)
    payload = alert(rig, "x", PERSON, repeats=1)
    rig.desk.link.publish(f"loa/1/n/{NODE}/order", payload)
    await rig.clock.advance(5)
    assert [event for event, _ in story(rig, "x")] == [E.RECEIVED, E.STARTED, E.FINISHED]
    assert rig.node.status().refusals == {}


async def test_a_cancel_in_the_very_turn_holds_over_a_restart(rig: Rig) -> None:
    storage = MemoryStorage()
    await rig.up(storage)
    await _knows_the_sound(rig)
    alert(rig, "x", PERSON, repeats=0)
    cancel(rig, "x", PERSON)
    await rig.clock.advance(2)
    assert not sounds(rig, "x")
    await rig.pull_the_plug()
    await rig.boot(storage)
    await rig.clock.advance(10)
    assert not sounds(rig, "x")


async def test_the_same_id_with_other_bytes_in_the_same_turn_is_refused(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    await _knows_the_sound(rig)
    first = alert(rig, "x", PERSON)
    alert(rig, "x", PERSON, repeats=9)
    await rig.clock.advance(1)
    assert refusals(rig)[RefusalReason.REPLAY] == 1
    assert rig.node._records.orders[an_id("x")][1].payload == first


async def test_it_is_written_down_when_its_sound_is_out_with_the_instants_of_what_happened(rig: Rig) -> None:
    """Also that an ordinary broadcast gave way, which the emergency does not wait for."""
    told: list[str] = []
    await rig.up(NotedStorage(told))
    rig.give(rig.order("talk", TALK, in_ms=500))
    await rig.clock.advance(2)
    told.clear()
    alert(rig, "x", PERSON, in_ms=0)
    await rig.clock.advance(SOUND_FIRST_S - 0.05)
    assert sounds(rig, "x")
    assert told == []
    await rig.clock.advance(0.1)
    assert {"orders", "seen", "journal", "plays"} <= set(told)
    assert [event for event, _ in story(rig, "x")] == [E.RECEIVED, E.STARTED]
    assert story(rig, "talk")[-1][0] is E.STOPPED
    instants = [one.at for one in [*rig.desk.about(an_id("x")), rig.desk.about(an_id("talk"))[-1]]]
    assert max(instants) - min(instants) <= 150, "of what happened, not of when it was written"
    assert rig.desk.about(an_id("x"))[0].at == rig.node._records.orders[an_id("x")][0].start_at


async def test_a_power_cut_before_that_and_the_order_again_it_sounds_again(rig: Rig) -> None:
    """To the centre it is a box that was away: nothing was confirmed, so it is owed the order."""
    storage = MemoryStorage()
    await rig.up(storage)
    await _knows_the_sound(rig)
    payload = alert(rig, "x", PERSON, repeats=0)
    await rig.clock.advance(SOUND_FIRST_S - 0.1)
    await rig.pull_the_plug()
    await rig.boot(storage, seed="again")
    await rig.clock.advance(1)
    assert story(rig, "x") == []
    rig.desk.link.publish(f"loa/1/n/{NODE}/order", payload)
    await rig.clock.advance(3)
    assert sounds(rig, "x")
    assert [event for event, _ in story(rig, "x")] == [E.RECEIVED, E.STARTED]


async def test_an_orderly_stop_writes_down_what_was_left(rig: Rig) -> None:
    storage = MemoryStorage()
    node = await rig.up(storage)
    await _knows_the_sound(rig)
    alert(rig, "x", PERSON, in_ms=0, repeats=0)
    await rig.clock.advance(0.3)
    await node.stop()
    assert [event for event, _ in story(rig, "x")] == [E.RECEIVED, E.STARTED, E.INTERRUPTED]
    await rig.boot(storage, seed="again")
    await rig.clock.advance(1)
    assert sounds(rig, "x"), "an emergency goes on when the box is back"
    assert [event for event, _ in story(rig, "x")][-1] is E.RESUMED


async def test_nothing_is_told_of_an_order_that_is_not_written_down(rig: Rig) -> None:
    """Audio came in for another emergency just before, so that what is ready is to be told: not of the later one."""
    storage = MemoryStorage()
    await rig.up(storage)
    await _knows_the_sound(rig)
    alert(rig, "first", PERSON, in_ms=0, repeats=0)
    await rig.clock.advance(2)
    rig.node._conductor.audio_changed()
    await rig.clock.advance(0.1)
    payload = alert(rig, "x", PERSON, in_ms=20_000)
    rig.node._conductor.audio_changed()
    await rig.clock.advance(SOUND_FIRST_S - 0.05)
    assert story(rig, "x") == []
    await rig.pull_the_plug()
    await rig.boot(storage, seed="again")
    await rig.clock.advance(1)
    rig.desk.link.publish(f"loa/1/n/{NODE}/order", payload)
    await rig.clock.advance(1)
    assert [event for event, _ in story(rig, "x")] == [E.RECEIVED, E.READY]


async def test_a_cancel_while_the_box_is_shut_down_holds_when_it_is_back(rig: Rig) -> None:
    storage = MemoryStorage()
    node = await rig.up(storage)
    await _knows_the_sound(rig)
    alert(rig, "x", PERSON, in_ms=0, repeats=0)
    await rig.clock.advance(2)
    node._conductor.shut_down()  # as `stop` does first; its link is up for a moment yet
    cancel(rig, "x", PERSON)
    await rig.clock.advance(0.1)
    await node.stop()
    await rig.boot(storage, seed="again")
    await rig.clock.advance(3)
    assert not sounds(rig, "x")
    assert [event for event, _ in story(rig, "x")] == [E.RECEIVED, E.STARTED, E.INTERRUPTED, E.STOPPED]


async def test_what_gave_way_is_told_before_what_comes_after(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    talk = rig.order("talk", TALK, in_ms=500, repeats=9, interruption=Interruption.RESUME)
    rig.give(talk)
    await rig.clock.advance(1.5)
    alert(rig, "x", PERSON, in_ms=0, repeats=0)
    await rig.clock.advance(0.2)
    rig.give(rig.order("recall", action=OrderAction.STOP, subject=talk.id, in_ms=0))
    await rig.clock.advance(3)
    assert [event for event, _ in story(rig, "talk")][-2:] == [E.INTERRUPTED, E.STOPPED]
