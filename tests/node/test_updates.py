"""An update takes the place of an alert wholly: in whatever order they come, nothing of the old sounds again."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.node.memory import MemoryStorage
from devices.protocol.refusal import RefusalReason
from devices.protocol.reports import ReceiptCause, ReceiptEvent
from devices.protocol.topics import AreaChannel, area_topic
from loa.units import InstantMs
from tests.node.releasing import alert, refusals, sounds, story
from tests.node.rig import Rig, an_id
from tests.protocol.world import COMMUNE, FIRST, PERSON, PROVINCE, SECOND

E, C = ReceiptEvent, ReceiptCause
MINUTE = 60_000


async def _say(rig: Rig, payload: bytes) -> None:
    rig.desk.link.publish(area_topic(COMMUNE, AreaChannel.ORDER), payload)
    await rig.clock.advance(3)


@pytest.mark.slow
@given(
    old=st.integers(2, 12),
    new=st.integers(1, 10),
    order=st.sampled_from(["old first", "new first", "new alone, then old"]),
    away=st.integers(0, 12),
    back=st.integers(0, 12),
    reboot=st.booleans(),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_nothing_of_it_sounds_after_its_update(  # noqa: PLR0917
    old: int, new: int, order: str, away: int, back: int, reboot: bool
) -> None:
    """Windows in minutes. The update is made, then the node is away, comes back and hears everything once more."""
    with tempfile.TemporaryDirectory() as folder:
        rig, storage = Rig(Path(folder)), MemoryStorage()
        await rig.up(storage)
        now = rig.clock.now_ms()
        first = alert(rig, "old", FIRST, SECOND, repeats=0, expires_at=InstantMs(now + old * MINUTE))
        await rig.clock.advance(3)
        assert sounds(rig, "old")
        if order != "old first":  # as at a box that never heard of it
            await rig.pull_the_plug()
            storage = MemoryStorage()
            await rig.boot(storage, seed="another")
            rig.give_trust()
            rig.place()
            await rig.clock.advance(2)
        rig.link.drop("cut")
        second = alert(
            rig, "new", FIRST, SECOND, repeats=0, replaces=(an_id("old"),), expires_at=InstantMs(now + new * MINUTE)
        )
        await rig.clock.advance(away * 60)
        rig.link.restore()
        await rig.clock.advance(2)
        for payload in (first, second) if order == "old first" else (second, first):
            await _say(rig, payload)
        if order == "new alone, then old":
            await _say(rig, second)
        heard = len(rig.heard("old"))
        assert not sounds(rig, "old")
        assert sounds(rig, "new") is (rig.clock.now_ms() < now + new * MINUTE)
        await rig.clock.advance(back * 60)
        if reboot:
            await rig.pull_the_plug()
            await rig.boot(storage, seed="again")
            await rig.clock.advance(2)
        for payload in (first, second, first):
            await _say(rig, payload)
        await rig.clock.advance(60)
        assert len(rig.heard("old")) == heard
        assert not sounds(rig, "old")
        await rig.pull_the_plug()


@pytest.mark.slow
@pytest.mark.parametrize("who", ["province", "commune"])
async def test_an_update_whose_window_is_past_ends_and_does_not_sound(rig: Rig, who: str) -> None:
    """Where those who made it may end what it names; it is refused as a whole where they may not."""
    await rig.up(MemoryStorage())
    now = rig.clock.now_ms()
    alert(rig, "old", FIRST, SECOND, areas=(PROVINCE,), repeats=0, expires_at=InstantMs(now + 60 * MINUTE))
    await rig.clock.advance(3)
    rig.link.drop("cut")
    people = (FIRST, SECOND) if who == "province" else (PERSON,)
    late = alert(rig, "new", *people, replaces=(an_id("old"),), expires_at=InstantMs(now + 5 * MINUTE))
    await rig.clock.advance(600)
    rig.link.restore()
    await rig.clock.advance(2)
    assert sounds(rig, "old")
    await _say(rig, late)
    assert sounds(rig, "old") is (who == "commune")
    assert not len(rig.heard("new"))
    if who == "province":
        assert story(rig, "old")[-1] == (E.STOPPED, C.WITHDRAWN)
        assert story(rig, "new") == [(E.SKIPPED, C.EXPIRED)]
        await _say(rig, late)
        assert story(rig, "new") == [(E.SKIPPED, C.EXPIRED)]
        assert not refusals(rig)
    else:
        assert refusals(rig) == {RefusalReason.MANDATE_EXCEEDED: 1}


async def test_an_alert_that_is_no_update_is_over_with_its_window(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    rig.link.drop("cut")
    late = alert(rig, "new", PERSON, expires_at=InstantMs(rig.clock.now_ms() + MINUTE))
    await rig.clock.advance(120)
    rig.link.restore()
    await rig.clock.advance(2)
    await _say(rig, late)
    assert not rig.any_sound
    assert refusals(rig) == {RefusalReason.EXPIRED: 1}
