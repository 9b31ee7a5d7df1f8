"""A mosquitto of the test's own."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests import tools

_CONFIG = """
listener {port} 127.0.0.1
allow_anonymous true
allow_duplicate_messages true
persistence false
max_queued_messages 0
{more}
"""


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mosquitto:
    """One broker process. `more`: further lines of its configuration."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.port = free_port()
        self._config = folder / f"mosquitto-{self.port}.conf"
        self._config.write_text(_CONFIG.format(port=self.port, more=more))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        self._process = subprocess.Popen(
            [tools.program("mosquitto") or "mosquitto", "-c", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(200):
            if self._process.poll() is not None:
                raise RuntimeError("mosquitto ended at once")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("mosquitto does not listen")

    def stop(self) -> None:
        if self._process is not None:
            self.thaw()
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kill it and start it anew on the same port, its memory gone."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Half-open: the kernel still confirms bytes, nobody reads them."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGCONT)
