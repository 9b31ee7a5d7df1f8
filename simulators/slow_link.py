"""A bad road for TCP: a relay in user space with a rate, a delay each way, loss as TCP shows it, and cuts.

A lost packet is never seen above TCP: what follows waits until it was sent again, and the rate stays low meanwhile. So
loss is a stall of everything behind it, for one round trip, or for a retransmission timeout where its repeat is lost
as well; and a rate of at most MSS / round trip × 1.22 / √loss (Mathis et al. 1997).

Buffers are kept small, so that a queue in front of the slow road backs up to the sender, as it does on a real one.
"""

import asyncio
import math
import random
import socket
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass

from loa.clock import Clock

_SOCKET_BUFFER_BYTES = 4096
_CHUNK_BYTES = 512
_PACKET_BYTES = 1460
_LEAST_TIMEOUT_S = 0.2
_LONGEST_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Profile:
    """How a road is. rate: bytes a second each way; delay_s each way; loss: of packets, 0 to 1."""

    rate: float | None
    delay_s: float
    loss: float = 0.0

    @property
    def tcp_rate(self) -> float | None:
        """What one connection gets of it at best."""
        if not self.loss or not self.delay_s:
            return self.rate
        mathis = _PACKET_BYTES / (2 * self.delay_s) * 1.22 / math.sqrt(self.loss)
        return mathis if self.rate is None else min(self.rate, mathis)


SATELLITE = Profile(rate=64_000, delay_s=0.3)
"""A geostationary satellite: 600 ms there and back."""
FAR_COMMUNE = Profile(rate=32_000, delay_s=0.2)
"""A full cell at the edge of the network: 32 kB/s, 400 ms there and back."""
LOSSY_ISLAND = Profile(rate=64_000, delay_s=0.1, loss=0.02)
"""A radio link over the sea that loses one packet in fifty."""


class SlowLink:
    """Listens on `port` of 127.0.0.1 and carries every connection to (host, to_port).

    rate: bytes a second each way, shared by all connections; none for unlimited. delay_s each way. loss: how likely a
    packet is lost, drawn from `seed`.
    """

    def __init__(
        self,
        clock: Clock,
        host: str,
        to_port: int,
        *,
        rate: float | None,
        delay_s: float = 0.0,
        loss: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.port = 0
        self.loss = loss
        self.stalls = 0
        """Packets lost so far."""
        self._dice = random.Random(seed)
        self.rate = rate
        self.delay_s = delay_s
        self.carried_down = 0
        """Bytes towards the client that connected here."""
        self.carried_up = 0
        self._clock = clock
        self._target = (host, to_port)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._free_s = {"up": 0.0, "down": 0.0}
        self._tasks: set[asyncio.Task[None]] = set()
        self._cut = False

    @classmethod
    def like(cls, profile: Profile, clock: Clock, host: str, to_port: int, *, seed: int = 0) -> "SlowLink":
        """A road of this kind."""
        return cls(clock, host, to_port, rate=profile.tcp_rate, delay_s=profile.delay_s, loss=profile.loss, seed=seed)

    async def start(self) -> None:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _keep_small(listening)
        listening.bind(("127.0.0.1", 0))
        self.port = int(listening.getsockname()[1])
        self._server = await asyncio.start_server(self._accept, sock=listening, limit=_SOCKET_BUFFER_BYTES)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self._drop_all()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Close all connections and take no new ones."""
        self._cut = True
        self._drop_all()

    def heal(self) -> None:
        self._cut = False

    def _drop_all(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()
        self._writers.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.transport.abort()
            return
        far = socket.socket()
        _keep_small(far)
        far.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(far, self._target)
        except OSError:
            far.close()
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection(sock=far, limit=_SOCKET_BUFFER_BYTES)
        for one in (writer, far_writer):
            one.transport.set_write_buffer_limits(high=_CHUNK_BYTES)
            self._writers.add(one)
        self._begin(self._carry("up", reader, far_writer))
        self._begin(self._carry("down", far_reader, writer))

    def _begin(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, way: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take bytes at the rate, hand them on after the delay; what is under way is not bounded, as on a long road."""
        under_way: deque[tuple[float, bytes]] = deque()
        more = asyncio.Event()
        hand_on = asyncio.ensure_future(self._hand_on(under_way, more, writer))
        try:
            while data := await reader.read(_CHUNK_BYTES):
                now_s = self._clock.monotonic_s()
                if self.rate is not None:
                    self._free_s[way] = max(self._free_s[way], now_s) + len(data) / self.rate
                    await self._clock.sleep(self._free_s[way] - now_s)
                if way == "down":
                    self.carried_down += len(data)
                else:
                    self.carried_up += len(data)
                under_way.append((self._clock.monotonic_s() + self.delay_s + self._stall_s(len(data)), data))
                more.set()
        except OSError:
            pass
        finally:
            hand_on.cancel()
            await asyncio.gather(hand_on, return_exceptions=True)
            writer.transport.abort()
            self._writers.discard(writer)

    def _stall_s(self, length: int) -> float:
        """How much later this arrives for packets lost. What is behind it waits too, since it is handed on in order."""
        stall_s, timeout_s = 0.0, max(_LEAST_TIMEOUT_S, 4 * self.delay_s)
        if self.loss and self._dice.random() < self.loss * length / _PACKET_BYTES:
            self.stalls += 1
            stall_s = 2 * self.delay_s
            while self._dice.random() < self.loss:
                stall_s, timeout_s = stall_s + timeout_s, min(_LONGEST_TIMEOUT_S, 2 * timeout_s)
        return stall_s

    async def _hand_on(
        self, under_way: "deque[tuple[float, bytes]]", more: asyncio.Event, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            while not under_way:
                more.clear()
                await more.wait()
            due_s, data = under_way.popleft()
            await self._clock.sleep(due_s - self._clock.monotonic_s())
            writer.write(data)
            await writer.drain()


def _keep_small(sock: socket.socket) -> None:
    for name in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        sock.setsockopt(socket.SOL_SOCKET, name, _SOCKET_BUFFER_BYTES)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
