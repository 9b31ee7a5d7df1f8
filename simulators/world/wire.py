"""A serial bus in virtual time: one pair of wires, a real rate, noise, cuts and collisions; no ports, no threads."""

import asyncio
from collections.abc import Callable, Iterable
from contextvars import Context, copy_context

from devices.links.port import Delivery, LinkListener
from devices.links.serial import SerialLink
from loa.clock import Clock
from loa.units import NodeId
from simulators.noise import with_bit_errors
from simulators.world.boxes import PowerCut
from simulators.world.chance import Chance

BAUD = 38_400
MAX_FRAME_BYTES = 256
STATION_PATH = "station"
SLOWEST_POLL_S = 60.0
"""Stations of long virtual runs poll this rarely when nothing happens: twice a second would be all that happens.
Whoever has something to say is polled then (`StationBox.wired`)."""
MASTER_LOST_S = 240.0


class _End:
    """One port on the wires."""

    def __init__(self, bus: "Wires", path: str, received: Callable[[bytes], None]) -> None:
        self._bus, self.path, self.received = bus, path, received
        self.context: Context = copy_context()
        self.open = True
        self.free_at_s = 0.0

    def write(self, data: bytes) -> None:
        if self.open:
            self._bus.say(self, data)

    def close(self) -> None:
        self.open = False
        self._bus.ends.discard(self)


class Wires:
    """What one end says every other end hears, at baud / 10 bytes a second; who speaks into another spoils both."""

    def __init__(self, chance: Chance, *, baud: int = BAUD, bit_errors: float = 0.0) -> None:
        self.ends: set[_End] = set()
        self.bit_errors = bit_errors
        self.cut: set[str] = set()
        """Paths that are off the wires."""
        self.carried_bytes = self.spoilt = 0
        self._rate = baud / 10
        self._random = chance.random

    def open(self, path: str, baud: int, received: Callable[[bytes], None], lost: Callable[[str], None]) -> _End:
        """As a serial port is opened; the path is the end's name."""
        del baud, lost  # a rate of its own; a port in memory is not lost
        end = _End(self, path, received)
        self.ends.add(end)
        return end

    def say(self, end: _End, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        begins_s = max(loop.time(), end.free_at_s)
        end.free_at_s = begins_s + len(data) / self._rate
        if end.path in self.cut:
            return
        self.carried_bytes += len(data)
        if any(other.free_at_s > begins_s for other in self.ends if other is not end):
            data = self._random.randbytes(len(data))
            self.spoilt += 1
        hearers = [hearer for hearer in sorted(self.ends, key=lambda one: one.path) if hearer is not end]
        # As they are said: a master that hears nothing of a long turn until its end would speak into it.
        for at in range(0, len(data), MAX_FRAME_BYTES):
            part = data[at : at + MAX_FRAME_BYTES]
            heard = [(hearer, with_bit_errors(part, self.bit_errors, self._random)) for hearer in hearers]
            loop.call_at(begins_s + (at + len(part)) / self._rate, self._arrive, end, heard)

    def _arrive(self, end: _End, heard: list[tuple[_End, bytes]]) -> None:
        """All hear it at once, each in the name of the process that opened the port, and none for another."""
        for hearer, data in heard:
            if hearer.open and not {hearer.path, end.path} & self.cut:
                hearer.context.run(_handed_over, hearer, data)


def _handed_over(hearer: _End, data: bytes) -> None:
    try:
        hearer.received(data)
    except PowerCut:
        return  # the others on the wires hear it all the same
    except Exception as error:  # noqa: BLE001 - as the loop does with what a timer raises
        asyncio.get_running_loop().call_exception_handler({"message": f"at {hearer.path}", "exception": error})


class _Reach:
    """Notes when a wired link truly is up."""

    def __init__(self, listener: LinkListener, changed: Callable[[bool], None]) -> None:
        self._listener, self._changed = listener, changed

    def link_up(self) -> None:
        self._changed(True)
        self._listener.link_up()

    def link_down(self, reason: str) -> None:
        self._changed(False)
        self._listener.link_down(reason)

    def delivered(self, delivery: Delivery) -> None:
        self._listener.delivered(delivery)


class WiredLink(SerialLink):
    """The real link of a wired node on virtual wires; it can be cut off them, and killed."""

    def __init__(
        self, wires: Wires, address: int, node: NodeId, clock: Clock, *, master_lost_s: float = MASTER_LOST_S
    ) -> None:
        super().__init__(
            f"drop {address:03d}", BAUD, address, node, clock, open_port=wires.open, master_lost_s=master_lost_s
        )
        self._wires = wires
        self._name = f"drop {address:03d}"
        self.reach_changed: Callable[[bool], None] = lambda _up: None
        self.has_words: Callable[[], None] = lambda: None
        """Told when this box has something to say."""
        self._beyond = True
        """Whether the station has power and its own way to the broker."""

    async def start(self, listener: LinkListener) -> None:
        await super().start(_Reach(listener, self._changed))

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False, urgent: bool = False) -> bool:
        taken = super().publish(topic, payload, qos=qos, retain=retain, urgent=urgent)
        if taken:
            self._wants_its_turn()
        return taken

    def listen(self, topics: Iterable[str]) -> None:
        super().listen(topics)
        self._wants_its_turn()

    def _wants_its_turn(self) -> None:
        if self._name not in self._wires.cut:
            self.has_words()

    def _changed(self, there: bool) -> None:
        self.reach_changed(there)

    def beyond(self, there: bool) -> None:
        """The station has lost its own way to the broker, or has it back."""
        self._beyond = there
        if not there or (self.is_up and self._name not in self._wires.cut):
            self.reach_changed(there)

    def drop(self, reason: str = "cut") -> None:
        """The wires are cut at this box: it hears nothing and is not heard, and finds out by itself."""
        del reason
        self._wires.cut.add(self._name)
        self.reach_changed(False)

    def half_open(self) -> None:
        """A loose contact, for a while."""
        self.drop()
        asyncio.get_running_loop().call_later(90.0, self.restore)

    def restore(self) -> None:
        if self._name in self._wires.cut:
            self._wires.cut.discard(self._name)
            if self.is_up and self._beyond:
                self.reach_changed(True)  # it had not noticed

    def kill(self) -> None:
        """Its process is gone."""
        if self.is_up:
            self.reach_changed(False)
        self.reach_changed = lambda _up: None  # what happens to the station later is nothing to it
        self._listener = None
        if self._port is not None:
            self._port.close()
