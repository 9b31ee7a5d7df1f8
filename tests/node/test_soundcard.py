"""The sound card's speaker on PulseAudio's null sink: in time, whole, silent at once, and back when the card is."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from audio.compare import heard_matches
from audio.decode import HeldBytes
from devices.node.ports import Clip, PlaybackEvents
from devices.node.soundcard import SoundCardSpeaker
from loa.clock import SystemClock
from loa.errors import Fault
from loa.units import DurationMs
from tests.node.pulse import Pulse
from tests.node.rig import Recording, recording

pytestmark = [pytest.mark.slow, pytest.mark.needs("pulseaudio", "parec", "pactl")]
CLOCK = SystemClock()


async def eventually(condition: Callable[[], object], seconds: float = 10.0) -> None:
    end = CLOCK.monotonic_s() + seconds
    while not condition():
        assert CLOCK.monotonic_s() < end, "it did not come about in time"
        await asyncio.sleep(0.02)


def clip(sound: Recording, offset_ms: int = 0, gain: float = 1.0) -> Clip:
    return Clip("x", (HeldBytes(sound.file),), (sound.ref.duration_ms,), DurationMs(offset_ms), gain)


class Told:
    def __init__(self) -> None:
        self.started: list[float] = []
        self.finished = False
        self.failed: list[str] = []

    @property
    def events(self) -> PlaybackEvents:
        def finish() -> None:
            self.finished = True

        return PlaybackEvents(self.started.append, finish, self.failed.append)


async def test_what_is_played_is_heard_on_time(pulse: Pulse) -> None:
    speaker = SoundCardSpeaker(CLOCK)
    await speaker.open()
    await eventually(lambda: speaker.ready)
    pulse.record()
    await asyncio.sleep(0.5)
    told, at = Told(), CLOCK.monotonic_s() + 0.5
    speaker.play(clip(recording(4.0), gain=0.5), at, told.events)
    await eventually(lambda: told.finished)
    ended = CLOCK.monotonic_s()
    await asyncio.sleep(0.5)
    heard = await asyncio.to_thread(pulse.recorded)
    await speaker.close()
    assert abs(told.started[0] - at) < 0.002
    assert abs(ended - at - 4.0) < 0.15
    match = heard_matches(heard, recording(4.0).sound, drift=True)
    assert match.ok, match
    assert match.gain == pytest.approx(0.5, rel=0.05)


async def test_silent_at_once(pulse: Pulse) -> None:
    speaker = SoundCardSpeaker(CLOCK)
    await speaker.open()
    pulse.record()
    told = Told()
    playback = speaker.play(clip(recording(4.0)), CLOCK.monotonic_s() + 0.2, told.events)
    await eventually(lambda: playback.position_ms >= 1000)
    playback.stop()
    playback.stop()
    await asyncio.sleep(1.0)
    heard = await asyncio.to_thread(pulse.recorded)
    await speaker.close()
    loud = np.flatnonzero(heard)
    assert 0.9 * 48_000 < loud[-1] - loud[0] < 1.5 * 48_000
    assert not told.finished
    assert not told.failed
    assert 1000 <= playback.position_ms < 1400


async def test_late_is_in_phase(pulse: Pulse) -> None:
    speaker = SoundCardSpeaker(CLOCK)
    await speaker.open()
    pulse.record()
    await asyncio.sleep(0.3)
    told = Told()
    speaker.play(clip(recording(4.0)), CLOCK.monotonic_s() - 1.0, told.events)
    await eventually(lambda: told.finished)
    await asyncio.sleep(0.3)
    heard = await asyncio.to_thread(pulse.recorded)
    await speaker.close()
    loud = np.flatnonzero(heard)
    assert 2.5 * 48_000 < loud[-1] - loud[0] < 3.05 * 48_000
    rest = 48_000 * 2  # the last two seconds are where they would be for all who began on time
    assert heard_matches(heard[loud[-1] - rest : loud[-1]], recording(4.0).sound[-rest:], drift=True).lag_ms < 5


async def test_a_card_that_goes_and_comes_back(pulse: Pulse) -> None:
    speaker = SoundCardSpeaker(CLOCK)
    await speaker.open()
    told = Told()
    speaker.play(clip(recording(8.0)), CLOCK.monotonic_s() + 0.1, told.events)
    await eventually(lambda: told.started)
    await asyncio.to_thread(pulse.stop)
    await eventually(lambda: told.failed)
    assert not speaker.ready
    await asyncio.to_thread(pulse.start)
    await speaker.open()
    assert speaker.ready
    again = Told()
    speaker.play(clip(recording(1.0)), CLOCK.monotonic_s() + 0.1, again.events)
    await eventually(lambda: again.finished)
    await speaker.close()


async def test_no_card_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/none")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(Fault) as caught:
        await SoundCardSpeaker(CLOCK).open()
    assert caught.value.code == "speaker_unavailable"
