"""The station's side of its bus: the only master. It speaks when it likes and polls one node at a time.

An order waits for at most the frame that is being sent, one that waits in the port, and one node's turn.
"""

import asyncio
import logging
import math
from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from devices.links.serial_frames import STATION, Frame, FrameErrors, FrameReader, Opcode, encode_frame
from devices.links.serial_messages import NOTHING_KNOWN, BusMessage, Channel, Reassembly, fragments, listen_mark
from devices.links.serial_messages import read_listen as topics_of
from devices.links.serial_port import OpenPort, Port, SerialPort
from loa.clock import Bell, Clock
from loa.errors import OperatorNeeded
from loa.units import NodeId

_log = logging.getLogger("loa.station.bus")
MAX_AUDIO_BYTES = 4 * 1024 * 1024
MAX_OTHER_BYTES = 2 * 1024 * 1024
IDLE_POLL_S = 0.1
SLOWEST_POLL_S = 0.5
"""A node misses at least three polls before it takes the station for lost (`devices.links.serial.MASTER_LOST_S`)."""
BUSY_POLL_S = 1.0
EAGER_POLL_S = 0.2
ABSENT_POLL_S = 5.0
REPLY_WITHIN_S = 0.15
GAP_S = 0.1
REOPEN_S = 2.0
_ABSENT_AFTER = 4


class Urgency(IntEnum):
    """What goes first on the bus."""

    LOCAL = 0
    """Orders that were given here: whatever a broker brings, and however much, stands in nobody's way here."""
    ORDER = 1
    """Orders, and replies in the exchange of clocks."""
    CTL = 2
    DOCUMENT = 3
    EMERGENCY_AUDIO = 4
    ASKED = 5
    STREAM = 6

    @property
    def is_audio(self) -> bool:
        return self >= Urgency.EMERGENCY_AUDIO


@dataclass(slots=True)
class Drop:
    """A wired node as the station knows it."""

    address: int
    node: NodeId
    listens: frozenset[str] = frozenset()
    mark: bytes = NOTHING_KNOWN
    poll_at_s: float = 0.0
    unanswered: int = 0
    eager: bool = False
    """It used its last turn, so it may have more."""
    assembly: Reassembly = field(default_factory=Reassembly)

    @property
    def present(self) -> bool:
        return self.unanswered < _ABSENT_AFTER


class BusListener(Protocol):
    """Told what nodes say."""

    def heard(self, drop: Drop, message: BusMessage) -> None: ...

    def listens_changed(self, drop: Drop, before: frozenset[str]) -> None: ...


