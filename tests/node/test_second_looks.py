"""Messages that are genuine, and come late, from elsewhere, or after what they were about has changed."""

import pytest

from devices.node.memory import MemoryStorage
from devices.protocol.envelope import seal
from devices.protocol.media import TimeReply
from devices.protocol.orders import Order, OrderAction
from devices.protocol.refusal import RefusalReason
from devices.protocol.renewal import trust_document
from devices.protocol.reports import ReceiptCause, ReceiptEvent
from devices.protocol.topics import DownChannel
from devices.protocol.trust import Power, Revocation
from loa.names import AreaPath
from loa.units import InstantMs, Percent
from tests.node.rig import Rig, an_id, recording
from tests.protocol.world import appointment, by_roots, id_of, key_of

E, C, R = ReceiptEvent, ReceiptCause, RefusalReason
SECOND = key_of("second controller")
HOUR_MS = 3_600_000


async def test_another_key_takes_a_revoked_ones_broadcasts_over(rig: Rig) -> None:
    """The revoked key's timetable is gone at once; the same broadcasts, signed by the next key, are played."""
    await rig.up(MemoryStorage())
    later = rig.entry("later", 60_000, recording())
    rig.timetable(later)
    await rig.clock.advance(2)
    _revoke_for_second(rig)
    await rig.clock.advance(1)
    assert rig.node.status().coming == 0
    rig.timetable(later, key=SECOND)
    await rig.clock.advance(90)
    assert len(rig.heard("later"))
    assert rig.desk.events(an_id("later"))[-1] is E.FINISHED


def _revoke_for_second(rig: Rig) -> None:
    """The controller's key is revoked; another takes its office."""
    rig.centre.revocations.append(
        by_roots(Revocation(ids=(id_of("appointment of controller")[:8],), at=rig.clock.now_ms()))
    )
    rig.centre.appointments.append(by_roots(appointment("second controller", SECOND)))
    rig.say(DownChannel.CTL, rig.centre.document(version=rig.version(), now_ms=rig.clock.now_ms(), key=SECOND))


@pytest.mark.parametrize("reboots", [False, True])
async def test_an_older_volume_that_comes_late_is_passed_over(rig: Rig, reboots: bool) -> None:
    storage = MemoryStorage()
    await rig.up(storage)
    loud = _volume(rig, "loud", 90)
    await rig.clock.advance(1)
    rig.give(_volume(rig, "quiet", 20))
    await rig.clock.advance(2)
    if reboots:
        await rig.pull_the_plug()
        await rig.boot(storage, seed="again")
        await rig.clock.advance(2)
    rig.give(loud)
    await rig.clock.advance(2)
    assert rig.node.status().volume == 20
    assert [(one.event, one.cause) for one in rig.desk.about(loud.id)] == [(E.SKIPPED, C.WITHDRAWN)]
    rig.give(_volume(rig, "louder", 40))
    await rig.clock.advance(2)
    assert rig.node.status().volume == 40


def _volume(rig: Rig, name: str, volume: int) -> Order:
    return rig.order(name, action=OrderAction.VOLUME, volume=Percent(volume), renditions=())


