"""The Broker port: something that speaks MQTT 3.1.1 and that nobody trusts.

Embedded implementations run as a child process of ours and die with us, even when we are killed: `Mosquitto` where it
is installed, `Amqtt` (pure Python, `controller.broker_amqtt`) where it is not. `ExternalBroker` is one by URL. A child
that dies is started again on the same port; what its memory held is published again by whoever watches the link.
"""

import asyncio
import ipaddress
import os
import shutil
import socket
import ssl
import sys
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from loa.clock import Clock
from loa.errors import OperatorNeeded, Refused

ACCEPT_TIMEOUT_S = 15.0
_LOOK_AGAIN_S = 0.02
_LOG_LIMIT_BYTES = 4 * 1024 * 1024
_ANONYMOUS_CONNECT = b"\x10\x15\x00\x04MQTT\x04\x02\x00\x0a\x00\x09loa-probe"
_MOSQUITTO_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")
# Asks the kernel to end the broker when we end, then becomes the broker. In a fresh interpreter, since running Python
# between fork and exec of a process with threads may deadlock.
_DIE_WITH_PARENT = """
import ctypes, os, sys
parent = int(sys.argv[1])
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 15)
if os.getppid() != parent:
    sys.exit(0)
os.execvp(sys.argv[2], sys.argv[2:])
"""


class Broker(Protocol):
    """Where the wire runs. `url` is ``mqtt://host:port`` or ``mqtts://user:password@host:port``."""

    @property
    def name(self) -> str:
        """mosquitto, amqtt or external."""
        ...

    @property
    def url(self) -> str:
        """Known after `start`."""
        ...

    async def start(self) -> None:
        """Returns when it accepts connections. Raises OperatorNeeded(broker_unreachable), Refused(insecure_broker)."""
        ...

    async def stop(self) -> None: ...


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    if host in ("localhost", ""):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def mosquitto_program() -> str | None:
    """Path of mosquitto where it is installed; Debian keeps it out of a user's PATH."""
    folders = os.pathsep.join([os.environ.get("PATH", ""), *_MOSQUITTO_FOLDERS])
    return shutil.which("mosquitto", path=folders)


def choose_broker(
    wanted: str,
    folder: Path,
    clock: Clock,
    *,
    bind: str = "127.0.0.1",
    port: int = 0,
    insecure: bool = False,
    tls: ssl.SSLContext | None = None,
) -> Broker:
    """The broker that `wanted` names: ``auto``, ``mosquitto``, ``amqtt`` or a URL.

    folder: for configuration and log. port 0: any free one. insecure: let a broker be reached from elsewhere without
    a password. tls: by which an external one is known. Raises Refused(bad_broker, broker_missing, insecure_broker).
    """
    if "://" in wanted:
        return ExternalBroker(wanted, insecure=insecure, tls=tls)
    if wanted not in ("auto", "mosquitto", "amqtt"):
        raise Refused("bad_broker", field="broker", limit="auto, mosquitto, amqtt, mqtt://host:port", value=wanted[:80])
    if not is_loopback(bind) and not insecure:
        raise Refused("insecure_broker", field="broker_bind", value=bind)
    program = mosquitto_program()
    if wanted == "amqtt" or (wanted == "auto" and program is None):
        return Amqtt(folder, clock, bind=bind, port=port)
    if program is None:
        raise Refused("broker_missing", field="broker", value="mosquitto")
    return Mosquitto(folder, clock, program=program, bind=bind, port=port)


