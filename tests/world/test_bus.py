"""How the station's master spends its bus in virtual time: the real master and drops on virtual wires."""

from collections.abc import Callable, Coroutine

from devices.links.port import Delivery
from devices.links.serial import MASTER_LOST_S
from devices.links.serial_frames import FrameReader, Opcode
from devices.links.serial_messages import BusMessage, pack
from devices.station.bus import ABSENT_POLL_S, SLOWEST_POLL_S, BusMaster, Drop, Urgency
from loa.units import InstantMs, NodeId
from simulators.world import wire
from simulators.world.chance import Chance
from simulators.world.loop import VirtualClock, VirtualLoop, run_virtually
from simulators.world.wire import BAUD, STATION_PATH, WiredLink, Wires

NODE = NodeId("wired-01")
TOPIC = "loa/1/a/xa/order"


class _Station:
    """Notes what nodes say."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.said: list[tuple[float, BusMessage]] = []

    def heard(self, _drop: Drop, message: BusMessage) -> None:
        self.said.append((self._loop.time(), message))

    def listens_changed(self, drop: Drop, before: frozenset[str]) -> None:
        del drop, before


class _Node:
    """Notes what its link tells it."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.told: list[tuple[float, str]] = []

    def link_up(self) -> None:
        self.told.append((self._loop.time(), "up"))

    def link_down(self, reason: str) -> None:
        self.told.append((self._loop.time(), reason))

    def delivered(self, delivery: Delivery) -> None:
        self.told.append((self._loop.time(), delivery.topic))


class Bus:
    """One master, one drop, and somebody who counts the polls on their wires."""

    def __init__(self, loop: VirtualLoop, slowest_poll_s: float, master_lost_s: float) -> None:
        clock = VirtualClock(loop, InstantMs(1_795_400_000_000))
        self.wires = Wires(Chance(1))
        self.station, self.node = _Station(loop), _Node(loop)
        self.drop = Drop(1, NODE)
        self.master = BusMaster(
            STATION_PATH,
            BAUD,
            [self.drop],
            clock,
            self.station,
            open_port=self.wires.open,
            slowest_poll_s=slowest_poll_s,
        )
        self.master.uplink = True
        self.link = WiredLink(self.wires, 1, NODE, clock, master_lost_s=master_lost_s)
        self.link.listen([TOPIC])
        self.polls: list[float] = []
        self._reader, self.loop = FrameReader(), loop
        self.wires.open("tap", BAUD, self._tapped, lambda _reason: None)

    def _tapped(self, data: bytes) -> None:
        self.polls += [self.loop.time() for frame in self._reader.feed(data) if frame.opcode is Opcode.POLL]

    def polls_since(self, instant_s: float) -> int:
        return sum(at >= instant_s for at in self.polls)

    def now(self) -> float:
        return self.loop.time()

    async def passes(self, seconds: float) -> float:
        """Let time pass; the instant at which it began to."""
        began = self.loop.time()
        clock = VirtualClock(self.loop, InstantMs(0))
        await clock.sleep(seconds)
        return began


def on_a_bus(
    act: Callable[[Bus], Coroutine[None, None, None]],
    *,
    slowest_poll_s: float = SLOWEST_POLL_S,
    master_lost_s: float = MASTER_LOST_S,
) -> None:
    loop = VirtualLoop()

    async def main() -> None:
        bus = Bus(loop, slowest_poll_s, master_lost_s)
        bus.master.start()
        await bus.link.start(bus.node)
        await bus.passes(5)
        assert bus.link.is_up
        await act(bus)
        await bus.link.stop()
        await bus.master.stop()

    run_virtually(main(), loop=loop)


