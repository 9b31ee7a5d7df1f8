"""The power fails at each single write of a box, one after the other: nothing sounds twice, and all is told of."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from devices.node.memory import MemoryStorage
from devices.protocol.reports import ReceiptEvent
from tests.node.rig import Rig, an_id, read_wav, recording
from tests.protocol.world import NODE

E = ReceiptEvent
ENDS = {E.FINISHED, E.STOPPED, E.SKIPPED, E.UNCONFIRMED}
SCHEDULED, ORDERED = recording(1.5, 330.0), recording(1.5, 770.0)


class DyingStorage(MemoryStorage):
    """Loses power at its write number `last`: that one and all after it are lost."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.writes = 0
        self._last = last
        self.died: Callable[[], None] = lambda: None

    @property
    def dead(self) -> bool:
        return self.writes > self._last

    def _lost(self) -> bool:
        self.writes += 1
        if self.writes == self._last + 1:
            self.died()
        return self.dead

    def write(self, name: str, data: bytes) -> None:
        if not self._lost():
            super().write(name, data)

    def append(self, name: str, data: bytes) -> None:
        if not self._lost():
            super().append(name, data)

    def write_at(self, name: str, offset: int, data: bytes) -> None:
        if not self._lost():
            super().write_at(name, offset, data)

    def delete(self, name: str) -> None:
        if not self._lost():
            super().delete(name)

    def survivor(self) -> MemoryStorage:
        """What the next start finds."""
        fresh = MemoryStorage()
        for name in self.names():
            fresh.write(name, self.read(name) or b"")
        return fresh


async def _until_it_dies(folder: Path, last: int) -> tuple[Rig, DyingStorage]:
    """A box that has a timetable and gets an order; what is owed is said again after the power is back."""
    rig, storage = Rig(folder), DyingStorage(1 << 30)
    await rig.up(storage)
    storage.writes, storage._last = 0, last
    storage.died = lambda: rig.link.drop("power")
    rig.timetable(rig.entry("scheduled", 6000, SCHEDULED))
    order = rig.order("ordered", ORDERED, in_ms=2000)
    payload = rig.give(order)
    for _ in range(250):
        await rig.clock.advance(0.05)
        if storage.dead:
            break
    if storage.dead:
        await rig.pull_the_plug()
        await rig.boot(storage.survivor(), seed="again")
        await rig.clock.advance(0.5)
        rig.desk.link.publish("loa/1/a/quang-ninh/co-to/order", payload)
        await rig.clock.advance(700)
    return rig, storage


def _frames(rig: Rig, name: str) -> int:
    """How much sound came out for a broadcast, over all its recordings."""
    files = (rig.folder / "heard").glob(f"{NODE}-{an_id(name).hex()}*.wav")
    return sum(int(np.count_nonzero(read_wav(path))) for path in files)


@pytest.mark.slow
async def test_power_fails_at_each_write(tmp_path: Path) -> None:
    whole, storage = await _until_it_dies(tmp_path / "whole", 1 << 30)
    writes = storage.writes
    assert writes > 15
    full = {name: _frames(whole, name) for name in ("scheduled", "ordered")}
    await whole.node.stop()
    assert all(full.values())
    for last in range(writes):
        rig, storage = await _until_it_dies(tmp_path / f"{last}", last)
        assert storage.dead
        for name, frames in full.items():
            assert _frames(rig, name) <= frames + 4800, (last, name)
            events = rig.desk.events(an_id(name))
            assert events, (last, name)
            assert set(events) & ENDS, (last, name, events)
            assert events.count(E.STARTED) <= 1, (last, name, events)
        await rig.node.stop()
