"""What attackers and mistakes of the centre do to a node; the numbers are those of the list of hardening."""

import numpy as np
import pytest

from devices.node.memory import MemoryStorage
from devices.protocol.envelope import encode, seal
from devices.protocol.media import Piece
from devices.protocol.orders import Order, OrderAction
from devices.protocol.refusal import RefusalReason
from devices.protocol.reports import ReceiptCause, ReceiptEvent
from devices.protocol.topics import AreaChannel, DownChannel, area_topic, down_topic, stream_topic
from devices.protocol.trust import Revocation
from loa.precedence import Kind, Precedence
from loa.units import ByteCount
from tests.node.rig import Rig, an_id, recording
from tests.protocol.world import COMMUNE, CONTROLLER, DRILLER, NODE, appointment, approved, by_roots, id_of, key_of

E, C, R = ReceiptEvent, ReceiptCause, RefusalReason
EMERGENCY = Precedence.EMERGENCY
YEAR_MS = 365 * 86_400_000


def causes(rig: Rig, name: str) -> list[tuple[ReceiptEvent, ReceiptCause]]:
    return [(one.event, one.cause) for one in rig.desk.about(an_id(name))]


async def test_7_a_stop_that_comes_first(rig: Rig) -> None:
    storage = MemoryStorage()
    await rig.up(storage)
    rig.give(_stop(rig, "alert", EMERGENCY))
    await rig.clock.advance(1)
    await rig.pull_the_plug()
    await rig.boot(storage, seed="again")
    await rig.clock.advance(5)
    rig.give(rig.order("alert", recording(), in_ms=500, precedence=EMERGENCY))
    rig.timetable(rig.entry("other", 5000, recording()))
    await rig.clock.advance(20)
    assert len(rig.heard("alert")) == 0
    assert causes(rig, "alert") == [(E.SKIPPED, C.WITHDRAWN)]
    assert len(rig.heard("other"))


def _stop(rig: Rig, subject: str, precedence: Precedence, kind: Kind = Kind.LIVE) -> Order:
    return rig.order(
        f"stop {subject} {precedence} {kind}",
        action=OrderAction.STOP,
        subject=an_id(subject),
        precedence=precedence,
        kind=kind,
        renditions=(),
        in_ms=0,
    )


