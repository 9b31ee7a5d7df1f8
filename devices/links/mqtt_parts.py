"""What an MQTT connection is made of: the broker's address, the paho client, its socket."""

import logging
import socket
import ssl
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from devices.links.port import LastWill
from loa.errors import Refused

_log = logging.getLogger("loa.links.mqtt")
CONNECT_TIMEOUT_S = 5.0
_TOPICS_A_PACKET = 100
_UNSENT_IN_KERNEL_BYTES = 16 * 1024
"""More would wait where no urgent message can overtake it."""


@dataclass(frozen=True, slots=True)
class Address:
    """A broker's address, with the name and password that its URL may carry."""

    host: str
    port: int
    tls: bool
    username: str | None
    password: str | None


def read_url(url: str) -> Address:
    """``mqtt://[user:password@]host[:1883]`` or ``mqtts://…[:8883]``. Raises Refused(bad_broker)."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or port == 0:
        raise Refused(
            "bad_broker", field="url", limit="mqtt://host:port or mqtts://host:port", value=f"{parts.scheme}://…"
        )
    tls = parts.scheme == "mqtts"
    username = unquote(parts.username) if parts.username is not None else None
    password = unquote(parts.password) if parts.password is not None else None
    return Address(parts.hostname, port or (8883 if tls else 1883), tls, username, password)


@dataclass(frozen=True)
class Identity:
    """Who connects, and how."""

    address: Address
    client_id: str
    username: str | None
    password: str | None
    tls: ssl.SSLContext | None
    clean_session: bool

    def client(self, will: LastWill | None) -> paho.Client:
        """A fresh paho client, not connected."""
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.client_id,
            clean_session=self.clean_session,
            protocol=paho.MQTTv311,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(0)
        client.suppress_exceptions = True
        if self.username is not None:
            client.username_pw_set(self.username, self.password)
        if self.tls is not None:
            client.tls_set_context(self.tls)
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1, retain=will.retain)
        return client


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that waits for the socket."""

    topic: str
    payload: bytes
    qos: int
    retain: bool

    @property
    def size(self) -> int:
        return len(self.payload) + len(self.topic) + 4


class Outbox:
    """Messages that wait, urgent ones in front, within a bound in bytes (twice that for urgent ones)."""

    def __init__(self, most_bytes: int) -> None:
        self.waiting_bytes = 0
        self._most_bytes = most_bytes
        self._urgent: deque[Outgoing] = deque()
        self._ordinary: deque[Outgoing] = deque()

    def put(self, message: Outgoing, *, urgent: bool) -> bool:
        """False where there is no room. One message always has room in an empty box."""
        limit = self._most_bytes * (2 if urgent else 1)
        if self.waiting_bytes and self.waiting_bytes + message.size > limit:
            return False
        (self._urgent if urgent else self._ordinary).append(message)
        self.waiting_bytes += message.size
        return True

    def take(self) -> Outgoing | None:
        queue = self._urgent or self._ordinary
        if not queue:
            return None
        message = queue.popleft()
        self.waiting_bytes -= message.size
        return message

    def clear(self) -> None:
        self._urgent.clear()
        self._ordinary.clear()
        self.waiting_bytes = 0


def in_packets(topics: Iterable[str]) -> list[list[str]]:
    """Topics in the portions that one SUBSCRIBE carries."""
    ordered = sorted(topics)
    return [ordered[at : at + _TOPICS_A_PACKET] for at in range(0, len(ordered), _TOPICS_A_PACKET)]


def tune(sock: Any, keepalive_s: float) -> None:
    """Small messages at once, little unsent in the kernel, and a dead peer noticed. Best effort."""
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        options.append((socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_IN_KERNEL_BYTES))
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        options.append((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(keepalive_s * 1500)))
    for level, name, value in options:
        try:
            sock.setsockopt(level, name, value)
        except OSError as error:
            _log.debug("socket option %s: %s", name, error)


def close_client(client: paho.Client, *, orderly: bool) -> None:
    """DISCONNECT where the broker still listens, so that it does not publish the will; then close."""
    try:
        if orderly:
            client.disconnect()
            client.loop_write()
        client._sock_close()  # paho offers no other way to let go of a socket
    except Exception as error:  # noqa: BLE001 - closing must not fail
        _log.debug("closing: %s", error)


def abandon(client: paho.Client, done: "Future[Any]") -> None:
    if done.exception() is None:
        close_client(client, orderly=False)
