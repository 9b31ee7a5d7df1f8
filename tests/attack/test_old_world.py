"""A box that remembers nothing, in a world that somebody keeps running on keys of before: stolen, revoked, expired."""

from dataclasses import replace
from pathlib import Path

import pytest

from devices.node.memory import MemoryStorage
from devices.protocol.refusal import RefusalReason
from loa.units import InstantMs
from tests.node.rig import IDENTITY, Rig, recording
from tests.protocol.world import DAY, NOW


@pytest.mark.parametrize(("pinned_days_later", "sounds"), [(0, True), (8, False), (400, False)])
async def test_nothing_from_before_its_roots_were_pinned_counts(
    tmp_path: Path, pinned_days_later: int, sounds: bool
) -> None:
    """The thief has last year's controller key, its documents and the broker; time and orders are last year's too."""
    rig = Rig(tmp_path)
    await rig.open()
    pinned_at = InstantMs(NOW + pinned_days_later * DAY)
    await rig.boot(MemoryStorage(), identity=replace(IDENTITY, pinned_at=pinned_at), wall_off_ms=-10 * 365 * DAY)
    rig.give_trust()
    rig.place()
    await rig.clock.advance(5)
    rig.give(rig.order("x", recording()))
    await rig.clock.advance(30)
    assert rig.any_sound is sounds
    if not sounds:
        assert rig.node.status().refusals[RefusalReason.EXPIRED] >= 1
