"""The comparison passes what is right and fails what is not."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from audio.align import shifted, signal_of
from audio.compare import heard_matches, rendition_matches
from audio.decode import decode_file
from audio.importing import make_rendition
from audio.tones import pcm_of
from tests.audio.makers import Array, speech_like

pytestmark = pytest.mark.slow
RATE = 48_000


def _input() -> Array:
    return speech_like(6)


def _other() -> Array:
    return speech_like(6, seed=7)


@cache
def _reference() -> Array:
    return signal_of(decode_file(make_rendition(pcm_of(_input())).data))


@cache
def _loud() -> int:
    """Where the loudest tenth of a second of the first five begins."""
    return int(np.square(_reference()[: 5 * RATE]).reshape(-1, 4800).mean(axis=1).argmax()) * 4800


def _gap(sound: Array) -> Array:
    gapped = sound.copy()
    gapped[_loud() : _loud() + 4800] = 0
    return gapped


def _splice(sound: Array) -> Array:
    return np.delete(sound, slice(_loud(), _loud() + 4800))


def _hiss(sound: Array) -> Array:
    return np.random.default_rng(1).standard_normal(len(sound)).astype(np.float32) * np.float32(sound.std() * 0.0015)


def _half_speed(sound: Array) -> Array:
    return np.repeat(sound, 2)


RIGHT: dict[str, Callable[[Array], Array]] = {
    "itself": lambda sound: sound,
    "quieter": lambda sound: sound * np.float32(0.1),
    "late, with silence around": lambda sound: np.pad(sound * np.float32(0.7), (31_234, 9_876)),
    "in 16 bits": lambda sound: (sound * 32767).astype(np.int16),
    "with hiss 50 dB down": lambda sound: sound + _hiss(sound),
    "between two frames": lambda sound: shifted(sound, 0.43, 0.0),
}
WRONG: dict[str, Callable[[Array], Array]] = {
    "another": lambda sound: np.resize(_other(), len(sound)),
    "gap": _gap,
    "splice": _splice,
    "half speed": _half_speed,
    "silence": np.zeros_like,
    "nothing": lambda sound: sound[:0],
    "beginning only": lambda sound: sound[: _loud() + 2400],
    "twice": lambda sound: np.tile(sound, 2),
    "something after it": lambda sound: np.concatenate([sound, _other()[:RATE]]),
    "clock off": lambda sound: shifted(sound, 0.0, 50e-6),
}
"""What may have been made of a sound; worked out when a test wants it, as every process collects all tests."""


@pytest.mark.parametrize("name", RIGHT)
def test_heard(name: str) -> None:
    match = heard_matches(RIGHT[name](_reference()), _reference())
    assert match.ok, match
    assert match.worst_window_db < 0


@pytest.mark.parametrize("name", WRONG)
def test_not_heard(name: str) -> None:
    match = heard_matches(WRONG[name](_reference()), _reference())
    assert not match.ok
    assert match.reason


@pytest.mark.parametrize(
    "ppm", [pytest.param(-80.0, marks=pytest.mark.slow), pytest.param(5.0, marks=pytest.mark.slow), 60.0]
)
def test_drift_of_a_sound_card(ppm: float) -> None:
    heard = np.pad(shifted(_reference(), 0.2, ppm * 1e-6), (5000, 3000))
    match = heard_matches(heard, _reference(), drift=True)
    assert match.ok, match
    assert abs(match.drift_ppm + ppm) < 2
    assert abs(match.lag_ms - 5000 / 48) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["another", "gap", "splice", "half speed", "silence", "beginning only"])
def test_drift_excuses_nothing_else(name: str) -> None:
    assert not heard_matches(WRONG[name](_reference()), _reference(), drift=True).ok


@pytest.mark.slow
def test_long_sounds_are_aligned_in_two_steps() -> None:
    long = np.concatenate([speech_like(20, 8000, seed=number) for number in range(9)])
    heard = np.pad(long * np.float32(0.5), (12_345, 777))
    match = heard_matches(heard, long, 8000)
    assert match.ok, match
    assert abs(match.lag_ms - 12_345 / 8) < 0.01


def test_rendition() -> None:
    match = rendition_matches(_reference(), np.pad(_input(), (RATE, RATE)))
    assert match.ok, match
    assert match.worst_window_db < 1.6


@pytest.mark.parametrize(
    "name", ["another", "gap", "splice", "half speed", "silence", "nothing", "beginning only", "twice"]
)
def test_not_the_rendition(name: str) -> None:
    match = rendition_matches(WRONG[name](_reference()), _input())
    assert not match.ok
    assert match.reason


def test_a_wrong_file_is_far_off() -> None:
    assert rendition_matches(WRONG["another"](_reference()), _input()).worst_window_db > 3.7
