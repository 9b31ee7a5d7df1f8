"""The MQTT link: paho driven from the event loop, without a thread of its own, so that hundreds run in one process.

Each connection gets a fresh paho client: nothing of a lost connection is replayed by surprise, since what must arrive
is sent again above this port until the other end confirms it.
"""

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import paho.mqtt.client as paho

from devices.links.mqtt_parts import Identity, Outbox, Outgoing, abandon, close_client, in_packets, read_url, tune
from devices.links.port import Delivery, LastWill, LinkListener
from loa.clock import Bell, Clock
from loa.entropy import Entropy, fraction
from loa.units import BytesPerSecond

_log = logging.getLogger("loa.links.mqtt")
_connecting = ThreadPoolExecutor(max_workers=8, thread_name_prefix="mqtt-connect")
"""Name look-up, TCP and TLS handshake block; they take turns here."""

MAX_UNCONFIRMED = 5_000
SUBSCRIBED_WITHIN_S = 20.0
_PACKETS_A_TURN = 32


class MqttLink:
    """A Link to an MQTT 3.1.1 broker.

    tls: a context of one's own; the system's roots are used for ``mqtts://`` without one. keepalive_s: a half-open
    connection is given up within 1.5 × this. backoff_s: the shortest and longest wait before connecting again.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        clock: Clock,
        entropy: Entropy,
        *,
        username: str | None = None,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
        clean_session: bool = True,
        keepalive_s: float = 30.0,
        backoff_s: tuple[float, float] = (1.0, 30.0),
        max_queued_bytes: int = 1024 * 1024,
    ) -> None:
        address = read_url(url)
        self._identity = Identity(
            address,
            client_id,
            username if username is not None else address.username,
            password if password is not None else address.password,
            tls if tls is not None else ssl.create_default_context() if address.tls else None,
            clean_session,
        )
        self._client_id = client_id
        self._clock = clock
        self._entropy = entropy
        self._keepalive_s = keepalive_s
        self._backoff_s = backoff_s
        self._listener: LinkListener | None = None
        self._run: asyncio.Task[None] | None = None
        self._topics: frozenset[str] = frozenset()
        self._will: LastWill | None = None
        self._client: paho.Client | None = None
        self._connected = False
        self._up = False
        self._awaited: set[int] = set()
        self._held: list[Delivery] = []
        self._heard: deque[Callable[[], None]] = deque()
        self._outbox = Outbox(max_queued_bytes)
        self._unconfirmed: set[int] = set()
        self._drain_waiters: list[asyncio.Future[None]] = []
        self._lost = Bell()
        self._was_up = False
        self._progress = False
        self.last_error: str | None = None
        """Why the last connection ended or could not be made, in English."""

    # The port.

    async def start(self, listener: LinkListener) -> None:
        if self._run is not None:
            raise RuntimeError("a link is started once")
        self._listener = listener
        self._run = asyncio.get_running_loop().create_task(self._keep_up(), name=f"link {self._client_id}")

    async def stop(self) -> None:
        self._listener = None
        if self._run is not None:
            self._run.cancel()
            await asyncio.gather(self._run, return_exceptions=True)
        self._close(orderly=True)

    def listen(self, topics: Iterable[str]) -> None:
        wanted = frozenset(topics)
        new, old = wanted - self._topics, self._topics - wanted
        self._topics = wanted
        if self._connected:
            self._subscribe(new)
            for part in in_packets(old):
                if self._client is not None:
                    self._client.unsubscribe(part)
            self._push()

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False, urgent: bool = False) -> bool:
        if not self._up or len(self._unconfirmed) >= MAX_UNCONFIRMED:
            return False
        if not self._outbox.put(Outgoing(topic, payload, qos, retain), urgent=urgent):
            return False
        self._push()
        return True

    async def drained(self, most_bytes: int = 16_384) -> None:
        while self._up and self._outbox.waiting_bytes > most_bytes:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._drain_waiters.append(waiter)
            await waiter

    def set_last_will(self, will: LastWill | None) -> None:
        self._will = will

    @property
    def is_up(self) -> bool:
        return self._up

    @property
    def nominal_rate(self) -> BytesPerSecond | None:
        return None

    @property
    def relays_streams(self) -> bool:
        return False

    # Connecting, and connecting again.

    async def _keep_up(self) -> None:
        failures = 0
        while True:
            self._lost.clear()
            connected_s = self._clock.monotonic_s()
            if await self._connect():
                await self._tend(connected_s)
                was_up = self._up or self._was_up
                self._close(orderly=False)
                if was_up:
                    self._tell("link_down", self.last_error or "connection lost")
                if was_up and self._clock.monotonic_s() - connected_s > 10.0:
                    failures = 0
            shortest, longest = self._backoff_s
            wait_s = min(longest, shortest * 2 ** min(failures, 10))
            failures += 1
            _log.info("%s: %s; again in at most %.1f s", self._client_id, self.last_error, wait_s)
            await self._clock.sleep(wait_s * (0.5 + 0.5 * fraction(self._entropy)))

    async def _connect(self) -> bool:
        """TCP, TLS and CONNECT sent, or False with `last_error` set."""
        self._was_up = False
        client = self._identity.client(self._will)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        address = self._identity.address
        keepalive = max(1, round(self._keepalive_s * 0.75))  # paho gives up after two of these
        pending = _connecting.submit(client.connect, address.host, address.port, keepalive)
        try:
            await asyncio.wrap_future(pending)
        except asyncio.CancelledError:
            pending.add_done_callback(lambda done: abandon(client, done))
            raise
        except (OSError, ValueError) as error:
            self.last_error = f"{type(error).__name__}: {error}"
            return False
        sock = client.socket()
        if sock is None:
            self.last_error = "closed while connecting"
            return False
        self._client = client
        tune(sock, self._keepalive_s)
        self._hook(client, sock)
        return True

    def _hook(self, client: paho.Client, sock: Any) -> None:
        """From here on the event loop reads and writes for paho."""
        loop = asyncio.get_running_loop()

        def on_close(_client: object, _data: object, closing: Any) -> None:
            loop.remove_reader(closing)
            loop.remove_writer(closing)

        def on_want(_client: object, _data: object, waiting: Any) -> None:
            loop.add_writer(waiting, self._writable)

        def on_want_no_more(_client: object, _data: object, written: Any) -> None:
            loop.remove_writer(written)

        client.on_socket_close = on_close
        client.on_socket_register_write = on_want
        client.on_socket_unregister_write = on_want_no_more
        loop.add_reader(sock, self._readable)
        if client.want_write():
            loop.add_writer(sock, self._writable)

    async def _tend(self, connected_s: float) -> None:
        """Until the connection is lost: pings, and the limits on how long things may take."""
        tick_s = min(5.0, max(0.1, self._keepalive_s / 8))
        while not self._lost.is_set():
            lost = await self._lost.rings_within(self._clock, tick_s)
            if self._client is not None and not lost:
                self._guarded(self._client.loop_misc)
                if not self._up and self._clock.monotonic_s() - connected_s > SUBSCRIBED_WITHIN_S:
                    self._lose("the broker does not answer")

    def _lose(self, reason: str) -> None:
        """The connection is of no more use; `_keep_up` takes it apart."""
        if not self._lost.is_set():
            self.last_error = reason
            self._was_up = self._was_up or self._up
            self._up = self._connected = False
            self._lost.set()
            self._wake_drained()

    def _close(self, *, orderly: bool) -> None:
        client, self._client = self._client, None
        was_connected = self._connected
        self._up = self._connected = False
        self._outbox.clear()
        self._unconfirmed.clear()
        self._awaited.clear()
        self._held.clear()
        self._heard.clear()
        self._wake_drained()
        if client is not None:
            close_client(client, orderly=orderly and was_connected)

    # Bytes.

    def _guarded(self, step: Callable[[], object]) -> None:
        """Whatever a broker sends or a callback raises costs this connection at most."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - paho raises what it likes on what it did not expect
            _log.warning("%s: %s: %s", self._client_id, type(error).__name__, error)
            self._lose(f"{type(error).__name__}: {error}")

    def _readable(self) -> None:
        client = self._client
        for _ in range(_PACKETS_A_TURN):
            if client is None or self._lost.is_set():
                return
            self._progress = False
            self._guarded(client.loop_read)
            self._settle()
            sock = client.socket()
            if not self._progress and not (isinstance(sock, ssl.SSLSocket) and sock.pending()):
                break
        self._push()

    def _settle(self) -> None:
        """Act on what paho said, outside its callbacks: inside them its locks are held, and publishing would hang."""
        while self._heard and not self._lost.is_set():
            self._guarded(self._heard.popleft())

    def _writable(self) -> None:
        if self._client is not None:
            self._guarded(self._client.loop_write)
            self._push()

    def _push(self) -> None:
        """Hand messages to paho one by one, urgent ones first, as long as the socket takes them."""
        client = self._client
        while client is not None and not self._lost.is_set() and not client.want_write():
            message = self._outbox.take()
            if message is None:
                break
            self._guarded(lambda client=client, message=message: self._hand_over(client, message))  # type: ignore[misc]
        self._wake_drained()

    def _hand_over(self, client: paho.Client, message: Outgoing) -> None:
        info = client.publish(message.topic, message.payload, message.qos, message.retain)
        if message.qos:
            self._unconfirmed.add(info.mid)
        client.loop_write()

    def _wake_drained(self) -> None:
        waiters, self._drain_waiters = self._drain_waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _subscribe(self, topics: Iterable[str]) -> None:
        client = self._client
        if client is None:
            return
        for part in in_packets(topics):
            _, mid = client.subscribe([(topic, 1) for topic in part])
            if mid is not None and not self._up:
                self._awaited.add(mid)

    # What paho says. These run inside paho's locks.

    def _on_connect(self, client: paho.Client, _data: object, _flags: object, code: Any, _properties: object) -> None:
        self._progress = True
        if client is not self._client:
            return
        if code.is_failure:  # at once: paho says next that the connection is lost, and that would be the reason
            self._lose(f"refused by the broker: {code}")
        self._heard.append(self._accepted)

    def _on_subscribe(
        self, client: paho.Client, _data: object, mid: int, codes: list[Any], _properties: object
    ) -> None:
        self._progress = True
        if client is self._client:
            self._heard.append(lambda: self._subscribed(mid, codes))

    def _on_disconnect(
        self, client: paho.Client, _data: object, _flags: object, code: Any, _properties: object
    ) -> None:
        self._progress = True
        if client is self._client:
            self._lose(f"connection lost: {code}")

    def _on_publish(self, _client: object, _data: object, mid: int, _code: object, _properties: object) -> None:
        self._progress = True
        self._unconfirmed.discard(mid)

    def _on_message(self, client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        self._progress = True
        if client is self._client:
            delivery = Delivery(message.topic, bytes(message.payload), retained=bool(message.retain))
            self._heard.append(lambda: self._arrived(delivery))

    # What follows from it.

    def _accepted(self) -> None:
        self._connected = True
        self._subscribe(self._topics)
        if not self._awaited:
            self._come_up()

    def _subscribed(self, mid: int, codes: list[Any]) -> None:
        if any(code.is_failure for code in codes):
            self._lose("the broker refused a subscription")
            return
        self._awaited.discard(mid)
        if not self._up and self._connected and not self._awaited:
            self._come_up()

    def _arrived(self, delivery: Delivery) -> None:
        if self._up:
            self._tell("delivered", delivery)
        else:
            self._held.append(delivery)

    def _come_up(self) -> None:
        self._up = True
        self.last_error = None
        self._tell("link_up")
        held, self._held = self._held, []
        for delivery in held:
            self._tell("delivered", delivery)

    def _tell(self, what: str, *arguments: object) -> None:
        """A listener that raises is logged; the link goes on."""
        if self._listener is None:
            return
        try:
            getattr(self._listener, what)(*arguments)
        except Exception:  # noqa: BLE001 - logged with its trace; nothing of it may reach paho
            _log.exception("%s: the listener failed in %s", self._client_id, what)
