"""mosquitto with the configuration that `loa broker-config` writes, and clients that tell what reached them."""

import os
import ssl
from collections.abc import Iterable
from pathlib import Path

from controller import broker_files
from controller.broker_files import Listener
from controller.certificates import Certified, ensure_server, make_authority, make_server
from controller.services.broker_logins import CENTRE, Logins, password_hash
from devices.links.mqtt import MqttLink
from devices.links.port import Delivery
from devices.links.tls import pinned_context
from loa.clock import SystemClock
from loa.entropy import system_entropy
from loa.units import InstantMs
from tests import tools
from tests.brokers import ServerProcess

CLOCK = SystemClock()
_SALT = b"salt-of-tests"[:12]


class GuardedMosquitto(ServerProcess):
    """Its files lie in `folder`; every name's password is ``of-`` and the name."""

    name = "mosquitto"

    def __init__(self, folder: Path, names: Iterable[str] = (), *, wired: Logins | None = None) -> None:
        super().__init__()
        self.folder = folder
        folder.mkdir(exist_ok=True)
        certificate, key = ensure_server(folder, ["127.0.0.1"], CLOCK.now_ms())
        self.listener = Listener(self.port, certificate, key, "127.0.0.1", "root" if os.geteuid() == 0 else None)
        self._wired = wired.wired if wired is not None else ()
        self.admit(names)
        (folder / broker_files.CONFIGURATION).write_text(broker_files.configuration(folder, self.listener))

    def admit(self, names: Iterable[str]) -> None:
        """These, and the centre: written to the files; a running broker has to reload."""
        hashes = tuple((name, password_hash(f"of-{name}", _SALT)) for name in (CENTRE, *names))
        broker_files.write_logins(self.folder, Logins(hashes, self._wired))

    def certify(self, authority: Certified, at: InstantMs, host: str = "127.0.0.1") -> None:
        """Another certificate, made as if it were `at`; counts from the next start."""
        made = make_server(authority, [host], at)
        self.listener.certificate.write_bytes(made.certificate)
        self.listener.key.write_bytes(made.key)

    @property
    def authority(self) -> Certified:
        return Certified((self.folder / "ca.pem").read_bytes(), (self.folder / "ca.key").read_bytes())

    @property
    def url(self) -> str:
        return f"mqtts://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.folder / broker_files.LOG).read_text(errors="replace")

    def command(self) -> list[str]:
        return [tools.program("mosquitto") or "mosquitto", "-c", str(self.folder / broker_files.CONFIGURATION)]

    def client(
        self, name: str, topics: Iterable[str] = (), *, password: str | None = None, authority: bytes | None = None
    ) -> "Client":  # fmt: skip
        pinned = (authority or self.authority.certificate).decode()
        return Client(self.url, name, password or f"of-{name}", pinned_context(pinned), topics)

    def stop(self) -> None:
        super().stop()
        (self.folder / broker_files.PID).unlink(missing_ok=True)


class Client:
    """A link as nodes have it, that remembers what it heard."""

    def __init__(
        self, url: str, name: str, password: str | None, tls: ssl.SSLContext | None, topics: Iterable[str]
    ) -> None:  # fmt: skip
        self.heard: list[tuple[str, bytes]] = []
        self.ups = 0
        self.downs: list[str] = []
        self.link = MqttLink(
            url, f"node-{name}", CLOCK, system_entropy, username=name, password=password, tls=tls, backoff_s=(0.1, 0.5)
        )
        self.link.listen(topics)

    async def start(self) -> "Client":
        await self.link.start(self)
        return self

    def link_up(self) -> None:
        self.ups += 1

    def link_down(self, reason: str) -> None:
        self.downs.append(reason)

    def delivered(self, delivery: Delivery) -> None:
        self.heard.append((delivery.topic, delivery.payload))

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        assert self.link.publish(topic, payload, qos=1, retain=retain)


def other_authority(at: InstantMs) -> Certified:
    """One that nobody pinned."""
    return make_authority("somebody else", at)
