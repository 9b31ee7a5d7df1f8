"""What faults, attackers and mistakes do to a node; the numbers are those of the list of hardening."""

from pathlib import Path

import numpy as np
import pytest

from devices.node.config import NodeConfig
from devices.node.disk import DiskStorage
from devices.node.memory import MemoryStorage
from devices.protocol.common import BLOCK_BYTES
from devices.protocol.documents import Siren
from devices.protocol.envelope import encode
from devices.protocol.media import Piece
from devices.protocol.refusal import RefusalReason
from devices.protocol.reports import ReceiptCause, ReceiptEvent
from devices.protocol.topics import AreaChannel, DownChannel, area_topic
from loa.errors import Fault
from loa.precedence import Precedence
from loa.units import ByteCount, DurationMs
from tests.node.rig import Rig, an_id, recording
from tests.protocol.world import COMMUNE

E, C, R = ReceiptEvent, ReceiptCause, RefusalReason
EMERGENCY = Precedence.EMERGENCY
YEAR_MS = 365 * 86_400_000


def causes(rig: Rig, name: str) -> list[tuple[ReceiptEvent, ReceiptCause]]:
    return [(one.event, one.cause) for one in rig.desk.about(an_id(name))]


@pytest.mark.parametrize("after_s", [1.1, 3.5])
async def test_4_killed_around_the_start(rig: Rig, after_s: float) -> None:
    """Killed while placed or while sounding: never played again, and told as unconfirmed where it may have sounded."""
    storage = MemoryStorage()
    await rig.up(storage)
    rig.timetable(rig.entry("x", 2000, recording(4.0)))
    await rig.clock.advance(0.8)
    await rig.clock.advance(after_s)
    await rig.pull_the_plug()
    heard_before = len(rig.heard("x"))
    await rig.boot(storage, seed="again")
    await rig.clock.advance(400)
    assert len(rig.heard("x")) == heard_before
    assert len(list((rig.folder / "heard").iterdir())) == (1 if heard_before else 0)
    assert causes(rig, "x")[-1] == (E.UNCONFIRMED, C.POWER_FAILED)
    assert rig.desk.events(an_id("x")).count(E.STARTED) == (1 if heard_before else 0)


async def test_4_killed_before_the_start_is_played(rig: Rig, tmp_path: Path) -> None:
    disk = DiskStorage(tmp_path / "box")
    await rig.up(disk)
    rig.timetable(rig.entry("x", 20_000, recording()))
    order = rig.order("y", recording(2.0, 700.0), in_ms=30_000)
    rig.give(order)
    await rig.clock.advance(5)
    await rig.pull_the_plug()
    disk.close()
    disk = DiskStorage(tmp_path / "box")
    await rig.boot(disk, seed="again")
    await rig.clock.advance(60)
    assert np.array_equal(rig.heard("x"), recording().sound)
    assert np.array_equal(rig.heard("y"), recording(2.0, 700.0).sound)
    disk.close()


async def test_5_cut_in_the_middle_of_a_transfer(rig: Rig) -> None:
    """Only what is missing is asked for, also after a restart; a block that is not the manifest's never counts."""
    storage = MemoryStorage()
    await rig.up(storage)
    sound = recording(20.0)
    rig.timetable(rig.entry("x", 60_000, sound))
    rig.desk.serves = False
    await rig.clock.advance(5)
    rig.say(DownChannel.CTL, sound.manifest)
    for block in (0, 1, 2):
        data = sound.file[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES]
        rig.say(DownChannel.PIECE, _piece(sound.digest, block, data))
    rig.say(DownChannel.PIECE, _piece(sound.digest, 3, bytes(BLOCK_BYTES)))
    await rig.clock.advance(1)
    assert rig.node.status().refusals[R.WRONG_BLOCK] == 1
    await rig.pull_the_plug()
    rig.desk.wants.clear()
    rig.desk.serves = True
    await rig.boot(storage, seed="again")
    await rig.clock.advance(100)
    asked = {b for want in rig.desk.wants for r in want.blocks for b in range(r.first, r.first + r.count)}
    assert asked
    assert not asked & {0, 1, 2}
    assert np.array_equal(rig.heard("x"), sound.sound)


def _piece(digest: object, block: int, data: bytes) -> bytes:
    return encode(Piece(rendition=digest, offset=ByteCount(block * BLOCK_BYTES), data=data))  # type: ignore[arg-type]


