"""How much limiting is reckoned with is what the limiter does, and what is tried on a part holds for the whole."""

import numpy as np
import pytest

from audio.level import WINDOW, Limiter, Mono, measure
from audio.limiting import MOST_DRIVE_DB, Drive, highest_of_all
from tests.audio.makers import speech_like

SOUND = speech_like(8)
WINDOWS = SOUND.reshape(-1, WINDOW)
DRIVE = Drive(np.abs(WINDOWS).max(axis=1), np.square(WINDOWS).mean(axis=1), measure(SOUND).loudness_lufs)


def _limited(drive_db: float) -> Mono:
    limiter = Limiter(-6.0)
    gain = np.float32(10 ** ((-6.0 + drive_db - DRIVE.peak_db) / 20))
    return np.concatenate([*limiter.feed(SOUND * gain), *limiter.feed(None)])


@pytest.mark.parametrize("drive_db", [0.0, 2.0, 5.0])
def test_the_crest_is_as_reckoned(drive_db: float) -> None:
    came_out = _limited(drive_db)
    crest_db = 20 * np.log10(np.abs(came_out).max()) - measure(came_out).loudness_lufs
    assert abs(crest_db - DRIVE.crest_db(drive_db)) < 0.4


def test_the_least_drive_is_enough_and_no_more() -> None:
    wanted = DRIVE.crest_db(0.0) - 1.5
    drive_db = DRIVE.least(wanted)
    assert DRIVE.crest_db(drive_db) <= wanted < DRIVE.crest_db(drive_db - 0.15)
    assert DRIVE.least(DRIVE.crest_db(0.0)) == 0.0
    assert DRIVE.least(-100.0) == MOST_DRIVE_DB


def test_of_a_part_the_highest_of_all_is_guessed() -> None:
    random = np.random.default_rng(7)
    short = 0
    for _ in range(50):
        peaks = random.exponential(0.2, 20_000).astype(np.float32)
        guessed = highest_of_all(peaks[:1000], len(peaks))
        assert peaks[:1000].max() <= guessed <= peaks[:1000].max() + 1.0
        short += guessed + 0.4 < peaks.max()
    assert short <= 10, "with the margin of a round it is enough nearly always"
