"""Each known defect of amqtt, held off. Clients are raw sockets, since a good client would hide some of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from controller.broker import Amqtt
from controller.broker_amqtt import MOST_WAITING
from loa.clock import SystemClock

CLOCK = SystemClock()
pytestmark = pytest.mark.slow


class Raw:
    """MQTT 3.1.1 by hand, for short packets."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, broker: Amqtt, name: str, keepalive: int = 60, *, clean: bool = True) -> "Raw":
        raw = cls(*await asyncio.open_connection("127.0.0.1", broker.port))
        body = b"\x00\x04MQTT\x04" + bytes([2 if clean else 0]) + keepalive.to_bytes(2, "big") + _text(name)
        raw.send(0x10, body)
        assert (await raw.packet())[0] == 0x20
        return raw

    def send(self, kind: int, body: bytes) -> None:
        length, left = b"", len(body)
        while True:
            left, low = divmod(left, 128)
            length += bytes([low | (0x80 if left else 0)])
            if not left:
                break
        self.writer.write(bytes([kind]) + length + body)

    async def packet(self, within_s: float = 5.0) -> tuple[int, bytes]:
        """First byte and body of the next packet. Raises IncompleteReadError at the end."""
        async with asyncio.timeout(within_s):
            kind = (await self.reader.readexactly(1))[0]
            length = shift = 0
            while True:
                low = (await self.reader.readexactly(1))[0]
                length |= (low & 0x7F) << shift
                shift += 7
                if not low & 0x80:
                    return kind, await self.reader.readexactly(length)

    async def subscribe(self, topic: str, qos: int = 1) -> None:
        self.send(0x82, b"\x00\x01" + _text(topic) + bytes([qos]))

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 0) -> None:
        mid = b"\x00\x07" if qos else b""
        self.send(0x30 | qos << 1 | int(retain), _text(topic) + mid + payload)

    async def ended(self, within_s: float) -> bool:
        """Whether the broker closes the connection by then."""
        try:
            async with asyncio.timeout(within_s):
                while await self.reader.read(4096):
                    pass
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True

    def close(self) -> None:
        with suppress(Exception):
            self.writer.close()


def _text(text: str) -> bytes:
    return len(text).to_bytes(2, "big") + text.encode()


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Amqtt]:
    made = Amqtt(tmp_path, CLOCK)
    await made.start()
    yield made
    await made.stop()


async def test_a_connection_brings_no_retained_message_that_nobody_asked_for(broker: Amqtt) -> None:
    first = await Raw.connect(broker, "first")
    first.publish("loa/1/a/x/trust", b"trust", retain=True)
    await first.subscribe("loa/1/a/x/trust")
    assert (await first.packet())[0] == 0x90
    second = await Raw.connect(broker, "second")
    second.send(0xC0, b"")
    assert (await second.packet())[0] == 0xD0, "the answer to its ping, and nothing before it"
    first.close()
    second.close()


async def test_all_clients_are_subscribed_while_others_come_and_go(broker: Amqtt) -> None:
    async def client(number: int) -> bool:
        raw = await Raw.connect(broker, f"c{number}")
        raw.publish(f"r/{number}", b"x", retain=True)
        await raw.subscribe(f"r/{number}")
        try:
            while True:
                kind, _ = await raw.packet()
                if kind == 0x90:
                    return True
        except TimeoutError:
            return False
        finally:
            if number % 2:
                raw.close()

    subscribed = await asyncio.gather(*(client(number) for number in range(120)))
    assert sum(subscribed) == 120


async def test_a_half_open_client_is_dropped_after_one_and_a_half_times_its_keepalive(broker: Amqtt) -> None:
    silent = await Raw.connect(broker, "silent", keepalive=1)
    begun = CLOCK.monotonic_s()
    assert await silent.ended(4.0)
    assert CLOCK.monotonic_s() - begun >= 1.4
    silent.close()


@pytest.mark.parametrize("clean", [True, False])
async def test_a_second_client_of_one_id_closes_the_first_and_hears_what_it_subscribes_to(
    broker: Amqtt, clean: bool
) -> None:
    first = await Raw.connect(broker, "twin", clean=clean)
    await first.subscribe("t")
    assert (await first.packet())[0] == 0x90
    second = await Raw.connect(broker, "twin", clean=clean)
    assert await first.ended(3.0)
    await second.subscribe("t")
    assert (await second.packet())[0] == 0x90
    await CLOCK.sleep(1.2)  # the broker's monitor tidies sessions every second
    other = await Raw.connect(broker, "other")
    other.publish("t", b"hello")
    kind, body = await second.packet()
    assert kind & 0xF0 == 0x30
    assert body.endswith(b"hello")
    for raw in (first, second, other):
        raw.close()


async def test_what_is_published_without_confirmation_is_delivered_without(broker: Amqtt) -> None:
    ear, mouth = await Raw.connect(broker, "ear"), await Raw.connect(broker, "mouth")
    await ear.subscribe("s", qos=1)
    assert (await ear.packet())[0] == 0x90
    mouth.publish("s", b"piece")
    assert (await ear.packet())[0] == 0x30
    ear.close()
    mouth.close()


async def test_a_client_that_does_not_read_costs_neither_others_nor_memory_without_end(broker: Amqtt) -> None:
    stuck, well = await Raw.connect(broker, "stuck"), await Raw.connect(broker, "well")
    for raw in (stuck, well):
        await raw.subscribe("s", qos=0)
        assert (await raw.packet())[0] == 0x90
    mouth = await Raw.connect(broker, "mouth")
    count = MOST_WAITING * 3

    async def speak() -> None:
        for _ in range(count):
            mouth.publish("s", b"x" * 8192)
            await mouth.writer.drain()

    speaking = asyncio.create_task(speak())
    for _ in range(count):
        kind, _ = await well.packet(20)
        assert kind == 0x30
    await speaking
    for raw in (stuck, well, mouth):
        raw.close()
