"""Four wired nodes behind a station on a bus of ptys at 38,400 baud."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from devices.links.mqtt import MqttLink
from devices.links.port import Delivery
from devices.protocol.envelope import decode, encode
from devices.protocol.intake import Intake
from devices.protocol.media import Piece, Want
from devices.protocol.outflow import Outflow, Send
from devices.protocol.topics import stream_topic
from loa.clock import SystemClock
from loa.entropy import system_entropy
from loa.precedence import Precedence
from loa.units import ByteCount, InstantMs
from tests.brokers import Mosquitto
from tests.links.fakes import Recorder, until
from tests.station.world import Wired, node_name, wired, wired_in_memory
from tests.transfer.road import Rendition, rendition

pytestmark = pytest.mark.slow
AREA_ORDER = "loa/1/a/quang-ninh/hoanh-mo/order"
TRUST = "loa/1/a/quang-ninh/trust"


def own(number: int, channel: str) -> str:
    return f"loa/1/n/{node_name(number)}/{channel}"


def topics(number: int, *more: str) -> list[str]:
    return [AREA_ORDER, TRUST, own(number, "order"), own(number, "ctl"), own(number, "piece"), *more]


def piece_of(what: Rendition, offset: int, length: int = 4096) -> bytes:
    part = what.file[offset : offset + length]
    return encode(Piece(rendition=what.digest, offset=ByteCount(offset), data=part))


def stream(world: Wired, what: Rendition) -> None:
    world.centre.publish(stream_topic(what.digest), what.encoded)
    for offset in range(0, len(what.file), 4096):
        world.centre.publish(stream_topic(what.digest), piece_of(what, offset))


@pytest.fixture
async def pair() -> AsyncIterator[Wired]:
    async with wired_in_memory(2, [topics(1), topics(2)]) as made:
        yield made


@pytest.mark.needs("mosquitto")
async def test_a_rendition_reaches_all_by_one_broadcast_orders_overtake_it_receipts_come_back(
    mosquitto: Mosquitto,
) -> None:
    clock = SystemClock()
    what = rendition(60_000)
    name = stream_topic(what.digest)
    station_link = MqttLink(mosquitto.url, "station-dai", clock, system_entropy)
    centre = MqttLink(mosquitto.url, "centre", clock, system_entropy)
    async with wired(4, [topics(n, name) for n in range(1, 5)], station_link, centre) as world:
        before, begun_s = world.bus.carried_bytes, clock.monotonic_s()
        stream(world, what)
        delays: list[float] = []
        for number in range(10):
            await clock.sleep(1.0)
            sent_s = clock.monotonic_s()
            assert world.centre.publish(AREA_ORDER, bytes([number]) * 200, qos=1, urgent=True)
            await until(lambda: all(len(heard.payloads(AREA_ORDER)) > len(delays) for heard in world.heard))
            delays.append(clock.monotonic_s() - sent_s)
            assert world.links[number % 4].publish(own(number % 4 + 1, "receipt"), bytes([number]) * 180, qos=1)
        await until(lambda: all(len(heard.payloads(name)) == 16 for heard in world.heard), 40)
        took_s = clock.monotonic_s() - begun_s
        carried = world.bus.carried_bytes - before
        await until(lambda: len(world.centre_heard.deliveries) == 10)
        print(
            f"60 kB to 4 nodes in {took_s:.1f} s with 10 orders and 10 receipts, {carried} bytes on the bus; "
            f"orders arrive at the last node in at most {max(delays):.3f} s"
        )
        for heard in world.heard:
            assert heard.payloads(name) == [what.encoded] + [piece_of(what, at) for at in range(0, 60_000, 4096)]
            assert heard.payloads(AREA_ORDER) == [bytes([number]) * 200 for number in range(10)]
        assert sorted(d.payload for d in world.centre_heard.deliveries) == [bytes([n]) * 180 for n in range(10)]
        assert {d.topic for d in world.centre_heard.deliveries} == {own(n, "receipt") for n in range(1, 5)}
        assert carried < 1.3 * 60_000  # each of the ten orders is said three times
        assert took_s < 26
        assert max(delays) < 0.35
        assert world.bus.collided_bytes == 0


async def test_audio_has_most_of_the_bus() -> None:
    """At least 85 % of the bytes that the baud rate allows are audio, polls and headers included."""
    what = rendition(40_000)
    name = stream_topic(what.digest)
    async with wired_in_memory(4, [topics(n, name) for n in range(1, 5)]) as world:
        clock = SystemClock()
        begun_s, before = clock.monotonic_s(), world.bus.carried_bytes
        stream(world, what)
        await until(lambda: all(len(heard.payloads(name)) == 11 for heard in world.heard), 30)
        of_time = 40_000 / (clock.monotonic_s() - begun_s) / 3840
        of_bytes = 40_000 / (world.bus.carried_bytes - before)
        print(f"goodput {of_time:.3f} of 3,840 bytes a second, {of_bytes:.3f} of what the bus carried")
        assert of_bytes >= 0.85
        assert of_time >= 0.85


async def test_own_topics_go_to_one_node_and_area_topics_to_those_who_listen(pair: Wired) -> None:
    pair.centre.publish(own(1, "order"), b"one", qos=1)
    pair.centre.publish(own(2, "ctl"), b"two", qos=1)
    pair.centre.publish("loa/1/a/quang-ninh/other/order", b"elsewhere", qos=1)
    pair.links[1].listen([*topics(2), "loa/1/a/quang-ninh/timetable"])
    await until(lambda: "loa/1/a/quang-ninh/timetable" in pair.station.bus.drops[2].listens)
    pair.centre.publish("loa/1/a/quang-ninh/timetable", b"for two", qos=1)
    pair.centre.publish(AREA_ORDER, b"all", qos=1)
    await until(lambda: len(pair.heard[0].deliveries) == 2 and len(pair.heard[1].deliveries) == 3)
    assert {d.payload for d in pair.heard[0].deliveries} == {b"one", b"all"}
    assert {d.payload for d in pair.heard[1].deliveries} == {b"two", b"for two", b"all"}


async def test_a_node_that_comes_later_gets_the_state_documents_marked_as_kept(pair: Wired) -> None:
    pair.centre.publish(TRUST, b"version 1", qos=1, retain=True)
    await until(lambda: all(heard.payloads(TRUST) == [b"version 1"] for heard in pair.heard))
    pair.links[0].listen([own(1, "order")])
    await until(lambda: TRUST not in pair.station.bus.drops[1].listens)
    pair.links[0].listen(topics(1))
    await until(lambda: len(pair.heard[0].deliveries) == 2)
    assert pair.heard[0].deliveries[1] == Delivery(TRUST, b"version 1", retained=True)
    assert len(pair.heard[1].deliveries) == 1


async def test_a_node_speaks_under_its_own_name_only(pair: Wired) -> None:
    assert not pair.links[0].publish(own(2, "receipt"), b"as two", qos=1)
    assert pair.links[0].publish(AREA_ORDER, b"an order", qos=1)
    assert pair.links[0].publish(own(1, "health"), b"mine", qos=1)
    await until(lambda: len(pair.centre_heard.deliveries) == 1)
    assert {d.topic for d in pair.centre_heard.deliveries} == {own(1, "health")}
    assert all(heard.payloads(AREA_ORDER) == [] for heard in pair.heard)


async def test_nodes_fall_silent_when_the_station_is_lost_and_come_back(pair: Wired) -> None:
    clock = SystemClock()
    cut_s = clock.monotonic_s()
    pair.bus.cut()
    await until(lambda: all(heard.downs == ["the station is silent"] for heard in pair.heard), 5)
    assert clock.monotonic_s() - cut_s < 2.6
    assert not pair.links[0].publish(own(1, "receipt"), b"x")
    pair.bus.cut(healed=True)
    await until(lambda: all(heard.ups == 2 for heard in pair.heard), 12)


async def test_nodes_are_told_when_the_broker_is_lost(pair: Wired) -> None:
    pair.station.link_down("broker gone")
    await until(lambda: all(heard.downs == ["the station has no broker"] for heard in pair.heard), 5)
    pair.station.link_up()
    await until(lambda: all(heard.ups == 2 for heard in pair.heard), 5)


async def test_a_dead_node_does_not_hold_the_others_up(pair: Wired) -> None:
    pair.bus.cut(0)
    await until(lambda: not pair.station.bus.drops[1].present, 10)
    clock = SystemClock()
    begun_s = clock.monotonic_s()
    for number in range(5):
        pair.centre.publish(own(2, "order"), bytes([number]), qos=1)
        await until(lambda least=number: len(pair.heard[1].deliveries) > least)  # type: ignore[misc]
    assert clock.monotonic_s() - begun_s < 2
    assert pair.heard[1].downs == []


async def test_a_second_station_on_the_bus_is_noticed(pair: Wired) -> None:
    from devices.links.serial_frames import STATION, Frame, Opcode, encode_frame

    pair.station.bus._received(b"\x00" + encode_frame(Frame(Opcode.POLL, 9, STATION, data=bytes(6))))
    assert pair.station.bus.strangers == 1


class Pulling(Recorder):
    """A wired node that takes a rendition in."""

    def __init__(self, number: int, what: Rendition) -> None:
        super().__init__()
        self.intake = Intake(
            node_name(number), entropy=random.Random(number).randbytes, relays_streams=True, nominal_rate=3840
        )
        self.intake.set_needs([what.need(stream_at=InstantMs(0), pace=16_000)])
        self.clock, self.what = SystemClock(), what
        self.got: dict[int, bytes] = {}

    def delivered(self, delivery: Delivery) -> None:
        super().delivered(delivery)
        now_s = self.clock.monotonic_s()
        if delivery.payload == self.what.encoded:
            self.intake.on_manifest(delivery.payload, now_s)
        elif isinstance(piece := decode(delivery.payload), Piece):
            block = self.intake.on_piece(piece, now_s)
            if block is not None:
                self.got[block.index] = block.data


async def test_noise_makes_no_false_message_and_what_it_took_is_asked_for_again() -> None:
    """Bit errors of 1e-4: one frame in six is lost, and two pieces of three on the stream; all of it is recovered."""
    what = rendition(3_000)
    name = stream_topic(what.digest)
    nodes = [Pulling(1, what), Pulling(2, what)]
    async with wired_in_memory(2, [topics(1, name), topics(2, name)]) as world:
        world.heard[:] = nodes
        for link, node in zip(world.links, nodes, strict=True):
            link._listener = node
        world.bus.bit_errors = 1e-4
        outflow, clock = Outflow(), SystemClock()
        stream(world, what)
        begun_s = clock.monotonic_s()
        async with asyncio.timeout(180):
            while not all(node.intake.complete(what.digest) for node in nodes):
                now_s = clock.monotonic_s()
                for number, (link, node) in enumerate(zip(world.links, nodes, strict=True), 1):
                    for want in node.intake.wants(now_s, InstantMs(int((now_s - begun_s) * 1000))):
                        link.publish(own(number, "want"), encode(want))
                while world.centre_heard.deliveries:
                    asked = decode(world.centre_heard.deliveries.pop().payload)
                    assert isinstance(asked, Want)
                    outflow.add_want(asked, now_s, Precedence.ORDINARY, len(what.file))
                while isinstance(sent := outflow.next(now_s), Send):
                    data = what.encoded if sent.kind == "manifest" else piece_of(what, sent.offset, sent.length)
                    world.centre.publish(sent.topic, data)
                await clock.sleep(0.02)
        errors = [link.errors.crc for link in world.links]
        print(
            f"recovered in {clock.monotonic_s() - begun_s:.1f} s, frames lost {errors}, repairs {outflow.repair_bytes}"
        )
    published = {what.encoded} | {piece_of(what, at, size) for size in (256, 4096) for at in range(0, 3_000, size)}
    for node in nodes:
        assert b"".join(node.got[index] for index in sorted(node.got)) == what.file
        assert {d.payload for d in node.deliveries} <= published
    assert min(errors) > 0


async def test_heavy_noise_makes_no_false_message_and_breaks_nothing() -> None:
    """Bit errors of 1e-3 for a while: whatever arrives was sent; afterwards all goes on."""
    async with wired_in_memory(2, [topics(1), topics(2)]) as world:
        world.bus.bit_errors = 1e-3
        orders = [random.Random(n).randbytes(40) for n in range(60)]
        clock = SystemClock()
        for order in orders:
            world.centre.publish(AREA_ORDER, order)
            await clock.sleep(0.05)
        world.bus.bit_errors = 0.0
        await until(lambda: all(link.is_up for link in world.links), 12)
        world.centre.publish(AREA_ORDER, b"last")
        await until(lambda: all(heard.payloads(AREA_ORDER)[-1:] == [b"last"] for heard in world.heard), 8)
        for heard in world.heard:
            assert set(heard.payloads(AREA_ORDER)) <= {*orders, b"last"}
        assert {d.payload for d in world.centre_heard.deliveries} == set()
        print(f"{[len(h.deliveries) - 1 for h in world.heard]} of 60 orders through; {world.links[0].errors}")
