"""Evidence that sound came out: measured, beside the silence before, and told once a broadcast. Without it, nothing."""

import asyncio

import pytest

from audio.decode import HeldBytes
from devices.node.evidence import has_sounded
from devices.node.memory import MemoryStorage
from devices.node.ports import Clip
from devices.node.recording import RecordingSpeaker
from devices.protocol.orders import OrderAction
from devices.protocol.reports import Receipt, ReceiptEvent
from loa.clock import SystemClock
from loa.precedence import Precedence
from loa.units import DurationMs
from tests.node.hands import BoxClock
from tests.node.rig import Rig, an_id, recording
from tests.node.test_soundcard import Told, eventually
from tests.protocol.world import NODE

E = ReceiptEvent
TALK, SIREN = recording(6.0, 310.0), recording(3.0, 800.0)


class Deaf:
    """A sensor at a line that was cut: it hears the same, whatever is played."""

    def __init__(self, level_db: float | None) -> None:
        self.level = level_db

    async def keep(self) -> None: ...

    def level_db(self) -> float | None:
        return self.level


def speaker_of(rig: Rig) -> RecordingSpeaker:
    return RecordingSpeaker(rig.folder / "heard", BoxClock(rig.clock), NODE)


def sounded(rig: Rig, name: str) -> list[Receipt]:
    return [one for one in rig.desk.about(an_id(name)) if one.event is E.SOUNDED]


@pytest.mark.parametrize(
    ("quiet", "level", "is_evidence"),
    [
        (-70.0, -30.0, True), (-40.0, -30.0, True), (-39.9, -30.0, False), (-96.0, -60.0, True), (-96.0, -60.1, False),
        (None, -10.0, False), (-70.0, None, False), (-20.0, -20.0, False),
    ],
)  # fmt: skip
def test_what_counts_is_how_much_louder_it_is(quiet: float | None, level: float | None, is_evidence: bool) -> None:
    assert has_sounded(quiet, level) is is_evidence


async def test_what_was_measured_is_told_once_a_broadcast(rig: Rig) -> None:
    speaker = speaker_of(rig)
    await rig.up(MemoryStorage(), speaker=speaker, sensor=speaker)
    rig.give(rig.order("talk", TALK, repeats=2, gap_ms=DurationMs(1000)))
    await rig.clock.advance(20)
    told = [one for one in rig.desk.events(an_id("talk")) if one not in (E.RECEIVED, E.READY)]
    assert told == [E.STARTED, E.SOUNDED, E.FINISHED]
    (one,) = sounded(rig, "talk")
    assert one.position_ms is not None
    assert 400 <= one.position_ms < 2000
    assert one.evidence is not None
    level, before = one.evidence.decode().split(" dB, ")
    assert before == "-96.0 dB before"
    assert -40 < float(level) < 0
    rig.give(rig.order("tone", action=OrderAction.TEST_TONE))
    await rig.clock.advance(8)
    assert len(sounded(rig, "tone")) == 1


@pytest.mark.parametrize("sensor", [None, Deaf(-30.0), Deaf(None)])
async def test_without_evidence_nobody_says_so(rig: Rig, sensor: Deaf | None) -> None:
    """No sensor, one at a cut line, one that is broken: it started and finished, as far as the node can tell."""
    await rig.up(MemoryStorage(), sensor=sensor)
    rig.give(rig.order("talk", TALK))
    await rig.clock.advance(12)
    assert rig.desk.events(an_id("talk"))[-2:] == [E.STARTED, E.FINISHED]
    assert not sounded(rig, "talk")


async def test_what_interrupts_is_measured_beside_the_silence_before_both(rig: Rig) -> None:
    speaker = speaker_of(rig)
    await rig.up(MemoryStorage(), speaker=speaker, sensor=speaker)
    rig.give(rig.order("talk", TALK))
    await rig.clock.advance(4)
    rig.give(rig.order("alert", SIREN, in_ms=200, precedence=Precedence.EMERGENCY))
    await rig.clock.advance(10)
    assert (len(sounded(rig, "talk")), len(sounded(rig, "alert"))) == (1, 1)


@pytest.mark.slow
@pytest.mark.needs("pulseaudio", "parec", "pactl")
@pytest.mark.usefixtures("pulse")
async def test_a_real_input_hears_a_real_card() -> None:
    """PulseAudio's null sink and its monitor: silence, then what is played, then silence."""
    from devices.node.capture import CaptureSensor
    from devices.node.soundcard import SoundCardSpeaker

    clock = SystemClock()
    sensor, speaker = CaptureSensor(clock), SoundCardSpeaker(clock)
    assert sensor.level_db() is None
    keeping = asyncio.create_task(sensor.keep())
    try:
        await speaker.open()
        await eventually(lambda: (sensor.level_db() or 0.0) < -80)
        sound = recording(4.0, 500.0)
        clip = Clip("x", (HeldBytes(sound.file),), (sound.ref.duration_ms,), DurationMs(0), 1.0)
        told = Told()
        speaker.play(clip, clock.monotonic_s() + 0.3, told.events)
        await eventually(lambda: has_sounded(-80.0, sensor.level_db()))
        assert told.started
        await eventually(lambda: told.finished)
        await eventually(lambda: (sensor.level_db() or 0.0) < -80)
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await speaker.close()
    with pytest.raises(ValueError, match="no input named"):
        CaptureSensor(clock, "nothing like it")._open()
