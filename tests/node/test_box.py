"""`loa node` as a real process on a real broker: sound through a sound card, kill -9, an orderly stop, base alone."""

import asyncio
import subprocess
import sys
import venv
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from audio.compare import heard_matches
from devices.protocol.reports import PresenceState, ReceiptCause, ReceiptEvent
from tests.brokers import Mosquitto
from tests.node.live import Box, LiveCentre, eventually
from tests.node.pulse import Pulse
from tests.node.rig import read_wav, recording

E, C = ReceiptEvent, ReceiptCause
pytestmark = [pytest.mark.slow, pytest.mark.needs("mosquitto")]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
async def centre(mosquitto: Mosquitto) -> AsyncIterator[LiveCentre]:
    one = LiveCentre(mosquitto.url)
    await one.start()
    yield one
    await one.stop()


@pytest.mark.needs("pulseaudio", "parec", "pactl")
async def test_what_comes_out_of_the_card_matches(mosquitto: Mosquitto, centre: LiveCentre, tmp_path: Path) -> None:
    pulse = Pulse(tmp_path)
    pulse.start()
    box = Box(tmp_path / "box", mosquitto.url, "sound", pulse.environment)
    try:
        box.start()
        await eventually(lambda: centre.desk.health)
        await centre.admit()
        await eventually(lambda: centre.desk.health is not None and not centre.desk.health.muted)
        pulse.record()
        sound = recording(12.0)
        order = centre.play(sound, in_ms=3000)
        await eventually(lambda: E.FINISHED in centre.desk.events(order.id), 40)
        await asyncio.sleep(0.5)
        heard = await asyncio.to_thread(pulse.recorded)
        match = heard_matches(heard, sound.sound, drift=True)
        assert match.ok, match
        assert centre.desk.events(order.id) == [E.RECEIVED, E.READY, E.STARTED, E.FINISHED]
        assert box.stop() == 0
    finally:
        if box.process is not None and box.process.poll() is None:
            box.kill()
        pulse.stop()


async def test_killed_in_mid_broadcast(mosquitto: Mosquitto, centre: LiveCentre, tmp_path: Path) -> None:
    """No sound after it, and the outcome is unconfirmed."""
    box = Box(tmp_path / "box", mosquitto.url, f"record:{tmp_path / 'heard'}")
    box.start()
    try:
        await eventually(lambda: centre.desk.health)
        await centre.admit()
        order = centre.play(recording(20.0), in_ms=1500)
        await eventually(lambda: E.STARTED in centre.desk.events(order.id))
        await asyncio.sleep(1.5)
        box.kill()
        first = list((tmp_path / "heard").iterdir())
        assert len(first) == 1
        part = read_wav(first[0])
        assert 48_000 < len(part) < 4 * 48_000
        assert np.array_equal(part, recording(20.0).sound[: len(part)])
        box.start()
        await eventually(lambda: E.UNCONFIRMED in centre.desk.events(order.id))
        await asyncio.sleep(3)
        assert list((tmp_path / "heard").iterdir()) == first
        assert len(read_wav(first[0])) == len(part)
        again = centre.play(recording(1.0, 600.0), in_ms=1500)
        await eventually(lambda: E.FINISHED in centre.desk.events(again.id))
    finally:
        box.kill()


async def test_an_orderly_stop(mosquitto: Mosquitto, centre: LiveCentre, tmp_path: Path) -> None:
    box = Box(tmp_path / "box", mosquitto.url, "none")
    box.start()
    try:
        await eventually(lambda: centre.desk.health)
        await centre.admit()
        order = centre.play(recording(20.0), in_ms=1000)
        await eventually(lambda: E.STARTED in centre.desk.events(order.id))
        second = Box(tmp_path / "box", mosquitto.url, "none")
        second.start()
        assert second.process is not None
        assert await asyncio.to_thread(second.process.wait, 20) == 3
        assert "[already_running]" in second.log
        assert await asyncio.to_thread(box.stop) == 0
        await eventually(lambda: E.STOPPED in centre.desk.events(order.id))
        assert centre.desk.about(order.id)[-1].cause is C.SHUTDOWN
        assert centre.desk.presences[-1].state is PresenceState.OFFLINE
    finally:
        if box.process is not None and box.process.poll() is None:
            box.kill()


def test_the_example_is_a_configuration(tmp_path: Path) -> None:
    run = [sys.executable, "-c", "from loa.cli.main import main; main()", "node"]
    example = subprocess.run([*run, "--example"], capture_output=True, text=True, check=True).stdout
    (tmp_path / "node.toml").write_text(example + "\nunknown_word = 1\n")
    done = subprocess.run([*run, "--config", str(tmp_path / "node.toml")], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "unknown_word" in done.stderr


async def test_a_box_needs_the_base_alone(mosquitto: Mosquitto, centre: LiveCentre, tmp_path: Path) -> None:
    """A built wheel in an empty environment that has the base dependencies and nothing else."""
    done = await asyncio.to_thread(_bare_environment, tmp_path)
    box = Box(tmp_path / "box", mosquitto.url, f"record:{tmp_path / 'heard'}", {"PATH": ""}, str(done))
    box.start()
    try:
        await eventually(lambda: centre.desk.presences or box.process is None or box.process.poll() is not None)
        assert centre.desk.presences, box.log
        assert centre.desk.presences[0].state is PresenceState.ONLINE
        await centre.admit()
        order = centre.play(recording(2.0), in_ms=1500)
        await eventually(lambda: E.FINISHED in centre.desk.events(order.id))
        heard = read_wav(next((tmp_path / "heard").iterdir()))
        assert np.array_equal(heard, recording(2.0).sound)
    finally:
        box.kill()


def _bare_environment(folder: Path) -> Path:
    """The `loa` of a fresh environment that got the wheel and what it depends on, no extras."""
    wheels = folder / "wheels"
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", str(wheels), str(ROOT)],
        check=True,
        timeout=300,
    )
    venv.create(folder / "bare", with_pip=True)
    python = folder / "bare" / "bin" / "python"
    subprocess.run(
        [str(python), "-m", "pip", "install", "-q", str(next(wheels.glob("loa-*.whl")))], check=True, timeout=600
    )
    present = subprocess.run([str(python), "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
    for absent in ("miniaudio", "numpy", "pydub", "sqlmodel", "fastapi", "pyserial", "cobs"):
        assert absent not in present.lower()
    return folder / "bare" / "bin" / "loa"
