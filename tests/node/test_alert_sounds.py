"""How an alert sounds at a node: its siren from its own store at once, words as they come in, and how loud."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from devices.node.limits import loudness
from devices.node.memory import MemoryStorage
from devices.protocol.documents import Settings, Siren
from devices.protocol.orders import OrderAction
from devices.protocol.refusal import RefusalReason as R
from devices.protocol.reports import ReceiptEvent as E
from loa.names import AreaPath
from loa.precedence import Interruption, Precedence
from loa.units import DurationMs, InstantMs, Percent
from tests.node.rig import Rig, an_id, recording
from tests.protocol.world import NODE, PERSON, approved

EMERGENCY = Precedence.EMERGENCY
TONE, WORDS, STANDING, TALK = (
    recording(4.0, 800.0), recording(6.0, 420.0), recording(5.0, 610.0), recording(60.0, 310.0),
)  # fmt: skip
SECOND = 48_000


async def stored(rig: Rig, *more: Siren, **settings: Any) -> None:
    """A box whose siren 1 lies in its store, and whose link has nothing to give from now on."""
    await rig.up(MemoryStorage())
    sirens = (Siren(code=1, rendition=TONE.ref), *more)
    rig.stock([TONE, STANDING])
    rig.settings(sirens=sirens, **settings)
    await rig.clock.advance(10)
    assert {one.rendition.digest for one in sirens} <= set(rig.node.status().renditions)
    rig.desk.serves = False


async def test_the_siren_comes_at_once_and_the_words_as_they_stream_in(rig: Rig) -> None:
    """Nothing of the words is there when it begins; they come in while the siren sounds, and follow without a gap."""
    await stored(rig)
    rig.give(rig.order("alert", WORDS, in_ms=500, precedence=EMERGENCY, siren=1))
    await rig.clock.advance(2)
    assert rig.node.status().playing == an_id("alert")
    started = next(one for one in rig.desk.about(an_id("alert")) if one.event is E.STARTED)
    assert started.late_ms is not None
    assert abs(started.late_ms) <= 20
    for want in [one for one in rig.desk.wants if one.rendition == WORDS.digest]:
        rig.desk._serve(want)
        await rig.clock.advance(0.5)
    rig.desk.serves = True
    await rig.clock.advance(20)
    assert np.array_equal(rig.heard("alert"), np.concatenate([TONE.sound, WORDS.sound]))
    assert rig.desk.about(an_id("alert"))[-1].event is E.FINISHED


async def test_a_standing_recording_needs_no_link(rig: Rig) -> None:
    """Siren and recording lie in the store: a box whose link is gone after the order sounds both, as often as told."""
    await stored(rig, Siren(code=64, rendition=STANDING.ref))
    order = rig.order("alert", STANDING, in_ms=500, precedence=EMERGENCY, siren=1, repeats=2, gap_ms=DurationMs(3000))
    rig.give(order)
    await rig.clock.advance(0.2)
    rig.link.drop("cut")
    await rig.clock.advance(30)
    once = np.concatenate([TONE.sound, STANDING.sound])
    gap = np.zeros(3 * SECOND, np.int16)
    heard = rig.heard("alert")
    assert len(heard) == pytest.approx(2 * len(once) + len(gap), abs=200)
    assert np.array_equal(heard[: len(once)], once)
    assert not heard[len(once) : len(once) + len(gap) - 200].any()
    assert np.array_equal(heard[-len(once) :], once)


async def test_words_that_never_come_leave_the_siren_and_what_is_stored(rig: Rig) -> None:
    """The recording comes before the words, so that it is heard also where those do not arrive."""
    await stored(rig, Siren(code=64, rendition=STANDING.ref))
    rig.give(rig.order("alert", STANDING, WORDS, in_ms=500, precedence=EMERGENCY, siren=1, repeats=0))
    await rig.clock.advance(11)
    local = np.concatenate([TONE.sound, STANDING.sound])
    assert np.array_equal(rig.heard("alert")[: len(local)], local)
    once = 15 * SECOND
    await rig.clock.advance(60)
    heard = rig.heard("alert")
    assert rig.node.status().playing == an_id("alert"), "it goes on trying until it is over"
    tenth = SECOND // 10
    sounds = [bool(heard[at : at + tenth].any()) for at in range(0, 4 * once, tenth)]
    for repeat in range(4):  # joined in phase: up to a tenth of a second at the seams does not matter
        part = sounds[repeat * 150 : repeat * 150 + 150]
        assert all(part[1:89]), f"siren and recording in repeat {repeat}"
        assert not any(part[91:149]), f"silence in place of the words in repeat {repeat}"


async def test_it_takes_the_air_within_a_second(rig: Rig) -> None:
    """From what sounds, at the ordered instant; what was interrupted goes on by its own rule when it is over."""
    await stored(rig)
    rig.desk.serves = True
    rig.timetable(rig.entry("talk", 3000, TALK, interruption=Interruption.RESUME))
    await rig.clock.advance(20)
    assert rig.node.status().playing == an_id("talk")
    rig.desk.serves = False
    rig.give(rig.order("alert", in_ms=500, precedence=EMERGENCY, siren=1, repeats=2, gap_ms=DurationMs(4000)))
    await rig.clock.advance(0.6)
    assert rig.node.status().playing == an_id("alert")
    await rig.clock.advance(4.2)
    assert rig.node.status().playing is None, "between repeats nobody has the air"
    await rig.clock.advance(2.5)
    assert rig.node.status().playing is None
    await rig.clock.advance(70)
    assert np.array_equal(rig.heard("alert")[: len(TONE.sound)], TONE.sound)
    assert [one.event for one in rig.desk.about(an_id("talk"))][-2:] == [E.RESUMED, E.FINISHED]


def settings_with(**changes: object) -> Settings:
    values: dict[str, object] = {"area": AreaPath("quang-ninh"), "version": 1, "issued_at": InstantMs(1)}
    return Settings(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("allowed", "asked", "expected"),
    [(100, None, 100), (100, 80, 80), (80, None, 80), (80, 100, 80), (80, 60, 60), (None, 70, 70), (None, None, 100)],
)
def test_as_loud_as_people_released_and_the_place_allows(allowed: int | None, asked: int | None, expected: int) -> None:
    """Whatever the node's own volume and the caps of other broadcasts are."""
    held = None if allowed is None else settings_with(
        emergency_volume=Percent(allowed), ordinary_cap=Percent(10), priority_cap=Percent(20)
    )  # fmt: skip
    wanted = None if asked is None else Percent(asked)
    assert loudness(held, EMERGENCY, Percent(5), wanted) == expected