def test_a_box_that_falls_silent_in_the_middle_of_its_words_is_polled_as_any_that_is_absent() -> None:
    """It had said that it had more, and then lost its power."""

    async def cut_off(bus: Bus) -> None:
        for number in range(40):
            bus.link.publish(f"loa/1/n/{NODE}/receipt", bytes([number]) * 200)
        began = bus.now()
        while bus.polls_since(began) < 3:
            await bus.passes(0.01)
        bus.wires.cut.add("drop 001")  # a turn has ended with "I have more", and nothing of the next is heard
        await bus.passes(5)
        began = await bus.passes(60)
        assert 60 / ABSENT_POLL_S - 2 <= bus.polls_since(began) <= 60 / ABSENT_POLL_S + 1
        bus.wires.cut.clear()
        await bus.passes(10)
        assert bus.drop.present
        assert bus.link.is_up

    on_a_bus(cut_off)


def test_a_quiet_bus_is_polled_rarely_and_a_box_that_speaks_is_heard_soon() -> None:
    async def quiet(bus: Bus) -> None:
        began = await bus.passes(60)
        assert 60 / SLOWEST_POLL_S * 0.8 <= bus.polls_since(began) <= 60 / SLOWEST_POLL_S + 1
        assert bus.node.told == [(bus.node.told[0][0], "up")], "it is not taken for lost"
        spoke = bus.now()
        bus.link.publish(f"loa/1/n/{NODE}/receipt", b"heard")
        await bus.passes(1)
        assert bus.station.said[-1][1].body == b"heard"
        assert bus.station.said[-1][0] - spoke < SLOWEST_POLL_S + 0.1
        assert bus.polls_since(spoke) >= 5, "whoever spoke may have more"

    on_a_bus(quiet)


def test_an_order_waits_for_no_poll() -> None:
    async def ordered(bus: Bus) -> None:
        await bus.passes(30.23)
        began = bus.now()
        bus.master.send(0, pack(TOPIC, b"sound!"), Urgency.ORDER)
        await bus.passes(1)
        (heard,) = [at for at, topic in bus.node.told if topic == TOPIC]
        assert heard - began < 0.3

    on_a_bus(ordered)


def test_a_box_that_is_cut_off_a_quiet_bus_knows_within_its_time_and_a_spoilt_poll_is_repeated() -> None:
    async def cut(bus: Bus) -> None:
        await bus.passes(30)
        bus.wires.cut.add("drop 001")  # a turn has ended with "I have more", and nothing of the next is heard
        began = await bus.passes(0.9)
        assert bus.polls_since(began) >= 2, "asked again at once"
        bus.wires.cut.clear()
        await bus.passes(10)
        assert bus.link.is_up
        assert len(bus.node.told) == 1
        bus.wires.cut.add("drop 001")  # a turn has ended with "I have more", and nothing of the next is heard
        began = await bus.passes(5)
        assert bus.node.told[1][1] == "the station is silent"
        assert bus.node.told[1][0] - began < MASTER_LOST_S * 1.25

    on_a_bus(cut)


def test_on_a_bus_that_is_polled_rarely_whoever_has_something_to_say_is_polled_next() -> None:
    """Whenever that is: in a turn of its own, too, when it has just answered that there is nothing."""

    async def rarely(bus: Bus) -> None:
        bus.link.has_words = lambda: bus.master.poll_next(1)
        answer = bus.link._answer
        for after_s in (0.0, 0.001, 0.003, 0.006, 0.02, 1.0):
            published: list[float] = []

            def publish(published: list[float] = published) -> None:
                published.append(bus.now())
                bus.link.publish(f"loa/1/n/{NODE}/time", b"what time is it?")

            def answered(grant: int, after_s: float = after_s, publish: Callable[[], None] = publish) -> None:
                bus.link._answer = answer  # type: ignore[method-assign]
                answer(grant)
                bus.loop.call_later(after_s, publish)

            await bus.passes(900)
            bus.link._answer = answered  # type: ignore[method-assign]
            await bus.passes(70)
            said_at, message = bus.station.said[-1]
            assert message.body.endswith(b"what time is it?")
            assert said_at - published[0] < 0.1, after_s
        await bus.passes(900.5)
        bus.link.listen([TOPIC, "loa/1/m/other"])
        await bus.passes(0.2)
        assert "loa/1/m/other" in bus.drop.listens

    on_a_bus(rarely, slowest_poll_s=wire.SLOWEST_POLL_S, master_lost_s=wire.MASTER_LOST_S)
