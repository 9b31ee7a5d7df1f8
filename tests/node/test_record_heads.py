"""A box remembers how far the centre's record went, over a power cut too, and tells of it."""

from pathlib import Path

from devices.node.disk import DiskStorage
from devices.node.memory import MemoryStorage
from devices.protocol.envelope import seal
from devices.protocol.record import RecordHead
from devices.protocol.refusal import RefusalReason
from devices.protocol.topics import AreaChannel, area_topic
from loa.cli.audit import _of_box
from tests.node.rig import Rig
from tests.protocol.world import CONTROLLER, PROVINCE

TOPIC = area_topic(PROVINCE, AreaChannel.RECORD)


def tell(rig: Rig, number: int, mark: bytes = b"h", forks: int = 0) -> RecordHead:
    head = RecordHead(area=PROVINCE, number=number, hash=mark * 32, at=rig.clock.now_ms(), forks=forks)
    rig.desk.link.publish(TOPIC, seal(head, CONTROLLER), retain=True)
    return head


async def test_health_tells_the_newest_head_and_a_power_cut_does_not_lose_it(rig: Rig) -> None:
    storage = MemoryStorage()
    await rig.up(storage)
    tell(rig, 7)
    head = tell(rig, 9)
    await rig.clock.advance(70)
    assert rig.desk.health is not None
    assert rig.desk.health.record == (head.mark,)
    await rig.pull_the_plug()
    rig.desk.health = None
    rig.desk.link.publish(TOPIC, b"", retain=True)  # the broker has lost its memory
    await rig.boot(storage, seed="again")
    await rig.clock.advance(70)
    assert rig.desk.health is not None
    assert rig.desk.health.record == (head.mark,)


async def test_a_rewritten_record_is_refused_counted_and_told(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    held = tell(rig, 9)
    await rig.clock.advance(1)
    tell(rig, 9, b"x")
    tell(rig, 8, b"y")
    await rig.clock.advance(70)
    assert rig.node.status().refusals == {RefusalReason.RECORD_FORK: 1, RefusalReason.ROLLBACK: 1}
    assert rig.desk.health is not None
    assert {one.reason: one.count for one in rig.desk.health.refusals}[RefusalReason.RECORD_FORK] == 1
    assert rig.desk.health.record == (held.mark,)


async def test_after_a_restore_both_branches_are_told(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    lost = tell(rig, 40)
    await rig.clock.advance(1)
    now = tell(rig, 12, b"r", forks=1)
    await rig.clock.advance(70)
    assert rig.node.status().refusals == {}
    assert rig.desk.health is not None
    assert rig.desk.health.record == (now.mark, lost.mark)


async def test_a_head_that_comes_before_the_time_is_known_waits(rig: Rig) -> None:
    rig.desk.tells_time = False
    await rig.open()
    await rig.boot(MemoryStorage())
    rig.give_trust()
    rig.place()
    await rig.clock.advance(1)
    head = tell(rig, 9)
    await rig.clock.advance(5)
    assert not rig.node._records.heads
    rig.desk.tells_time = True
    await rig.clock.advance(120)
    assert rig.node._records.heads == (head,)


async def test_an_auditor_reads_the_heads_from_a_box_in_hand(rig: Rig, tmp_path: Path) -> None:
    storage = DiskStorage(tmp_path / "box")
    await rig.up(storage)
    heads = [tell(rig, 7), tell(rig, 9)]
    await rig.clock.advance(1)
    found = _of_box(tmp_path / "box")
    assert [(one.number, one.hash, one.forks) for one in found] == [(one.number, one.hash, 0) for one in heads]
    storage.close()