async def test_the_volume_that_was_released(rig: Rig) -> None:
    await stored(rig, ordinary_cap=Percent(10), emergency_volume=Percent(80))
    rig.give(rig.order("v", action=OrderAction.VOLUME, volume=Percent(5), renditions=(), in_ms=0))
    await rig.clock.advance(2)
    rig.give(rig.order("loud", in_ms=500, precedence=EMERGENCY, siren=1, volume=Percent(100)))
    await rig.clock.advance(8)
    rig.give(rig.order("less", in_ms=500, precedence=EMERGENCY, siren=1, volume=Percent(50)))
    await rig.clock.advance(8)
    top = np.abs(TONE.sound).max()
    assert np.abs(rig.heard("loud")).max() == pytest.approx(top * 0.8, rel=0.03)
    assert np.abs(rig.heard("less")).max() == pytest.approx(top * 0.5, rel=0.03)


@pytest.mark.parametrize(("in_body", "in_order"), [(50, 100), (50, None), (None, 100)])
async def test_nobody_changes_it_afterwards(rig: Rig, in_body: int | None, in_order: int | None) -> None:
    await stored(rig)
    volume = None if in_order is None else Percent(in_order)
    order = rig.order("alert", in_ms=500, precedence=EMERGENCY, siren=1)
    signed = approved(order, PERSON, volume=None if in_body is None else Percent(in_body))
    rig.give(replace(signed, volume=volume))
    await rig.clock.advance(10)
    assert rig.node.status().refusals == {R.BEYOND_APPROVAL: 1}
    assert not rig.any_sound


async def test_before_its_expiry_and_not_after(rig: Rig) -> None:
    """A box that comes back: to an alert that still holds, and to one that is over."""
    await stored(rig)
    rig.link.drop("cut")
    holds = rig.order("holds", in_ms=500, precedence=EMERGENCY, siren=1, repeats=0)
    over = rig.order("over", in_ms=500, precedence=EMERGENCY, siren=1, repeats=0,
                     expires_at=InstantMs(rig.clock.now_ms() + 20_000))  # fmt: skip
    payloads = [rig.give(holds), rig.give(over)]
    await rig.clock.advance(30)
    rig.link.restore()
    await rig.clock.advance(1)
    for payload in payloads:
        rig.desk.link.publish(f"loa/1/n/{NODE}/order", payload)
    await rig.clock.advance(5)
    assert rig.node.status().playing == an_id("holds")
    assert len(rig.heard("over")) == 0
    assert rig.node.status().refusals == {R.EXPIRED: 1}