class BusMaster:
    """Polls drops and sends them messages, fragment by fragment, the most urgent first."""

    def __init__(
        self,
        port_path: str,
        baud: int,
        drops: list[Drop],
        clock: Clock,
        listener: BusListener,
        *,
        open_port: OpenPort = SerialPort,
        slowest_poll_s: float = SLOWEST_POLL_S,
    ) -> None:
        """slowest_poll_s: how rarely nodes are polled once nothing has been said for long."""
        self.drops = {drop.address: drop for drop in drops}
        self.uplink = False
        """Whether the broker is connected; every poll tells it."""
        self.strangers = 0
        """Frames of another master, or of an address that is not configured."""
        self.dropped = 0
        """Messages for which there was no room."""
        self._path, self._rate = port_path, baud / 10
        self._clock = clock
        self._listener = listener
        self._port: Port | None = None
        self._open_port, self._slowest_poll_s = open_port, slowest_poll_s
        self._said_s = clock.monotonic_s()
        """When anything but polls and answers of nothing was last on the bus."""
        self._reader = FrameReader()
        self._queues: list[deque[deque[Frame]]] = [deque() for _ in Urgency]
        self._queued: list[int] = [0] * len(Urgency)
        self._number = 0
        self._free_s = 0.0
        self._work = Bell()
        self._lost = asyncio.Event()
        self._turn_of: int | None = None
        self._turn_over = Bell()
        self._heard_s = 0.0
        self._run: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._run = asyncio.get_running_loop().create_task(self._keep_open(), name="station bus")

    async def stop(self) -> None:
        if self._run is not None:
            self._run.cancel()
            await asyncio.gather(self._run, return_exceptions=True)
        if self._port is not None:
            self._port.close()

    @property
    def errors(self) -> FrameErrors:
        return self._reader.errors

    @property
    def audio_bytes(self) -> int:
        """Audio that waits for the bus."""
        return sum(self._queued[urgency] for urgency in Urgency if urgency.is_audio)

    def send(self, destination: int, message: BusMessage, urgency: Urgency) -> bool:
        """Put a message in line. False where there is no room; emergency audio drives ordinary audio out."""
        size = len(message.body)
        if urgency.is_audio:
            if urgency is Urgency.EMERGENCY_AUDIO:
                self._drive_out(size)
            fits = self.audio_bytes + size <= MAX_AUDIO_BYTES
        else:
            # What is less urgent takes no room from this.
            fits = sum(self._queued[: urgency + 1]) + size <= MAX_OTHER_BYTES
        if not fits:
            self.dropped += 1
            return False
        self._number = (self._number + 1) % 256
        frames = deque(fragments(message, destination=destination, source=STATION, number=self._number))
        self._queues[urgency].append(frames)
        self._queued[urgency] += sum(len(frame.data) for frame in frames)
        self.poll_soon()
        return True

    def poll_soon(self) -> None:
        """Something is new: whoever was polled rarely is polled as usual again."""
        self._said_s = self._clock.monotonic_s()
        soon_s = self._said_s + BUSY_POLL_S  # never sooner than a busy bus would: polls cost audio
        for drop in self.drops.values():
            if drop.present:
                drop.poll_at_s = min(drop.poll_at_s, soon_s)
        self._work.set()

    def poll_next(self, address: int) -> None:
        """One that answers is known to have something to say: its turn comes next."""
        drop = self.drops.get(address)
        if drop is not None and drop.present:
            drop.poll_at_s = min(drop.poll_at_s, self._clock.monotonic_s())
            self._work.set()

    def forget_audio(self) -> None:
        """The broker is gone: what is in line is asked for again when it is back."""
        for urgency in Urgency:
            if urgency.is_audio:
                self._queues[urgency].clear()
                self._queued[urgency] = 0

    def _drive_out(self, size: int) -> None:
        for urgency in (Urgency.STREAM, Urgency.ASKED):
            while self._queues[urgency] and self.audio_bytes + size > MAX_AUDIO_BYTES:
                frames = self._queues[urgency].pop()
                self._queued[urgency] -= sum(len(frame.data) for frame in frames)
                self.dropped += 1

    # The bus.

    async def _keep_open(self) -> None:
        while True:
            self._lost.clear()
            try:
                self._port = self._open_port(self._path, int(self._rate * 10), self._received, self._port_lost)
            except OperatorNeeded as error:
                _log.warning("%s", error)
            else:
                _log.info("bus %s open", self._path)
                while not self._lost.is_set():
                    await self._step()
            await self._clock.sleep(REOPEN_S)

    def _port_lost(self, reason: str) -> None:
        _log.error("the bus's port is gone: %s", reason)
        self._lost.set()
        self._turn_over.set()
        self._work.set()

    async def _step(self) -> None:
        """One frame, one node's turn, or a wait for work."""
        now_s = self._clock.monotonic_s()
        drop = min(self.drops.values(), key=lambda one: one.poll_at_s, default=None)
        if drop is not None and drop.poll_at_s <= now_s and not any(self._queues[: Urgency.CTL]):
            await self._poll(drop)
            return
        frame = self._next_frame()
        if frame is not None:
            await self._transmit(frame)
            return
        self._work.clear()
        wait_s = 1.0 if drop is None else max(0.0, drop.poll_at_s - now_s)
        await self._work.rings_within(self._clock, wait_s)

    def _next_frame(self) -> Frame | None:
        for urgency, queue in zip(Urgency, self._queues, strict=True):
            if queue:
                frames = queue[0]
                frame = frames.popleft()
                self._queued[urgency] -= len(frame.data)
                if not frames:
                    queue.popleft()
                return frame
        return None

    async def _transmit(self, frame: Frame) -> None:
        """Write it when at most one other frame still waits in the port."""
        data = encode_frame(frame)
        now_s = self._clock.monotonic_s()
        if self._free_s < now_s:
            data = b"\x00" + data  # whatever noise came in the silence ends here
        self._free_s = max(self._free_s, now_s) + len(data) / self._rate
        if self._port is not None:
            self._port.write(data)
        ahead_s = self._free_s - now_s - 256 / self._rate
        if ahead_s > 0:
            await self._clock.sleep(ahead_s)

    async def _poll(self, drop: Drop) -> None:
        busy = any(self._queues)
        grant = 4 if busy else 8
        data = bytes([grant, int(self.uplink)]) + drop.mark
        self._turn_of = drop.address
        self._turn_over.clear()
        self._heard_s = 0.0
        unanswered_before = drop.unanswered
        drop.unanswered += 1
        drop.poll_at_s = math.inf  # unless somebody asks for its next turn while it has this one
        drop.eager = False  # whoever falls silent in the middle of its words has no more of them
        await self._transmit(Frame(Opcode.POLL, drop.address, STATION, data=data))
        while not self._turn_over.is_set():
            now_s = self._clock.monotonic_s()
            until_s = max(self._free_s + REPLY_WITHIN_S, self._heard_s + GAP_S)
            if now_s >= until_s:
                break
            await self._turn_over.rings_within(self._clock, until_s - now_s)
        self._turn_of = None
        if unanswered_before >= _ABSENT_AFTER and not drop.unanswered:
            _log.info("node %s answers again", drop.node)
        elif drop.unanswered == _ABSENT_AFTER:
            _log.warning("node %s at address %d does not answer", drop.node, drop.address)
        self._free_s = self._clock.monotonic_s()
        drop.poll_at_s = min(drop.poll_at_s, self._free_s + self._poll_again_s(drop, any(self._queues)))

    def _poll_again_s(self, drop: Drop, busy: bool) -> float:
        if drop.eager:
            return EAGER_POLL_S if busy else 0.0
        if not drop.present:
            return max(ABSENT_POLL_S, self._slowest_poll_s)
        if busy:
            return BUSY_POLL_S
        if drop.unanswered:
            return IDLE_POLL_S  # noise, most likely: asked again before it misses us
        quiet_s = self._clock.monotonic_s() - self._said_s
        return max(IDLE_POLL_S, 0.025 * len(self.drops), min(self._slowest_poll_s, quiet_s))

    def _received(self, data: bytes) -> None:
        self._heard_s = self._clock.monotonic_s()
        for frame in self._reader.feed(data):
            drop = self.drops.get(frame.source)
            if frame.source == STATION or drop is None:
                self.strangers += 1
                if self.strangers in (1, 10, 100, 1000):
                    _log.error("address %d speaks on the bus: not one of ours, or a second station", frame.source)
                continue
            drop.unanswered = 0
            drop.eager = frame.opcode is Opcode.LAST
            if frame.opcode in (Opcode.DATA, Opcode.LAST):
                self._said_s = self._heard_s
                self._take(drop, frame)
            if frame.opcode in (Opcode.LAST, Opcode.DONE) and self._turn_of == drop.address:
                self._turn_over.set()

    def _take(self, drop: Drop, frame: Frame) -> None:
        message = drop.assembly.add(frame)
        if message is None:
            return
        if message.channel is not Channel.LISTEN:
            self._listener.heard(drop, message)
            return
        before, drop.listens = drop.listens, topics_of(message.body)
        drop.mark = listen_mark(drop.listens)
        drop.eager = True
        self._listener.listens_changed(drop, before)
