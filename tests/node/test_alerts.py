"""Alerts at a real node: cancelled and updated by whom, in any order; after a clock was lost; never by a timetable."""

import pytest

from devices.node.config import NodeConfig
from devices.node.memory import MemoryStorage
from devices.protocol.envelope import seal
from devices.protocol.orders import Order, OrderAction
from devices.protocol.refusal import RefusalReason
from devices.protocol.reports import ReceiptCause, ReceiptEvent
from devices.protocol.topics import AreaChannel, area_topic
from devices.protocol.trust import Power
from loa.precedence import Kind
from loa.units import DurationMs, InstantMs
from tests.node.releasing import EMERGENCY, TALK, add, alert, cancel, refusals, revoke, sounds, story
from tests.node.rig import Rig, an_id, recording
from tests.node.test_hardening import FullJournal
from tests.protocol.world import (
    COMMUNE,
    CONTROLLER,
    DRILLER,
    FIRST,
    NODE,
    PERSON,
    PROVINCE,
    SECOND,
    VILLAGE,
    approved,
    key_of,
    releaser,
)

E, C, R = ReceiptEvent, ReceiptCause, RefusalReason
OTHER = recording(2.0, 500.0)


async def test_a_commune_does_not_cancel_a_provincial_alert(rig: Rig) -> None:
    """Nor with a cancel for its own commune alone, nor by the controller's key, nor with a drill key."""
    await rig.up(MemoryStorage())
    alert(rig, "x", FIRST, SECOND, areas=(PROVINCE,), repeats=0)
    await rig.clock.advance(4)
    cancel(rig, "x", PERSON)
    cancel(rig, "x", PERSON, called="wide", areas=(PROVINCE,))
    cancel(rig, "x", DRILLER, called="drill")
    cancel(rig, "x", DRILLER, called="drill too", kind=Kind.DRILL)
    stop = rig.order("bare", action=OrderAction.STOP, subject=an_id("x"), precedence=EMERGENCY, in_ms=0)
    rig.desk.link.publish(area_topic(COMMUNE, AreaChannel.ORDER), seal(stop, CONTROLLER))
    await rig.clock.advance(2)
    assert sounds(rig, "x")
    assert refusals(rig) == {R.MANDATE_EXCEEDED: 2, R.DRILL_MISMATCH: 2, R.APPROVAL_MISSING: 1}
    cancel(rig, "x", FIRST, called="real")
    await rig.clock.advance(2)
    assert rig.node.status().playing is None
    assert story(rig, "x")[-1] == (E.STOPPED, C.ORDERED)


async def test_one_person_of_the_province_cancels_for_one_commune_what_is_for_all(rig: Rig) -> None:
    """And a commune's own alert is cancelled by the commune, or from above."""
    await rig.up(MemoryStorage())
    alert(rig, "x", FIRST, SECOND, areas=(PROVINCE,), repeats=0)
    await rig.clock.advance(3)
    cancel(rig, "x", SECOND, areas=(VILLAGE,))
    await rig.clock.advance(1)
    assert rig.node.status().playing is None
    for canceller in (PERSON, FIRST):
        name = canceller.key_id.hex()
        alert(rig, name, PERSON, repeats=0)
        await rig.clock.advance(3)
        assert sounds(rig, name)
        cancel(rig, name, canceller)
        await rig.clock.advance(1)
        assert rig.node.status().playing is None
    assert not refusals(rig)