async def test_a_weaker_stop_does_not_silence_an_emergency(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    rig.give(rig.order("alert", recording(), in_ms=500, precedence=EMERGENCY, repeats=0))
    await rig.clock.advance(4)
    rig.give(_stop(rig, "alert", Precedence.PRIORITY))
    rig.give(_stop(rig, "alert", EMERGENCY, Kind.DRILL))
    await rig.clock.advance(4)
    assert rig.node.status().playing == an_id("alert")
    assert rig.node.status().refusals == {R.MANDATE_EXCEEDED: 1, R.DRILL_MISMATCH: 1}
    rig.give(_stop(rig, "alert", EMERGENCY))
    await rig.clock.advance(1)
    assert rig.node.status().playing is None
    assert causes(rig, "alert")[-1] == (E.STOPPED, C.ORDERED)


async def test_8_any_bit_flipped(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    payload = seal(rig.order("x", recording(), in_ms=500), CONTROLLER)
    for bit in range(0, 8 * len(payload), 7):
        spoiled = bytearray(payload)
        spoiled[bit // 8] ^= 1 << bit % 8
        rig.desk.link.publish(area_topic(COMMUNE, AreaChannel.ORDER), bytes(spoiled))
    await rig.clock.advance(20)
    assert not rig.any_sound
    assert sum(rig.node.status().refusals.values()) == len(range(0, 8 * len(payload), 7))


async def test_9_last_years_capture(rig: Rig) -> None:
    storage = MemoryStorage()
    await rig.up(storage)
    captured: list[tuple[str, bytes]] = []
    order = rig.order("x", recording())
    captured.append((area_topic(COMMUNE, AreaChannel.ORDER), rig.give(order)))
    await rig.clock.advance(20)
    await rig.pull_the_plug()
    rig.clock._wall_ms += YEAR_MS
    before = rig.heard("x").copy()
    for seed, kept in (("same box", storage), ("wiped box", MemoryStorage())):
        await rig.boot(kept, seed=seed)
        for topic, payload in captured:
            rig.desk.link.publish(topic, payload)
        await rig.clock.advance(30)
        assert np.array_equal(rig.heard("x"), before)
        assert len(list((rig.folder / "heard").iterdir())) == 1
        await rig.pull_the_plug()


@pytest.mark.parametrize("how", ["order", "timetable"])
async def test_28_key_revoked_in_mid_broadcast(rig: Rig, how: str) -> None:
    await rig.up(MemoryStorage())
    if how == "order":
        rig.give(rig.order("x", recording(20.0), precedence=EMERGENCY))
        gone = id_of("appointment of person")[:8]
    else:
        rig.timetable(rig.entry("x", 2000, recording(20.0)), rig.entry("later", 60_000, recording()))
        gone = id_of("appointment of controller")[:8]
    await rig.clock.advance(6)
    assert rig.node.status().playing == an_id("x")
    rig.centre.revocations.append(by_roots(Revocation(ids=(gone,), at=rig.clock.now_ms())))
    if how == "timetable":
        _another_controller(rig)
    rig.say(
        DownChannel.CTL,
        rig.centre.document(
            version=rig.version(),
            now_ms=rig.clock.now_ms(),
            key=CONTROLLER if how == "order" else key_of("second controller"),
        ),
    )
    await rig.clock.advance(1)
    assert rig.node.status().playing is None
    await rig.clock.advance(100)
    assert rig.node.status().coming == 0
    assert len(rig.heard("later")) == 0
    assert causes(rig, "x")[-1] == (E.STOPPED, C.REVOKED)


def _another_controller(rig: Rig) -> None:
    rig.centre.appointments.append(by_roots(appointment("second controller", key_of("second controller"))))


async def test_i1_nothing_unauthorised_sounds(rig: Rig) -> None:
    """Strangers' keys, wrong places, retained orders, drills as live, keys above their ceiling: refused and counted."""
    await rig.up(MemoryStorage())
    topic = area_topic(COMMUNE, AreaChannel.ORDER)
    rig.give(rig.order("a", recording()), key_of("stranger"))
    rig.desk.link.publish(topic, seal(rig.order("b", recording(), precedence=EMERGENCY), CONTROLLER))
    rig.give(rig.order("c", recording(), areas=("quang-ninh/van-don",)))
    rig.give(approved(rig.order("d", recording(), precedence=EMERGENCY), DRILLER))
    rig.give(rig.order("e", recording(), in_ms=-700_000))
    rig.desk.link.publish(topic, b"not CBOR at all")
    rig.desk.link.publish(topic, seal(rig.order("f", recording()), CONTROLLER), retain=True)
    await rig.clock.advance(0.1)
    rig.link.drop()
    rig.desk.link.publish(topic, seal(rig.order("g", recording()), CONTROLLER), retain=True)
    rig.link.restore()
    await rig.clock.advance(1)
    refused = rig.node.status().refusals
    assert refused == {
        R.UNTRUSTED_KEY: 1,
        R.APPROVAL_MISSING: 1,
        R.WRONG_TARGET: 1,
        R.DRILL_MISMATCH: 1,
        R.EXPIRED: 1,
        R.MALFORMED: 1,
        R.RETAINED_FORBIDDEN: 1,
    }
    rig.give(_stop(rig, "f", Precedence.ORDINARY))
    await rig.clock.advance(30)
    assert not rig.any_sound
    assert E.REFUSED in rig.desk.events(an_id("a"))
    assert rig.desk.health is not None
    assert {one.reason for one in rig.desk.health.refusals} == set(refused)


async def test_forged_audio_never_sounds(rig: Rig) -> None:
    """By the node's own topic and by the shared stream, before, among and after the genuine blocks."""
    await rig.up(MemoryStorage())
    sound, other = recording(6.0), recording(6.0, 900.0)
    rig.desk.serves = False
    rig.give(rig.order("x", sound, in_ms=8000))
    await rig.clock.advance(1)

    def forge() -> None:
        rig.say(DownChannel.CTL, other.manifest)
        for offset in range(0, sound.ref.length_bytes, 4096):
            data = other.file[offset : min(offset + 4096, sound.ref.length_bytes)]
            forged = encode(Piece(rendition=sound.digest, offset=ByteCount(offset), data=data))
            for topic in (stream_topic(sound.digest), down_topic(NODE, DownChannel.PIECE)):
                rig.desk.link.publish(topic, forged)

    forge()
    await rig.clock.advance(1)
    rig.desk.serves = True
    for _ in range(4):
        await rig.clock.advance(1)
        forge()
    await rig.clock.advance(60)
    assert np.array_equal(rig.heard("x"), sound.sound)
    assert E.FINISHED in rig.desk.events(an_id("x"))


async def test_a_block_that_the_card_spoilt_never_sounds(rig: Rig) -> None:
    """Checked again when it is read: what comes out is the recording's, or nothing; never what the bytes became."""
    storage = MemoryStorage()
    await rig.up(storage)
    sound = recording(6.0)
    rig.timetable(rig.entry("x", 20_000, sound))
    await rig.clock.advance(10)
    rig.desk.serves = False
    assert sound.digest in rig.node.status().renditions
    name = f"r/{sound.digest.hex()}/audio"
    storage.write_at(name, 9000, bytes(300))
    await rig.clock.advance(60)
    heard = rig.heard("x")
    ends = int(np.flatnonzero(heard != sound.sound[: len(heard)])[0])
    assert ends > 48_000
    assert not heard[ends:].any()
    assert causes(rig, "x")[-1] == (E.STOPPED, C.NO_AUDIO)
