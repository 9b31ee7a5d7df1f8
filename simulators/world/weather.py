"""Links with weather: rate, delay, jitter, duplication, cuts with and without a word, and a broker that forgets.

What TCP promises within a connection holds here too: bytes arrive in order and whole, or the connection ends. What it
does not promise is taken away: what was under way when a connection ended may or may not have arrived, what QoS 1 sends
again arrives twice, and a half-open connection swallows everything until somebody notices.
"""

import asyncio
import contextlib
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass

from devices.links.loopback import LoopbackBroker, LoopbackLink
from devices.links.port import Delivery, LinkListener
from loa.units import BytesPerSecond
from simulators.world.boxes import PowerCut
from simulators.world.chance import Chance

HEADER_BYTES = 60
"""TCP, IP and MQTT around a small message."""
HALF_OPEN_NOTICED_S = 90.0
"""A keepalive of 60 s, unanswered for half as long again."""


@dataclass(frozen=True)
class Weather:
    """How a link is. Rates in bytes a second, each way; delays in seconds one way."""

    rate: float = 1_000_000.0
    delay_up_s: float = 0.05
    delay_down_s: float = 0.05
    jitter_s: float = 0.0
    duplicate: float = 0.0
    """Share of messages that arrive twice."""
    lost: float = 0.0
    """Share of QoS 0 messages that never arrive (a full queue at the broker drops them)."""
    backlog_bytes: float = 512_000.0
    """More than this waiting at the broker is dropped, newest first, as mosquitto does."""


CALM = Weather()


class _Way:
    """One direction of a link: a pipe with a rate, a delay and an order that holds."""

    def __init__(self) -> None:
        self.free_at_s = 0.0
        self.last_arrival_s = 0.0

    def arrival_s(self, now_s: float, size: int, rate: float, delay_s: float) -> float:
        self.free_at_s = max(now_s, self.free_at_s) + (size + HEADER_BYTES) / rate
        # Jitter cannot overtake: within a connection TCP hands over in order.
        self.last_arrival_s = max(self.last_arrival_s, self.free_at_s + delay_s)
        return self.last_arrival_s

    def backlog_bytes(self, now_s: float, rate: float) -> float:
        return max(0.0, self.free_at_s - now_s) * rate


class _InItsName:
    """What a link tells its listener happens in the name of the process that started it, whoever caused it."""

    def __init__(self, listener: LinkListener) -> None:
        self._listener = listener
        self._context = copy_context()

    def link_up(self) -> None:
        with contextlib.suppress(PowerCut):  # the rest of the world goes on
            self._context.copy().run(self._listener.link_up)

    def link_down(self, reason: str) -> None:
        with contextlib.suppress(PowerCut):
            self._context.copy().run(self._listener.link_down, reason)

    def delivered(self, delivery: Delivery) -> None:
        with contextlib.suppress(PowerCut):
            self._context.copy().run(self._listener.delivered, delivery)