async def test_a_cancel_says_which_alert_it_ends(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    alert(rig, "x", PERSON, repeats=0)
    await rig.clock.advance(3)
    cancel(rig, "x", PERSON, called="swapped", body={"references": (an_id("another"),)})
    await rig.clock.advance(1)
    assert sounds(rig, "x")
    assert refusals(rig) == {R.BEYOND_APPROVAL: 1}
    cancel(rig, "x", PERSON, body={"references": (an_id("another"), an_id("x"))})
    await rig.clock.advance(1)
    assert rig.node.status().playing is None


@pytest.mark.parametrize("reboot", [False, True])
@pytest.mark.parametrize("who", ["narrower", "wider", "both", "wider, revoked meanwhile"])
async def test_a_cancel_that_comes_first_is_judged_when_its_alert_arrives(rig: Rig, who: str, reboot: bool) -> None:
    storage = MemoryStorage()
    await rig.up(storage)
    if who == "both":
        cancel(rig, "x", FIRST, called="wide")
    cancel(rig, "x", PERSON if who in ("narrower", "both") else FIRST)
    await rig.clock.advance(1)
    if who == "wider, revoked meanwhile":
        add(rig, releaser("third officer", key_of("third")))
        revoke(rig, "first officer")
        await rig.clock.advance(1)
    if reboot:
        await rig.pull_the_plug()
        await rig.boot(storage, seed="again")
    await rig.clock.advance(1)
    alert(rig, "x", SECOND, key_of("third") if "revoked" in who else FIRST, areas=(PROVINCE,), repeats=0)
    await rig.clock.advance(4)
    assert sounds(rig, "x") is (who in ("narrower", "wider, revoked meanwhile"))
    assert not refusals(rig)
    if not sounds(rig, "x"):
        assert story(rig, "x") == [(E.SKIPPED, C.WITHDRAWN)]


async def test_a_cancelled_alert_stays_silent_in_another_order(rig: Rig) -> None:
    storage = MemoryStorage()
    await rig.up(storage)
    order = approved(rig.order("x", TALK, in_ms=500, precedence=EMERGENCY, repeats=0), PERSON)
    rig.give(order)
    await rig.clock.advance(4)
    assert sounds(rig, "x")
    cancel(rig, "x", PERSON)
    await rig.clock.advance(1)
    heard = len(rig.heard("x"))
    await rig.pull_the_plug()
    await rig.boot(storage, seed="again")
    await rig.clock.advance(1)
    rig.give(Order(**{**vars(order), "start_at": InstantMs(rig.clock.now_ms() + 500)}))
    rig.give(order)
    await rig.clock.advance(10)
    assert len(rig.heard("x")) == heard
    assert refusals(rig) == {R.REPLAY: 1}


async def test_an_update_takes_the_place_of_what_sounds(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    alert(rig, "old", FIRST, SECOND, areas=(PROVINCE,), repeats=0)
    await rig.clock.advance(4)
    assert sounds(rig, "old")
    alert(rig, "local", PERSON, replaces=(an_id("old"),), repeats=0)
    await rig.clock.advance(2)
    assert sounds(rig, "old")
    assert refusals(rig) == {R.MANDATE_EXCEEDED: 1}
    alert(rig, "new", FIRST, SECOND, replaces=(an_id("old"),), repeats=0)
    await rig.clock.advance(4)
    assert sounds(rig, "new")
    assert story(rig, "old")[-1] == (E.STOPPED, C.WITHDRAWN)


@pytest.mark.parametrize("people", ["province", "commune"])
async def test_an_update_that_comes_first(rig: Rig, people: str) -> None:
    """The alert that it updates is not heard any more; unless those who updated it may not end it."""
    storage = MemoryStorage()
    await rig.up(storage)
    alert(rig, "new", *((FIRST, SECOND) if people == "province" else (PERSON,)), replaces=(an_id("old"),))
    await rig.clock.advance(6)
    assert len(rig.heard("new"))
    await rig.pull_the_plug()
    await rig.boot(storage, seed="again")
    await rig.clock.advance(1)
    alert(rig, "old", FIRST, SECOND, areas=(PROVINCE,), repeats=0)
    await rig.clock.advance(4)
    assert sounds(rig, "old") is (people == "commune")


async def test_emergencies_come_from_people_not_from_a_timetable(rig: Rig) -> None:
    """Not even by a key whose ceiling is emergency; nor does an order below it end one."""
    await rig.up(MemoryStorage())
    clerk = key_of("clerk")
    add(rig, releaser("clerk", clerk, powers=int(Power.DOCUMENTS | Power.ORDER | Power.APPROVE)))
    rig.timetable(rig.entry("x", 2000, TALK, precedence=EMERGENCY), key=clerk)
    alert(rig, "carried by itself", clerk, key=clerk)
    await rig.clock.advance(5)
    assert not rig.any_sound
    assert refusals(rig) == {R.MANDATE_EXCEEDED: 2}
    alert(rig, "alert", clerk, FIRST, repeats=0)
    rig.give(rig.order("next", OTHER, replaces=(an_id("alert"),)), clerk)
    await rig.clock.advance(5)
    assert sounds(rig, "alert")


async def test_a_lost_clock(rig: Rig) -> None:
    """An approved alert waits for the answer to the node's own nonce, and for nothing else."""
    storage = MemoryStorage()
    await rig.up(storage)
    await rig.clock.advance(5)
    await rig.pull_the_plug()
    rig.desk.tells_time = False
    await rig.boot(storage, seed="again", config=NodeConfig(rtc_trusted=False))
    alert(rig, "x", FIRST, SECOND, areas=(PROVINCE,), repeats=0)
    alert(rig, "too few", FIRST, areas=(PROVINCE,))
    await rig.clock.advance(20)
    assert not rig.any_sound
    assert rig.node.status().now_ms is None
    assert not refusals(rig)
    rig.desk.tells_time = True
    await rig.clock.advance(10)
    assert rig.node.status().now_ms is not None
    assert sounds(rig, "x")
    assert refusals(rig) == {R.APPROVAL_MISSING: 1}


async def test_last_weeks_alert_at_a_box_that_lost_its_clock(rig: Rig) -> None:
    """An attacker says it again while the box knows no time: the challenge shows that its window is over."""
    storage = MemoryStorage()
    await rig.up(storage)
    order = approved(rig.order("x", TALK, in_ms=500, precedence=EMERGENCY), FIRST, SECOND)
    await rig.pull_the_plug()
    rig.clock._wall_ms += 6 * 86_400_000
    rig.desk.tells_time = False
    for box in (storage, MemoryStorage()):
        await rig.boot(box, seed="again")
        rig.give_trust()
        rig.place()
        await rig.clock.advance(1)
        rig.give(order)
        await rig.clock.advance(5)
        rig.desk.tells_time = True
        await rig.clock.advance(5)
        assert not rig.any_sound
        assert refusals(rig)[R.EXPIRED] == 1
        rig.desk.tells_time = False
        await rig.pull_the_plug()
    rig.desk.tells_time = True
    await rig.boot(storage, seed="third")
    await rig.clock.advance(3)
    alert(rig, "control", FIRST, SECOND)
    await rig.clock.advance(4)
    assert len(rig.heard("control"))


async def test_an_alert_that_ends_while_the_power_is_off_is_not_told_as_finished(rig: Rig) -> None:
    """Begun, and nobody knows how much of it was heard; what was heard once through is finished, repeats or not."""
    storage = MemoryStorage()
    await rig.up(storage)
    for name, seconds in (("cut", 1.5), ("heard", 4.0)):
        expires_at = InstantMs(rig.clock.now_ms() + 20_000)
        alert(rig, name, PERSON, expires_at=expires_at, repeats=0, gap_ms=DurationMs(2000))
        await rig.clock.advance(seconds)
        if name == "cut":
            await rig.pull_the_plug()
            rig.clock._wall_ms += 30_000
            await rig.boot(storage, seed="again")
        await rig.clock.advance(25)
    assert story(rig, "cut")[-1] == (E.UNCONFIRMED, C.POWER_FAILED)
    assert E.FINISHED not in rig.desk.events(an_id("cut"))
    assert story(rig, "heard")[-1][1] is C.EXPIRED


async def test_an_alert_for_named_boxes(rig: Rig) -> None:
    """By one who is appointed over the place where the box is."""
    await rig.up(MemoryStorage())
    neighbour = key_of("neighbour")
    add(rig, releaser("neighbour", neighbour, area=type(COMMUNE)("quang-ninh/hong-gai")))
    alert(rig, "elsewhere", neighbour, areas=(), nodes=(NODE,))
    await rig.clock.advance(4)
    assert not rig.any_sound
    assert refusals(rig) == {R.MANDATE_EXCEEDED: 1}
    alert(rig, "here", PERSON, areas=(), nodes=(NODE,))
    await rig.clock.advance(4)
    assert len(rig.heard("here"))


async def test_on_a_full_disk_too_a_commune_does_not_cancel_a_provincial_alert(rig: Rig) -> None:
    """It sounds although it could not be written down, and what is not written down has a target all the same."""
    storage = FullJournal()
    await rig.up(storage)
    rig.timetable(rig.entry("later", 3_600_000, TALK))
    await rig.clock.advance(10)
    storage.refuses = True
    alert(rig, "x", FIRST, SECOND, areas=(PROVINCE,), repeats=0)
    await rig.clock.advance(4)
    assert sounds(rig, "x")
    cancel(rig, "x", PERSON)
    await rig.clock.advance(2)
    assert sounds(rig, "x")
    assert refusals(rig) == {R.MANDATE_EXCEEDED: 1}
    cancel(rig, "x", FIRST, called="real")
    await rig.clock.advance(2)
    assert not sounds(rig, "x")


async def test_an_update_outlives_its_own_window(rig: Rig) -> None:
    """What it took the place of lasts longer, and is said again by a broker that held it back."""
    storage = MemoryStorage()
    await rig.up(storage)
    hour = 3_600_000
    day = InstantMs(rig.clock.now_ms() + 24 * hour)
    old = approved(rig.order("old", TALK, in_ms=500, precedence=EMERGENCY, repeats=0, expires_at=day), PERSON)
    alert(rig, "new", PERSON, replaces=(an_id("old"),), expires_at=InstantMs(rig.clock.now_ms() + hour // 2))
    await rig.clock.advance(hour / 1000)
    cancel(rig, "another", PERSON)  # a while later, what is over is forgotten
    await rig.clock.advance(2)
    rig.give(old)
    await rig.clock.advance(4)
    assert not sounds(rig, "old")
    assert story(rig, "old") == [(E.SKIPPED, C.WITHDRAWN)]