async def test_what_was_taken_out_while_it_waits_for_its_audio_stays_silent(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    rig.desk.serves = False
    rig.timetable(rig.entry("out", 5000, recording()), rig.entry("kept", 6000, recording(2.0, 500.0)))
    await rig.clock.advance(10)
    kept = rig.entry("kept", -4000, recording(2.0, 500.0))
    rig.timetable(kept)
    rig.desk.serves = True
    await rig.clock.advance(100)
    assert len(rig.heard("out")) == 0
    assert len(rig.heard("kept"))


async def test_what_waits_at_the_old_place_does_not_sound_at_the_new_one(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    rig.desk.serves = False
    rig.timetable(rig.entry("old", 5000, recording()))
    await rig.clock.advance(10)
    rig.place(AreaPath("quang-ninh/van-don/thon-2"))
    rig.desk.serves = True
    await rig.clock.advance(100)
    assert len(rig.heard("old")) == 0


async def test_another_places_trust_document_is_not_ours(rig: Rig) -> None:
    """Genuine, of another commune's own controller, and brought here: it must not put ours out of office."""
    await rig.up(MemoryStorage())
    elsewhere = AreaPath("quang-ninh/van-don")
    theirs = by_roots(appointment("their controller", SECOND, area=elsewhere))
    before = rig.node.status().trust_version
    document = trust_document(
        area=elsewhere,
        version=rig.version(),
        now_ms=rig.clock.now_ms(),
        key=SECOND,
        appointments=[theirs],
        revocations=[],
    )
    rig.say(DownChannel.CTL, document)
    await rig.clock.advance(1)
    assert rig.node.status().trust_version == before
    assert rig.node.status().refusals == {R.WRONG_TARGET: 1}
    rig.give(rig.order("x", recording()))
    await rig.clock.advance(20)
    assert len(rig.heard("x"))


async def test_time_comes_only_from_who_serves_this_place(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    elsewhere = appointment(
        "their clock", SECOND, area=AreaPath("quang-ninh/van-don"), powers=int(Power.SERVICE | Power.RENEW)
    )
    rig.centre.appointments.append(by_roots(elsewhere))
    rig.give_trust()
    await rig.clock.advance(40)
    true = rig.node.status().time_offset_ms
    rig.desk.tells_time = False
    rig.link.drop()
    rig.link.restore()
    await rig.clock.advance(0.1)
    assert rig.desk.asked is not None
    now = InstantMs(rig.clock.now_ms() + 3_600_000)
    reply = TimeReply(
        node=rig.desk.asked.node,
        nonce=rig.desk.asked.nonce,
        sent_at=rig.desk.asked.sent_at,
        received_at=now,
        replied_at=now,
    )
    rig.say(DownChannel.CTL, seal(reply, SECOND))
    await rig.clock.advance(0.1)
    assert rig.node.status().time_offset_ms == true
    assert rig.node.status().refusals.get(R.MANDATE_EXCEEDED) == 1


@pytest.mark.parametrize("meanwhile", ["planned anew", "moved away", "issuer revoked"])
async def test_what_was_over_before_the_next_timetable_has_a_reason(rig: Rig, meanwhile: str) -> None:
    """Ready when the power failed for hours. Back, by a clock that was just set nothing is given up; and what comes
    at once has it no more."""
    storage = MemoryStorage()
    await rig.up(storage)
    never_here = recording(2.0, 500.0)
    rig.timetable(
        rig.entry("ready", 60_000, recording()),
        rig.entry("bare", 60_000, never_here),
        rig.entry("coming", 7 * HOUR_MS, recording()),
        rig.entry("withdrawn", 7 * HOUR_MS, recording()),
    )
    del rig.desk.library[never_here.digest]
    await rig.clock.advance(30)
    assert rig.desk.events(an_id("ready")) == [E.READY]
    await rig.pull_the_plug()
    await rig.clock.advance(6 * HOUR_MS / 1000)
    await rig.boot(storage, seed="again")
    await rig.clock.advance(2)
    if meanwhile == "moved away":
        rig.place(AreaPath("quang-ninh/van-don/thon-2"))
    elif meanwhile == "issuer revoked":
        _revoke_for_second(rig)
    else:
        rig.timetable(rig.entry("coming", HOUR_MS, recording()))
    await rig.clock.advance(30)
    assert rig.node.status().coming == (meanwhile == "planned anew")
    assert rig.desk.events(an_id("ready")) == [E.READY]
    await rig.clock.advance(HOUR_MS / 1000 + 60)
    told = {name: [(one.event, one.cause) for one in rig.desk.about(an_id(name))] for name in ("ready", "bare")}
    assert told["ready"] == [(E.READY, C.NONE), (E.SKIPPED, C.TOO_LATE)]
    assert told["bare"][-1] == (E.SKIPPED, C.NO_AUDIO)
    assert rig.desk.events(an_id("withdrawn")) == [E.READY]
    assert bool(len(rig.heard("coming"))) == (meanwhile == "planned anew")
    assert not len(rig.heard("ready"))


async def test_what_was_missed_and_then_moved_is_heard(rig: Rig) -> None:
    """The box did not know that it would be moved, and told that it was too late for it; nothing of it was heard."""
    storage = MemoryStorage()
    await rig.up(storage)
    rig.timetable(rig.entry("five o'clock", 60_000, recording()))
    await rig.clock.advance(30)
    await rig.pull_the_plug()
    await rig.clock.advance(HOUR_MS / 1000)
    await rig.boot(storage, seed="again")
    await rig.clock.advance(660)
    assert rig.desk.events(an_id("five o'clock"))[-1] is E.SKIPPED
    await rig.pull_the_plug()  # that it was missed is known after this too
    await rig.boot(storage, seed="third")
    await rig.clock.advance(2)
    rig.timetable(rig.entry("seven o'clock", 60_000, recording(), replaces=(an_id("five o'clock"),)))
    await rig.clock.advance(120)
    assert len(rig.heard("seven o'clock"))


@pytest.mark.parametrize("reboots", [False, True])
async def test_what_was_heard_is_not_heard_by_a_chain_of_moves(rig: Rig, reboots: bool) -> None:
    """One is heard, two replaces it and is skipped for that, three replaces two alone."""
    storage = MemoryStorage()
    await rig.up(storage)
    for name, before in (("one", ()), ("two", (an_id("one"),)), ("three", (an_id("two"),))):
        rig.timetable(rig.entry(name, 20_000, recording(), replaces=before))
        await rig.clock.advance(40)
        if reboots:
            await rig.pull_the_plug()
            await rig.boot(storage, seed=name)
            await rig.clock.advance(2)
    assert len(rig.heard("one"))
    for name in ("two", "three"):
        assert [(one.event, one.cause) for one in rig.desk.about(an_id(name))][-1] == (E.SKIPPED, C.ALREADY_STARTED)