async def test_6_everything_a_hundred_times(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    payload = rig.give(rig.order("x", recording()))
    for _ in range(99):
        rig.desk.link.publish(area_topic(COMMUNE, AreaChannel.ORDER), payload)
        rig.say(DownChannel.ORDER, payload)
    await rig.clock.advance(60)
    rig.say(DownChannel.ORDER, payload)
    await rig.clock.advance(60)
    assert np.array_equal(rig.heard("x"), recording().sound)
    assert rig.desk.events(an_id("x")) == [E.RECEIVED, E.READY, E.STARTED, E.FINISHED]
    assert not rig.node.status().refusals


@pytest.mark.parametrize("years", [10, -10])
async def test_10_11_a_battery_clock_that_is_years_off(rig: Rig, years: int) -> None:
    """No mass skip, no mass play, no repeat: neither before the centre's time is known nor after."""
    storage = MemoryStorage()
    await rig.up(storage)
    rig.timetable(
        rig.entry("played", 5000, recording()), *(rig.entry(f"later {n}", 600_000 + n, recording()) for n in range(20))
    )
    await rig.clock.advance(20)
    await rig.pull_the_plug()
    rig.desk.tells_time = False
    await rig.boot(storage, wall_off_ms=years * YEAR_MS, config=NodeConfig(rtc_trusted=True), seed="again")
    await rig.clock.advance(60)
    assert len(list((rig.folder / "heard").iterdir())) == 1
    assert E.SKIPPED not in rig.desk.events()
    assert rig.node.status().coming == 20
    rig.desk.tells_time = True
    await rig.clock.advance(200)
    assert rig.node.status().coming == 20
    assert rig.desk.events(an_id("played")).count(E.STARTED) == 1


async def test_a_right_battery_clock_serves_alone(rig: Rig) -> None:
    storage = MemoryStorage()
    await rig.up(storage)
    rig.timetable(rig.entry("x", 60_000, recording()))
    await rig.clock.advance(20)
    await rig.pull_the_plug()
    rig.broker.stop()
    await rig.boot(storage, config=NodeConfig(rtc_trusted=True), seed="again")
    await rig.clock.advance(60)
    assert np.array_equal(rig.heard("x"), recording().sound)


async def test_12_booted_without_time(rig: Rig) -> None:
    """The timetable waits for trusted time; an emergency for the answer to the node's own nonce."""
    storage = MemoryStorage()
    await rig.up(storage)
    rig.timetable(rig.entry("x", 60_000, recording()))
    await rig.clock.advance(20)
    await rig.pull_the_plug()
    rig.desk.tells_time = False
    await rig.boot(storage, seed="again")
    rig.give(rig.order("alert", recording(2.0, 900.0), in_ms=500, precedence=EMERGENCY, repeats=0))
    await rig.clock.advance(50)
    assert not rig.any_sound
    rig.desk.tells_time = True
    await rig.clock.advance(10)
    assert rig.node.status().playing == an_id("alert")


async def test_14_disk_full(rig: Rig) -> None:
    """Ordinary audio gives way, the siren stays, and an emergency still sounds."""
    siren, big, bigger = recording(2.0, 800.0), recording(30.0, 301.0), recording(40.0, 302.0)
    rig.stock([siren])
    room = len(siren.file) + len(bigger.file) + 40_000
    await rig.up(MemoryStorage(capacity=room))
    rig.settings(sirens=(Siren(code=1, rendition=siren.ref),))
    rig.timetable(rig.entry("later", 3_000_000, big))
    await rig.clock.advance(30)
    assert set(rig.node.status().renditions) == {siren.digest, big.digest}
    rig.give(rig.order("now", bigger, in_ms=8000))
    await rig.clock.advance(60)
    assert len(rig.heard("now")) == len(bigger.sound)
    assert siren.digest in rig.node.status().renditions
    rig.give(rig.order("alert", in_ms=500, precedence=EMERGENCY, siren=1))
    await rig.clock.advance(10)
    assert np.array_equal(rig.heard("alert"), siren.sound)


class TornStorage(MemoryStorage):
    """A power cut loses what was not synced: parts of audio, at a certain moment."""

    def __init__(self) -> None:
        super().__init__()
        self.unsynced: list[tuple[str, int, int]] = []

    def write_at(self, name: str, offset: int, data: bytes) -> None:
        super().write_at(name, offset, data)
        self.unsynced.append((name, offset, len(data)))

    def power_cut(self) -> None:
        for name, offset, length in self.unsynced[::2]:
            super().write_at(name, offset, bytes(length))


async def test_16_unsynced_audio_is_lost(rig: Rig) -> None:
    storage = TornStorage()
    await rig.up(storage)
    sound = recording(20.0)
    rig.timetable(rig.entry("x", 100_000, sound))
    await rig.clock.advance(30)
    assert sound.digest in rig.node.status().renditions
    await rig.pull_the_plug()
    storage.power_cut()
    await rig.boot(storage, seed="again")
    assert sound.digest not in rig.node.status().renditions
    await rig.clock.advance(120)
    assert np.array_equal(rig.heard("x"), sound.sound)


@pytest.mark.parametrize("name", ["journal", "plays", "seen"])
async def test_17_a_torn_tail(rig: Rig, name: str) -> None:
    """What was told stays told, numbers are not used twice, nothing is played twice."""
    storage = MemoryStorage()
    await rig.up(storage)
    payload = rig.give(rig.order("x", recording()))
    await rig.clock.advance(20)
    await rig.pull_the_plug()
    storage.append(name, b"\x00\x00\x00\x40torn")
    await rig.boot(storage, seed="again")
    rig.say(DownChannel.ORDER, payload)
    await rig.clock.advance(30)
    assert np.array_equal(rig.heard("x"), recording().sound)
    rig.give(rig.order("y", recording()))
    await rig.clock.advance(20)
    assert len(rig.heard("y"))
    assert len({epoch for epoch, _ in rig.desk.receipts}) == 1


async def test_a_spoiled_state_is_as_never_received(rig: Rig) -> None:
    storage = MemoryStorage()
    await rig.up(storage)
    rig.settings(ordinary_cap=50)
    rig.timetable(rig.entry("x", 100_000, recording()))
    await rig.clock.advance(20)
    await rig.pull_the_plug()
    for name in storage.names():
        data = storage.read(name) or b""
        storage.write(name, data[: len(data) // 2] + b"?" + data[len(data) // 2 + 1 :])
    rig.desk.receipts.clear()
    await rig.boot(storage, seed="again")
    rig.give_trust()
    rig.place()
    await rig.clock.advance(200)
    assert len(rig.heard("x")) == len(recording().sound)


async def test_25_brown_out_in_speech_does_not_loop(rig: Rig) -> None:
    storage = MemoryStorage()
    await rig.up(storage)
    rig.timetable(rig.entry("x", 3000, recording(6.0)))
    await rig.clock.advance(5)
    for number in range(5):
        await rig.pull_the_plug()
        await rig.boot(storage, seed=f"boot {number}")
        await rig.clock.advance(2)
    assert 0 < len(rig.heard("x")) < 3.5 * 48_000
    assert rig.desk.events(an_id("x")).count(E.UNCONFIRMED) == 1


async def test_i4_longest_duration(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    rig.settings(longest_ms=DurationMs(5000))
    rig.give(rig.order("x", recording(20.0)))
    rig.give(rig.order("alert", recording(12.0, 444.0), in_ms=30_000, precedence=EMERGENCY))
    await rig.clock.advance(60)
    assert abs(len(rig.heard("x")) - 5 * 48_000) < 4800
    assert causes(rig, "x")[-1] == (E.STOPPED, C.LONGEST_REACHED)
    assert np.array_equal(rig.heard("alert"), recording(12.0, 444.0).sound)


class FullJournal(MemoryStorage):
    """No room even for the journal."""

    refuses = False

    def append(self, name: str, data: bytes) -> None:
        if self.refuses:
            raise Fault("storage_full", field=name, limit=0)
        super().append(name, data)

    def write(self, name: str, data: bytes) -> None:
        if self.refuses:
            raise Fault("storage_full", field=name, limit=0)
        super().write(name, data)


async def test_what_cannot_be_written_down_is_not_sounded(rig: Rig) -> None:
    storage = FullJournal()
    await rig.up(storage)
    rig.timetable(rig.entry("x", 20_000, recording()))
    await rig.clock.advance(10)
    storage.refuses = True
    await rig.clock.advance(30)
    assert not rig.any_sound
    rig.give(rig.order("alert", recording(), in_ms=500, precedence=EMERGENCY))
    await rig.clock.advance(10)
    assert np.array_equal(rig.heard("alert"), recording().sound)


async def test_a_mistake_of_ours_is_silence(tmp_path: Path) -> None:
    """Whatever breaks inside a node, it falls silent, says so, and waits to be started anew."""
    rig = Rig(tmp_path)
    await rig.up(MemoryStorage())
    rig.give(rig.order("x", recording(20.0)))
    await rig.clock.advance(8)
    assert rig.node.status().playing == an_id("x")
    rig.node._obedience.take = None  # type: ignore[assignment,method-assign]
    rig.give(rig.order("y", recording()))
    await rig.clock.advance(1)
    assert isinstance(rig.node.failure, TypeError)
    assert await rig.node.broken() is rig.node.failure
    heard = len(rig.heard("x"))
    await rig.clock.advance(30)
    assert len(rig.heard("x")) == heard < 10 * 48_000


async def test_14_boots_on_a_full_disk(rig: Rig) -> None:
    storage = MemoryStorage()
    await rig.up(storage)
    siren = recording(2.0, 800.0)
    rig.stock([siren])
    rig.settings(sirens=(Siren(code=1, rendition=siren.ref),))
    rig.timetable(rig.entry("later", 3_000_000, recording(30.0, 301.0)))
    await rig.clock.advance(30)
    await rig.pull_the_plug()
    storage.capacity -= storage.free_bytes()
    await rig.boot(storage, seed="again")
    await rig.clock.advance(5)
    rig.give(rig.order("alert", in_ms=500, precedence=EMERGENCY, siren=1))
    await rig.clock.advance(10)
    assert np.array_equal(rig.heard("alert"), siren.sound)
    assert rig.desk.events(an_id("alert"))[-1] is E.FINISHED