class EmbeddedBroker:
    """A broker as a child process, kept alive from `start` until `stop`."""

    name = "embedded"

    def __init__(self, folder: Path, clock: Clock, *, bind: str = "127.0.0.1", port: int = 0) -> None:
        self.folder, self.clock, self.bind, self.port = folder, clock, bind, port
        self.process: asyncio.subprocess.Process | None = None
        self.restarts = 0
        self._any_port = port == 0
        self._keeper: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        host = self.bind if self.bind not in ("0.0.0.0", "::", "") else "127.0.0.1"  # noqa: S104
        return f"mqtt://{f'[{host}]' if ':' in host else host}:{self.port}"

    def command(self) -> list[str]:
        """Write what configuration it needs and say how it is started on `port`."""
        raise NotImplementedError

    async def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for attempt in range(5):
            if self._any_port:
                self.port = _free_port(self.bind)
            elif _accepts(self.bind, self.port):
                raise OperatorNeeded("broker_unreachable", field="broker_port", reason=f"port {self.port} is in use")
            if await self._launch():
                break
            if not self._any_port or attempt == 4:
                raise OperatorNeeded("broker_unreachable", field="broker", reason=self._last_words())
        self._keeper = asyncio.create_task(self._keep_alive(), name=f"{self.name} keeper")

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        await self._end_child()

    async def _end_child(self) -> None:
        process = self.process
        self.process = None
        if process is None:
            return
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 5)
            except TimeoutError:
                process.kill()
                await process.wait()

    @property
    def log_path(self) -> Path:
        return self.folder / f"{self.name}.log"

    async def _launch(self) -> bool:
        """Start the child and wait until it accepts; False where it ends or stays silent."""
        command = self.command()
        if self.log_path.exists() and self.log_path.stat().st_size > _LOG_LIMIT_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        with self.log_path.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches us, and we end it in order
            )
        deadline = self.clock.monotonic_s() + ACCEPT_TIMEOUT_S
        while self.clock.monotonic_s() < deadline:
            if self.process.returncode is not None:
                return False
            if _accepts(self.bind, self.port):
                return True
            await self.clock.sleep(_LOOK_AGAIN_S)
        await self._end_child()
        return False

    async def _keep_alive(self) -> None:
        pause = 0.05
        while True:
            if self.process is not None:
                await self.process.wait()
            self.restarts += 1
            await self.clock.sleep(pause)
            pause = 0.05 if await self._launch() else min(5.0, pause * 2)

    def _last_words(self) -> str:
        with suppress(OSError):
            lines = self.log_path.read_text(errors="replace").strip().splitlines()
            if lines:
                return lines[-1][:200]
        return f"{self.name} ended at once"


class Mosquitto(EmbeddedBroker):
    """Eclipse mosquitto with a configuration of our own."""

    name = "mosquitto"

    def __init__(
        self, folder: Path, clock: Clock, *, program: str = "mosquitto", bind: str = "127.0.0.1", port: int = 0
    ) -> None:
        super().__init__(folder, clock, bind=bind, port=port)
        self.program = program

    def command(self) -> list[str]:
        lines = [
            "# Written at every start; changes are lost.",
            "per_listener_settings false",
            f"listener {self.port} {self.bind}",
            "allow_anonymous true",
            "allow_duplicate_messages true",  # 3.5 times faster fan-out; what comes twice is acted on once
            "persistence false",  # its memory is not relied on
            "max_queued_messages 20000",
            "max_queued_bytes 16777216",
            "max_inflight_messages 20",
            "max_packet_size 1100000",
            "max_keepalive 65535",
            "set_tcp_nodelay true",
            "connection_messages false",
            "log_dest stderr",
            "log_type error",
            "log_type warning",
            "log_type notice",
        ]
        if os.geteuid() == 0:
            # Dropping root would make the kernel forget that it is to end with us. A service runs as a user of its own.
            lines.append("user root")
        path = self.folder / "mosquitto.conf"
        path.write_text("\n".join(lines) + "\n")
        return [self.program, "-c", str(path)]


class Amqtt(EmbeddedBroker):
    """amqtt in an interpreter of its own, so that neither its faults nor its load are ours."""

    name = "amqtt"

    def command(self) -> list[str]:
        return [sys.executable, "-m", "controller.broker_amqtt", self.bind, str(self.port)]


class ExternalBroker:
    """A broker that somebody else runs."""

    name = "external"

    def __init__(self, url: str, *, insecure: bool = False, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise Refused("bad_broker", field="broker", limit="mqtt:// or mqtts://", value=_without_password(url))
        self.url, self.insecure = url, insecure
        self.host = parts.hostname
        self.port = parts.port or (8883 if parts.scheme == "mqtts" else 1883)
        self.username = unquote(parts.username) if parts.username else None
        self._tls = tls if tls is not None else parts.scheme == "mqtts"
        if self.username is None and not is_loopback(self.host) and not insecure:
            raise Refused("insecure_broker", field="broker", value=_without_password(url))

    async def start(self) -> None:
        if is_loopback(self.host) or self.insecure:
            return
        if await self._lets_anybody_in():
            raise Refused("insecure_broker", field="broker", value=_without_password(self.url))

    async def stop(self) -> None:
        return

    async def _lets_anybody_in(self) -> bool:
        """Whether it accepts a client without a name or password; False where it cannot be asked now."""
        try:
            async with asyncio.timeout(5):
                reader, writer = await asyncio.open_connection(self.host, self.port, ssl=self._tls or None)
                try:
                    writer.write(_ANONYMOUS_CONNECT)
                    reply = await reader.readexactly(4)
                finally:
                    writer.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return False
        return reply[0] == 0x20 and reply[3] == 0


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"[:120]


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _free_port(bind: str) -> int:
    with socket.socket(_family(bind), socket.SOCK_STREAM) as probe:
        probe.bind((bind, 0))
        port: int = probe.getsockname()[1]
        return port


def _accepts(bind: str, port: int) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(bind, bind)  # noqa: S104
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        probe.settimeout(0.2)
        return probe.connect_ex((host, port)) == 0
