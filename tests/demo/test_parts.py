"""The demo's parts that need nothing else: places, clocks, the recording it makes for itself."""

import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loa.clock import Timer
from loa.units import DurationMs, InstantMs
from simulators import places
from simulators.announcement import RATE, hum, write_announcement
from simulators.clocks import Skew, SkewedClock


class _True:
    def __init__(self) -> None:
        self.passed_s = 0.0

    def now_ms(self) -> InstantMs:
        return InstantMs(1_800_000_000_000 + round(self.passed_s * 1000))

    def monotonic_s(self) -> float:
        return 77.0 + self.passed_s

    async def sleep(self, seconds: float) -> None:
        self.passed_s += seconds

    def call_later(self, seconds: float, act: Callable[[], object]) -> Timer:
        raise NotImplementedError


def test_fifty_four_communes_and_twenty_four_loudspeakers() -> None:
    assert len(places.COMMUNES) == 54
    assert {place.kind for place in places.COMMUNES} == {"phường", "xã", "đặc khu"}
    assert sum(place.kind == "phường" for place in places.COMMUNES) == 30
    assert len(places.LOUDSPEAKERS) == 24 == len({plan.node for plan in places.LOUDSPEAKERS})
    assert [plan.bus_address for plan in places.LOUDSPEAKERS if plan.wired] == [1, 2, 3, 4]
    assert {plan.commune for plan in places.LOUDSPEAKERS if plan.wired} == {places.BORDER}
    assert {plan.commune for plan in places.LOUDSPEAKERS} == {places.BORDER, places.ISLAND, places.TOWN}


def test_every_area_has_its_parent_before_it() -> None:
    seen = set()
    for place in places.AREAS:
        assert place.path.parent is None or place.path.parent in seen
        seen.add(place.path)
    assert len(seen) == len(places.AREAS)


@given(st.floats(-5000, 5000), st.floats(-50, 50), st.floats(0, 100_000))
def test_a_skewed_clock_is_wrong_as_told_and_the_simulator_sees_behind_it(
    offset: float, drift: float, passed: float
) -> None:
    true = _True()
    clock = SkewedClock(true, Skew(offset, drift))
    true.passed_s = passed
    assert abs(clock.now_ms() - true.now_ms() - offset - passed * drift / 1000) <= 1.0
    assert abs(clock.true_instant_ms(clock.monotonic_s()) - true.now_ms()) <= 0.01


async def test_a_fast_clock_sleeps_a_little_less() -> None:
    true = _True()
    await SkewedClock(true, Skew(0, 50.0)).sleep(1000.0)
    assert abs(true.passed_s - 1000.0 / 1.00005) < 1e-6


def test_the_hummed_recording_is_as_long_as_asked_and_not_silent(tmp_path: Path) -> None:
    assert write_announcement(tmp_path / "a.wav", seconds=4.5) == "hummed"
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getnframes() == round(4.5 * RATE)
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    seconds = sound[: 4 * RATE].reshape(4, -1).astype(float)
    assert (np.sqrt((seconds**2).mean(axis=1)) > 500).all()
    assert (hum(DurationMs(2000), 1) == hum(DurationMs(2000), 1)).all()
