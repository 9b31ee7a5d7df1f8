"""Drills at a real node: told to be one before anything of them sounds, and never mistaken for live."""

from dataclasses import replace

import numpy as np
import pytest

from devices.node.airing import WHOLE_WITHIN_MS
from devices.node.memory import MemoryStorage
from devices.protocol import cose
from devices.protocol.approval import approve
from devices.protocol.common import DRILL_ANNOUNCEMENT
from devices.protocol.documents import Siren
from devices.protocol.envelope import encode
from devices.protocol.refusal import RefusalReason
from devices.protocol.reports import ReceiptCause, ReceiptEvent
from devices.protocol.topics import DownChannel
from loa.precedence import Interruption, Kind, Precedence
from loa.units import DurationMs, InstantMs
from tests.node.releasing import TALK, alert, cancel, refusals, sounds, story
from tests.node.rig import Rig, an_id, recording
from tests.protocol.world import CONTROLLER, DRILLER, PERSON, body_for

E, C, R = ReceiptEvent, ReceiptCause, RefusalReason
ANNOUNCEMENT = recording(1.0, 1500.0)
DRILL = Kind.DRILL


async def prepared(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    rig.stock([ANNOUNCEMENT, TALK])
    rig.settings(sirens=(Siren(code=DRILL_ANNOUNCEMENT, rendition=ANNOUNCEMENT.ref),))
    await rig.clock.advance(4)


def begins_with_the_announcement(rig: Rig, name: str, times: int = 1) -> bool:
    one = np.concatenate([ANNOUNCEMENT.sound, TALK.sound])
    return np.array_equal(rig.heard(name), np.concatenate([one] * times))


async def test_a_drill_says_first_that_it_is_one(rig: Rig) -> None:
    await prepared(rig)
    alert(rig, "x", DRILLER, kind=DRILL, repeats=2)
    await rig.clock.advance(10)
    assert begins_with_the_announcement(rig, "x", 2)
    alert(rig, "live", PERSON)
    await rig.clock.advance(5)
    assert np.array_equal(rig.heard("live"), TALK.sound)


@pytest.mark.parametrize("how", ["not in the settings", "not on the node", "no settings"])
async def test_without_its_announcement_a_drill_is_silent_and_says_why(rig: Rig, how: str) -> None:
    await rig.up(MemoryStorage())
    if how != "no settings":
        siren = Siren(code=DRILL_ANNOUNCEMENT if how == "not on the node" else 7, rendition=ANNOUNCEMENT.ref)
        rig.settings(sirens=(siren,))
    await rig.clock.advance(4)
    alert(rig, "x", DRILLER, kind=DRILL, expires_at=InstantMs(rig.clock.now_ms() + 20_000))
    await rig.clock.advance(25)
    assert not rig.any_sound
    assert (E.NOT_READY, C.NO_ANNOUNCEMENT) in story(rig, "x")
    assert story(rig, "x")[-1] == (E.SKIPPED, C.NO_ANNOUNCEMENT)
    rig.stock([ANNOUNCEMENT])
    rig.settings(sirens=(Siren(code=DRILL_ANNOUNCEMENT, rendition=ANNOUNCEMENT.ref),))
    await rig.clock.advance(70)
    alert(rig, "control", DRILLER, kind=DRILL)
    await rig.clock.advance(6)
    assert begins_with_the_announcement(rig, "control")


async def test_the_announcement_comes_while_the_drill_waits(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    alert(rig, "x", DRILLER, kind=DRILL, repeats=0)
    await rig.clock.advance(5)
    assert not rig.any_sound
    rig.stock([ANNOUNCEMENT])
    rig.settings(sirens=(Siren(code=DRILL_ANNOUNCEMENT, rendition=ANNOUNCEMENT.ref),))
    await rig.clock.advance(12)
    assert sounds(rig, "x")
    heard = rig.heard("x")
    assert np.array_equal(heard[: len(ANNOUNCEMENT.sound)], ANNOUNCEMENT.sound)


async def test_who_is_late_does_not_join_behind_the_announcement(rig: Rig) -> None:
    await prepared(rig)
    alert(rig, "x", DRILLER, kind=DRILL, repeats=3, in_ms=-1500)
    await rig.clock.advance(20)
    assert begins_with_the_announcement(rig, "x", 2)
    alert(rig, "last", DRILLER, kind=DRILL, in_ms=-1500)
    await rig.clock.advance(10)
    assert begins_with_the_announcement(rig, "last")


@pytest.mark.parametrize("gap_ms", [0, 100, 1000])
@pytest.mark.parametrize("late_ms", [1, 150, WHOLE_WITHIN_MS])
async def test_a_little_late_it_leaves_out_no_repeat(rig: Rig, late_ms: int, gap_ms: int) -> None:
    """Without a gap each repeat ends as late as it began, and the next one is late by as much."""
    await prepared(rig)
    alert(rig, "x", DRILLER, kind=DRILL, repeats=3, gap_ms=DurationMs(gap_ms), in_ms=-late_ms)
    await rig.clock.advance(3 * 3 + 3 * gap_ms / 1000 + 2)
    one, heard = np.concatenate([ANNOUNCEMENT.sound, TALK.sound]), rig.heard("x")
    like_it = np.flatnonzero((heard[:-1] == one[0]) & (heard[1:] == one[1]))
    assert sum(np.array_equal(heard[at : at + len(one)], one) for at in like_it) == 3
    if gap_ms == 0:
        assert len(heard) == 3 * len(one)
    assert story(rig, "x")[-1][0] is E.FINISHED


async def test_later_than_that_a_drill_waits_for_its_next_repeat(rig: Rig) -> None:
    await prepared(rig)
    alert(rig, "x", DRILLER, kind=DRILL, repeats=3, in_ms=-WHOLE_WITHIN_MS - 1)
    await rig.clock.advance(12)
    assert begins_with_the_announcement(rig, "x", 2)


async def test_live_takes_the_air_from_a_drill_at_once_and_never_the_other_way(rig: Rig) -> None:
    await prepared(rig)
    alert(rig, "drill", DRILLER, kind=DRILL, repeats=0)
    await rig.clock.advance(3)
    assert sounds(rig, "drill")
    alert(rig, "live", PERSON, repeats=3)
    await rig.clock.advance(0.7)
    assert sounds(rig, "live")
    alert(rig, "second drill", DRILLER, kind=DRILL, repeats=0)
    await rig.clock.advance(4)
    assert sounds(rig, "live")
    assert not len(rig.heard("second drill"))
    cancel(rig, "drill", DRILLER, kind=DRILL)
    await rig.clock.advance(8)
    assert sounds(rig, "second drill")
    heard = rig.heard("second drill")
    assert np.array_equal(heard[: len(ANNOUNCEMENT.sound)], ANNOUNCEMENT.sound)


async def test_keys_sign_one_kind(rig: Rig) -> None:
    """A drill key on a live body, a live key on a drill, an order of the other kind than its body: silence."""
    await prepared(rig)
    alert(rig, "drill key, live", DRILLER)
    alert(rig, "live key, drill", PERSON, kind=DRILL)
    alert(rig, "drill body, live order", DRILLER, body={"kind": DRILL})
    alert(rig, "live body, drill order", PERSON, kind=DRILL, body={"kind": Kind.LIVE})
    alert(rig, "carried by a drill key", PERSON, key=DRILLER)
    await rig.clock.advance(6)
    assert not rig.any_sound
    assert refusals(rig) == {R.DRILL_MISMATCH: 5}
    alert(rig, "live", PERSON)
    await rig.clock.advance(4)
    assert np.array_equal(rig.heard("live"), TALK.sound)
    alert(rig, "drill", DRILLER, kind=DRILL)
    await rig.clock.advance(6)
    assert begins_with_the_announcement(rig, "drill")


@pytest.mark.parametrize("first", [Kind.LIVE, Kind.DRILL])
async def test_updates_and_cancels_do_not_cross(rig: Rig, first: Kind) -> None:
    await prepared(rig)
    key, other, kind = (PERSON, DRILLER, DRILL) if first is Kind.LIVE else (DRILLER, PERSON, Kind.LIVE)
    alert(rig, "x", key, kind=first, repeats=0)
    await rig.clock.advance(4)
    alert(rig, "update", other, kind=kind, replaces=(an_id("x"),))
    cancel(rig, "x", other, kind=kind)
    await rig.clock.advance(4)
    assert sounds(rig, "x")
    assert refusals(rig) == {R.DRILL_MISMATCH: 2}
    assert not len(rig.heard("update"))
    alert(rig, "of its kind", key, kind=first, replaces=(an_id("x"),), repeats=0)
    await rig.clock.advance(4)
    assert sounds(rig, "of its kind")


async def test_a_drill_below_an_emergency(rig: Rig) -> None:
    """By order and by timetable; interrupted, it begins anew with its announcement instead of going on."""
    await prepared(rig)
    talk = recording(6.0, 700.0)
    rig.give(
        rig.order("x", talk, kind=DRILL, precedence=Precedence.PRIORITY, interruption=Interruption.RESUME), DRILLER
    )
    await rig.clock.advance(6)
    assert sounds(rig, "x")
    alert(rig, "live", PERSON)
    await rig.clock.advance(15)
    heard, whole = rig.heard("x"), np.concatenate([ANNOUNCEMENT.sound, talk.sound])
    assert np.array_equal(heard[-len(whole) :], whole)
    assert len(heard) > len(whole)
    rig.timetable(rig.entry("entry", 3000, TALK, kind=DRILL), key=DRILLER)
    await rig.clock.advance(8)
    assert begins_with_the_announcement(rig, "entry")


async def test_the_announcement_is_no_siren_of_a_live_alert(rig: Rig) -> None:
    await prepared(rig)
    body = body_for(rig.order("x", TALK, in_ms=500, precedence=Precedence.EMERGENCY))
    object.__setattr__(body, "siren", DRILL_ANNOUNCEMENT)
    data = encode(body)
    order = rig.order("x", TALK, in_ms=500, precedence=Precedence.EMERGENCY)
    order = replace(order, alert_body=data, approvals=(approve(data, PERSON),))
    rig.say(DownChannel.ORDER, cose.sign1(encode(order), CONTROLLER))
    await rig.clock.advance(4)
    assert not rig.any_sound
    assert refusals(rig) == {R.MALFORMED: 1}


async def test_no_drill_sounds_in_the_silence_between_two_repeats_of_a_live_alert(rig: Rig) -> None:
    """Its announcement there would tell a village that the alert is a drill."""
    await prepared(rig)
    alert(rig, "live", PERSON, repeats=0, gap_ms=DurationMs(20_000))
    await rig.clock.advance(4)
    alert(rig, "drill", DRILLER, kind=DRILL, repeats=0)
    rig.give(rig.order("talk", TALK, in_ms=0))
    await rig.clock.advance(60)
    assert rig.heard("live").any()
    assert E.RECEIVED in rig.desk.events(an_id("drill"))
    assert E.STARTED not in rig.desk.events(an_id("drill"))
    assert E.STARTED not in rig.desk.events(an_id("talk"))
    cancel(rig, "live", PERSON)
    await rig.clock.advance(5)
    assert sounds(rig, "drill")