class WeatherLink(LoopbackLink):
    """A Link through weather. Must be used on a virtual (or any) running loop."""

    def __init__(
        self,
        broker: LoopbackBroker,
        chance: Chance,
        weather: Weather = CALM,
        *,
        nominal_rate: BytesPerSecond | None = None,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(broker, nominal_rate=nominal_rate)
        self.weather = weather
        self._random = chance.random
        self._told = told
        self._connection = 0
        self._up_way, self._down_way = _Way(), _Way()
        self._half_open = False
        self.dead = False
        """Its process was killed: nothing goes out or comes in, and nobody is told."""
        self.reach_changed: Callable[[bool], None] = lambda _up: None
        """Told when the link truly comes up or goes down, half-open counting as down."""
        self._severed = False
        self.muted = False
        """What it sends is lost on the way, and what is sent to it arrives."""
        self.bytes_up = self.bytes_down = self.dropped = 0

    # Sending

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False, urgent: bool = False) -> bool:  # noqa: ARG002
        if self.dead or not self.is_up:
            return False
        self.bytes_up += len(payload)
        if self._half_open or self.muted or (qos == 0 and self._random.random() < self.weather.lost):
            return True
        times = 2 if qos and self._random.random() < self.weather.duplicate else 1
        for _ in range(times):
            self._later(self._up_way, len(payload), self.weather.delay_up_s, self._arrive_there, topic, payload, retain)
        return True

    def _arrive_there(self, connection: int, topic: str, payload: bytes, retain: bool) -> None:
        # A dead process's last words are already on their way; those of a cut connection were lost with it.
        if connection == self._connection or self.dead:
            self._broker.publish(topic, payload, retain=retain)

    # Receiving

    def receive(self, delivery: Delivery) -> None:
        if self.dead or self._half_open:
            return
        now_s = asyncio.get_running_loop().time()
        waiting = self._down_way.backlog_bytes(now_s, self.weather.rate)
        if waiting > self.weather.backlog_bytes or self._random.random() < self.weather.lost:
            self.dropped += 1
            return
        times = 2 if self._random.random() < self.weather.duplicate else 1
        for _ in range(times):
            self._later(self._down_way, len(delivery.payload), self.weather.delay_down_s, self._arrive_here, delivery)

    def _arrive_here(self, connection: int, delivery: Delivery) -> None:
        if connection == self._connection and not self.dead and self.is_up and self._listener is not None:
            self.bytes_down += len(delivery.payload)
            self._listener.delivered(delivery)

    def _later(self, way: _Way, size: int, delay_s: float, act: Callable[..., None], *what: object) -> None:
        loop = asyncio.get_running_loop()
        jitter_s = self._random.random() * self.weather.jitter_s
        at_s = way.arrival_s(loop.time(), size, self.weather.rate, delay_s + jitter_s)
        loop.call_at(at_s, act, self._connection, *what)

    async def drained(self, most_bytes: int = 16_384) -> None:
        """Until no more than that waits to go out."""
        loop = asyncio.get_running_loop()
        while self.is_up and not self.dead:
            over = self._up_way.backlog_bytes(loop.time(), self.weather.rate) - most_bytes
            if over <= 0:
                break
            await asyncio.sleep(over / self.weather.rate + 0.001)  # noqa: TID251 - virtual time
        await asyncio.sleep(0)  # noqa: TID251 - lets others run

    # Weather

    def _connect(self) -> None:
        if self._severed:
            return
        was_up = self.is_up
        super()._connect()
        if self.is_up and not was_up:
            self.reach_changed(True)

    def drop(self, reason: str = "cut") -> None:
        """The connection ends and both ends know; the broker publishes the will. Comes back by `restore` alone."""
        self._severed = True
        self._connection += 1
        self._half_open = False
        self.reach_changed(False)
        super().drop(reason)

    def cut(self, reason: str) -> None:
        self._connection += 1
        self._half_open = False
        self.reach_changed(False)
        super().cut(reason)

    def half_open(self) -> None:
        """Nothing passes any more, and neither end knows before a keepalive fails."""
        if not self.is_up or self._half_open:
            return
        self._half_open = True
        self.reach_changed(False)
        self._connection += 1
        asyncio.get_running_loop().call_later(HALF_OPEN_NOTICED_S, self._notice, self._connection)

    def _notice(self, connection: int) -> None:
        if self._half_open and connection == self._connection and not self.dead:
            self._told("its half-open link is noticed")
            self.drop("keepalive")
            self.restore()

    def restore(self) -> None:
        """Reconnect after a jittered moment."""
        self._severed = False
        if not self.dead:
            asyncio.get_running_loop().call_later(0.1 + 2.0 * self._random.random(), self._connect)

    def kill(self) -> None:
        """Its process is gone. The broker notices by the closed connection, and publishes the will."""
        if self.is_up:
            self.dead = True
            self._listener = None
            self.reach_changed(False)
            super().drop("killed")
        self.dead = True
        self._wants_up = False

    async def start(self, listener: LinkListener) -> None:
        if not self.dead:
            await super().start(_InItsName(listener))
