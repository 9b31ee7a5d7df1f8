"""The link of a wired node: a drop on a station's bus, silent until it is polled."""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from devices.links.loopback import topic_matches
from devices.links.port import Delivery, LastWill, LinkListener
from devices.links.serial_frames import BROADCAST, STATION, Frame, FrameErrors, FrameReader, Opcode, encode_frame
from devices.links.serial_messages import (
    BusMessage,
    Channel,
    Reassembly,
    fragments,
    listen_body,
    listen_mark,
    pack,
    unpack,
)
from devices.links.serial_port import OpenPort, Port, SerialPort
from loa.clock import Clock
from loa.errors import OperatorNeeded
from loa.units import BytesPerSecond, NodeId

_log = logging.getLogger("loa.links.serial")
MASTER_LOST_S = 2.0
"""Without a word from the station for this long the link is down."""
REOPEN_S = 2.0
_SAID_AGAIN_WITHIN_S = 2.0
MAX_QUEUED_BYTES = 64 * 1024
_FIRST = {Channel.TIME: 0, Channel.LISTEN: 0, Channel.PRESENCE: 1, Channel.RECEIPT: 1, Channel.WANT: 2}
_LOWEST = 3


class SerialLink:
    """A Link over a bus. `address` 1 to 254 is this node's on the bus, `node` its name on the wire.

    It is up while the station polls it, says that its own broker is connected, and has taken over what this node
    listens to. qos, retain and the last will mean nothing here: the station publishes what comes in.
    """

    def __init__(
        self,
        port_path: str,
        baud: int,
        address: int,
        node: NodeId,
        clock: Clock,
        *,
        open_port: OpenPort = SerialPort,
        master_lost_s: float = MASTER_LOST_S,
    ) -> None:
        """master_lost_s: longer only where the station polls less often than it does by itself."""
        if not 1 <= address < STATION:
            raise ValueError("a node's address is 1 to 254")
        self._path, self._baud, self._address, self._node = port_path, baud, address, node
        self._clock = clock
        self._listener: LinkListener | None = None
        self._run: asyncio.Task[None] | None = None
        self._port: Port | None = None
        self._open_port, self._master_lost_s = open_port, master_lost_s
        self._lost = asyncio.Event()
        self._reader = FrameReader()
        self._assembly = Reassembly()
        self._topics: frozenset[str] = frozenset()
        self._queues: list[deque[Frame]] = [deque() for _ in range(_LOWEST + 1)]
        self._queued_bytes = 0
        self._number = 0
        self._held: deque[Delivery] = deque(maxlen=64)
        self._orders: deque[tuple[float, bytes]] = deque(maxlen=16)
        self._up = False
        self._listen_due_s = 0.0
        self._heard_s = 0.0
        self._drain_waiters: list[asyncio.Future[None]] = []

    async def start(self, listener: LinkListener) -> None:
        if self._run is not None:
            raise RuntimeError("a link is started once")
        self._listener = listener
        self._run = asyncio.get_running_loop().create_task(self._keep_open(), name=f"bus drop {self._address}")

    async def stop(self) -> None:
        self._listener = None
        if self._run is not None:
            self._run.cancel()
            await asyncio.gather(self._run, return_exceptions=True)
        self._down("stopped")
        if self._port is not None:
            self._port.close()

    def listen(self, topics: Iterable[str]) -> None:
        wanted = frozenset(topics)
        if wanted != self._topics:
            self._topics = wanted
            self._listen_due_s = 0.0

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False, urgent: bool = False) -> bool:  # noqa: ARG002
        if not self._up or self._queued_bytes + len(payload) > MAX_QUEUED_BYTES * (2 if urgent else 1):
            return False
        message = pack(topic, payload, retained=retain)
        if unpack(message.channel, message.body, self._node) != (topic, payload):
            return False  # another node's topic: on the bus it would go out as our own
        self._enqueue(message, 0 if urgent else _FIRST.get(message.channel, _LOWEST))
        return True

    async def drained(self, most_bytes: int = 16_384) -> None:
        while self._up and self._queued_bytes > most_bytes:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._drain_waiters.append(waiter)
            await waiter

    def set_last_will(self, will: LastWill | None) -> None:
        """Nothing on a bus publishes a will."""

    @property
    def is_up(self) -> bool:
        return self._up

    @property
    def nominal_rate(self) -> BytesPerSecond | None:
        return BytesPerSecond(self._baud / 10)

    @property
    def relays_streams(self) -> bool:
        return True

    @property
    def errors(self) -> FrameErrors:
        """Frames that noise or a stranger spoilt."""
        return self._reader.errors

    async def _keep_open(self) -> None:
        while True:
            self._lost.clear()
            try:
                self._port = self._open_port(self._path, self._baud, self._received, self._port_lost)
            except OperatorNeeded as error:
                _log.warning("%s: %s", self._node, error)
                await self._clock.sleep(REOPEN_S)
                continue
            while not self._lost.is_set():
                await self._clock.sleep(self._master_lost_s / 8)
                if self._up and self._clock.monotonic_s() - self._heard_s > self._master_lost_s:
                    self._down("the station is silent")
            await self._clock.sleep(REOPEN_S)

    def _port_lost(self, reason: str) -> None:
        self._lost.set()
        self._down(f"serial port: {reason}")

    def _received(self, data: bytes) -> None:
        for frame in self._reader.feed(data):
            if frame.source == STATION:
                self._heard_s = self._clock.monotonic_s()
                if frame.destination in (BROADCAST, self._address):
                    self._take(frame)

    def _take(self, frame: Frame) -> None:
        if frame.opcode is Opcode.POLL and frame.destination == self._address and len(frame.data) == 6:
            self._polled(frame.data[0], bool(frame.data[1]), frame.data[2:6])
        elif frame.opcode in (Opcode.DATA, Opcode.LAST):
            message = self._assembly.add(frame)
            if message is not None:
                self._deliver(message)

    def _deliver(self, message: BusMessage) -> None:
        named = unpack(message.channel, message.body, self._node)
        if named is None:
            return
        topic, payload = named
        if message.channel is Channel.LOCAL:  # wanted above all where there is no broker
            if not self._said_before(message):
                self._tell("delivered", Delivery(topic, payload, local=True))
            return
        if topic not in self._topics and not any(topic_matches(wanted, topic) for wanted in self._topics):
            return
        if message.channel in (Channel.AREA_ORDER, Channel.ORDER) and self._said_before(message):
            return
        delivery = Delivery(topic, payload, message.retained)
        if self._up:
            self._tell("delivered", delivery)
        else:  # what is retained may come before the poll that says that the station knows our topics
            self._held.append(delivery)

    def _said_before(self, message: BusMessage) -> bool:
        """A station says each order several times, since nobody confirms what is said to all."""
        now_s = self._clock.monotonic_s()
        while self._orders and self._orders[0][0] < now_s - _SAID_AGAIN_WITHIN_S:
            self._orders.popleft()
        if any(body == message.body for _, body in self._orders):
            return True
        self._orders.append((now_s, message.body))
        return False

    def _polled(self, grant: int, connected: bool, mark: bytes) -> None:
        """Our turn: up to `grant` frames, the last one marked; or a word that there is nothing."""
        known = mark == listen_mark(self._topics)
        now_s = self._clock.monotonic_s()
        if not known and now_s >= self._listen_due_s:
            self._listen_due_s = now_s + 1.5  # the station may still be putting the last one together
            self._enqueue(BusMessage(Channel.LISTEN, listen_body(self._topics)), 0)
        if not connected:
            self._down("the station has no broker")
        elif known and not self._up:
            self._up = True
            self._tell("link_up")
            while self._held:
                self._tell("delivered", self._held.popleft())
        self._answer(grant)

    def _answer(self, grant: int) -> None:
        turn: list[Frame] = []
        for queue in self._queues:
            while queue and len(turn) < grant:
                frame = queue.popleft()
                self._queued_bytes -= len(frame.data)
                turn.append(frame)
        if turn:
            turn[-1] = replace(turn[-1], opcode=Opcode.LAST)
        else:
            turn = [Frame(Opcode.DONE, STATION, self._address)]
        if self._port is not None:
            self._port.write(b"\x00" + b"".join(encode_frame(frame) for frame in turn))
        self._wake_drained()

    def _enqueue(self, message: BusMessage, priority: int) -> None:
        self._number = (self._number + 1) % 256
        frames = fragments(message, destination=STATION, source=self._address, number=self._number)
        self._queues[priority].extend(frames)
        self._queued_bytes += sum(len(frame.data) for frame in frames)

    def _down(self, reason: str) -> None:
        for queue in self._queues:
            queue.clear()
        self._queued_bytes = 0
        self._held.clear()
        self._listen_due_s = 0.0
        was_up, self._up = self._up, False
        self._wake_drained()
        if was_up:
            self._tell("link_down", reason)

    def _wake_drained(self) -> None:
        waiters, self._drain_waiters = self._drain_waiters, []
        for waiter in waiters:
            with suppress(asyncio.InvalidStateError):
                waiter.set_result(None)

    def _tell(self, what: str, *arguments: object) -> None:
        """A listener that raises is logged; the link goes on."""
        if self._listener is None:
            return
        try:
            getattr(self._listener, what)(*arguments)
        except Exception:  # noqa: BLE001 - logged with its trace; the bus must go on
            _log.exception("%s: the listener failed in %s", self._node, what)
