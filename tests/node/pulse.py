"""A PulseAudio of the test's own with a null sink: it paces in real time, and its monitor can be recorded."""

import os
import subprocess
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests import tools

SINK = "box"


class Pulse:
    """One server on a socket of its own. `environment` makes a process use it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "pulse.socket"
        self._process: subprocess.Popen[bytes] | None = None
        self._recorder: subprocess.Popen[bytes] | None = None
        self.environment = os.environ | {
            "PULSE_SERVER": f"unix:{self._socket}",
            "XDG_RUNTIME_DIR": str(folder),
            "HOME": str(folder),
            "PULSE_COOKIE": str(folder / "cookie"),
        }

    def start(self) -> None:
        self._socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [
                tools.program("pulseaudio") or "pulseaudio",
                "-n",
                "--daemonize=no",
                "--exit-idle-time=-1",
                "--use-pid-file=no",
                "--disable-shm=yes",
                f"--load=module-native-protocol-unix socket={self._socket} auth-anonymous=1",
                f"--load=module-null-sink sink_name={SINK} rate=48000 channels=1 format=s16le",
            ],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(100):
            if self._socket.exists() and self._answers():
                return
            time.sleep(0.05)
        raise RuntimeError("pulseaudio did not start")

    def _answers(self) -> bool:
        done = subprocess.run(
            [tools.program("pactl") or "pactl", "info"], env=self.environment, capture_output=True, check=False
        )
        return done.returncode == 0

    def record(self) -> None:
        """Begin to record what the sink plays."""
        target = self._folder / "monitor.raw"
        self._recorder = subprocess.Popen(
            [
                tools.program("parec") or "parec",
                f"--device={SINK}.monitor",
                "--rate=48000",
                "--channels=1",
                "--format=s16le",
                "--latency-msec=50",
                str(target),
            ],
            env=self.environment,
        )

    def recorded(self) -> NDArray[np.int16]:
        """End the recording; what was in it."""
        assert self._recorder is not None
        self._recorder.terminate()
        self._recorder.wait(10)
        self._recorder = None
        data = (self._folder / "monitor.raw").read_bytes()
        return np.frombuffer(data[: len(data) // 2 * 2], np.int16)

    def so_far(self) -> NDArray[np.int16]:
        data = (self._folder / "monitor.raw").read_bytes()
        return np.frombuffer(data[: len(data) // 2 * 2], np.int16)

    def stop(self) -> None:
        for process in (self._recorder, self._process):
            if process is not None:
                process.terminate()
                process.wait(10)
        self._recorder = self._process = None
