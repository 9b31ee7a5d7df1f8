"""Brokers of the test's own: mosquitto, and NATS and RabbitMQ as Debian has them."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
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
    """A port of 127.0.0.1 that was free a moment ago, and is given to nobody who connects somewhere.

    The system has 32,768 and above for those: whoever is killed and started again on such a port may find it taken.
    """
    while True:
        port = 10_000 + secrets.randbelow(22_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


class ServerProcess:
    """A broker as one process, listening on `port` of 127.0.0.1."""

    name = "broker"
    within_s = 20.0
    """How long it may take until it listens."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        self._process = subprocess.Popen(
            self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self.environment(), cwd="/"
        )
        end = time.monotonic() + self.within_s
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.name} ended at once")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"{self.name} does not listen")

    def stop(self) -> None:
        if self._process is not None:
            self.thaw()
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kill it and start it anew on the same port; what it kept in memory is gone."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Half-open: the kernel still confirms bytes, nobody reads them."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGCONT)


class Mosquitto(ServerProcess):
    """One broker process without a memory on disk. `more`: further lines of its configuration."""

    name = "mosquitto"

    def __init__(self, folder: Path, more: str = "") -> None:
        super().__init__()
        self._config = folder / f"mosquitto-{self.port}.conf"
        self._config.write_text(_CONFIG.format(port=self.port, more=more))

    def command(self) -> list[str]:
        return [tools.program("mosquitto") or "mosquitto", "-c", str(self._config)]


class Nats(ServerProcess):
    """nats-server with its MQTT listener, which wants JetStream; that keeps what is retained in `folder`."""

    name = "nats-server"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._config = folder / f"nats-{self.port}.conf"
        self._config.write_text(
            f"server_name: loa\nlisten: 127.0.0.1:{free_port()}\n"
            f'jetstream {{ store_dir: "{folder / "jetstream"}" }}\n'
            f"mqtt {{ listen: 127.0.0.1:{self.port} }}\n"
        )

    def command(self) -> list[str]:
        return [tools.program("nats-server") or "nats-server", "-c", str(self._config)]


class RabbitMq(ServerProcess):
    """rabbitmq-server with its MQTT plugin, as the user that Debian made for it. It takes 5 to 10 s to listen."""

    name = "rabbitmq-server"
    within_s = 90.0

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path(tempfile.mkdtemp(prefix="loa-rabbitmq-"))
        self._epmd, self._distribution = free_port(), free_port()
        (self._folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.default = 127.0.0.1:{free_port()}\n"
            f"mqtt.listeners.tcp.default = 127.0.0.1:{self.port}\n"
            "mqtt.allow_anonymous = true\n"
        )
        (self._folder / "plugins").write_text("[rabbitmq_mqtt].\n")
        for path in (self._folder, *self._folder.iterdir()):
            shutil.chown(path, "rabbitmq", "rabbitmq")

    def command(self) -> list[str]:
        return ["runuser", "-u", "rabbitmq", "--", "/usr/lib/rabbitmq/bin/rabbitmq-server"]

    def environment(self) -> dict[str, str]:
        own = self._folder
        return {
            **os.environ,
            "HOME": str(own),
            "ERL_EPMD_PORT": str(self._epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_RELAXED_COMMAND_CHECK": "1",  # or it does not end while it remembers the killed node
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_NODENAME": f"loa{self.port}@localhost",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(own / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(own / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(own / "mnesia"),
            "RABBITMQ_LOG_BASE": str(own / "log"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(own / "config"),
            "RABBITMQ_PLUGINS_EXPAND_DIR": str(own / "expanded"),
            "RABBITMQ_PID_FILE": str(own / "pid"),
        }

    def stop(self) -> None:
        """Its beam and its port mapper too, which are no children of ours."""
        pid = self._folder / "pid"
        if pid.exists():
            os.kill(int(pid.read_text()), signal.SIGKILL)
        super().stop()
        with_port = ["epmd", "-port", str(self._epmd), "-kill"]
        subprocess.run(with_port, check=False, capture_output=True, env=self.environment())
        shutil.rmtree(self._folder, ignore_errors=True)
