"""What the MQTT link does beyond the contract, shown on mosquitto."""

import asyncio
import os
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from devices.links.mqtt import MqttLink
from devices.links.mqtt_parts import Outbox, Outgoing, read_url
from devices.links.port import Delivery, LastWill
from loa.clock import SystemClock
from loa.entropy import system_entropy
from loa.errors import Refused
from simulators.slow_link import SlowLink
from tests.brokers import Mosquitto, free_port
from tests.links.fakes import Recorder, until

CLOCK = SystemClock()


def make(url: str, name: str, **more: Any) -> MqttLink:
    more.setdefault("backoff_s", (0.05, 0.2))
    return MqttLink(url, name, CLOCK, system_entropy, **more)


@asynccontextmanager
async def up(link: MqttLink, *topics: str) -> AsyncIterator[Recorder]:
    recorder = Recorder()
    link.listen(topics)
    await link.start(recorder)
    try:
        await until(lambda: recorder.ups > 0)
        yield recorder
    finally:
        await link.stop()


def test_broker_addresses() -> None:
    address = read_url("mqtts://me:p%40ss@broker.example:8884")
    assert (address.host, address.port, address.tls) == ("broker.example", 8884, True)
    assert (address.username, address.password) == ("me", "p@ss")
    assert read_url("mqtt://h").port == 1883
    for url in ("http://h", "mqtt://", "mqtt://h:99999", "h:1883", "mqtt://h:0"):
        with pytest.raises(Refused):
            read_url(url)


def test_urgent_messages_go_first_and_the_queue_is_bounded() -> None:
    outbox = Outbox(1000)
    sized = [Outgoing("t", bytes(200), 0, False) for _ in range(6)]
    assert [outbox.put(message, urgent=False) for message in sized] == [True] * 4 + [False] * 2
    urgent = Outgoing("u", b"now", 1, False)
    assert outbox.put(urgent, urgent=True)
    assert outbox.take() is urgent
    assert outbox.take() is sized[0]
    huge = Outbox(10)
    assert huge.put(sized[0], urgent=False), "one message always has room in an empty box"
    assert not huge.put(sized[1], urgent=False)


async def test_a_refused_connection_is_tried_again_with_growing_waits() -> None:
    waits: list[float] = []

    class Watching(SystemClock):
        async def sleep(self, seconds: float) -> None:
            waits.append(seconds)
            await super().sleep(0.001)

    link = MqttLink(f"mqtt://127.0.0.1:{free_port()}", "x", Watching(), system_entropy)
    await link.start(Recorder())
    await until(lambda: len(waits) >= 8)
    await link.stop()
    assert link.last_error is not None
    assert "refused" in link.last_error
    for number, wait in enumerate(waits[:8]):
        longest = min(30.0, 2.0**number)
        assert longest / 2 <= wait <= longest


@pytest.mark.slow
@pytest.mark.needs("mosquitto")
async def test_the_will_is_published_when_the_connection_dies_and_not_when_it_is_closed(mosquitto: Mosquitto) -> None:
    road = SlowLink(CLOCK, "127.0.0.1", mosquitto.port, rate=None)
    await road.start()
    async with up(make(mosquitto.url, "watch"), "loa/1/n/+/presence") as heard:
        dies = make(f"mqtt://127.0.0.1:{road.port}", "dies")
        dies.set_last_will(LastWill("loa/1/n/dies/presence", b"gone"))
        leaves = make(mosquitto.url, "leaves")
        leaves.set_last_will(LastWill("loa/1/n/leaves/presence", b"gone"))
        async with up(leaves):
            pass
        async with up(dies):
            road.cut()
            await until(lambda: len(heard.deliveries) == 1)
        assert [d.topic for d in heard.deliveries] == ["loa/1/n/dies/presence"]
    await road.stop()


@pytest.mark.slow
@pytest.mark.needs("mosquitto")
async def test_a_half_open_connection_is_given_up_within_one_and_a_half_keepalives(mosquitto: Mosquitto) -> None:
    async with up(make(mosquitto.url, "n", keepalive_s=4)) as heard:
        mosquitto.freeze()
        frozen_s = CLOCK.monotonic_s()
        await until(lambda: len(heard.downs) == 1, 15)
        took_s = CLOCK.monotonic_s() - frozen_s
        mosquitto.thaw()
        await until(lambda: heard.ups == 2, 10)
        print(f"noticed after {took_s:.1f} s at a keepalive of 4 s: {heard.downs[0]}")
        assert took_s <= 1.5 * 4 + 1.1


@pytest.mark.slow
@pytest.mark.needs("mosquitto")
async def test_hundreds_of_links_run_in_one_loop_and_all_come_back(mosquitto: Mosquitto) -> None:
    """Also that no thread a link is started."""
    import threading

    links = [make(mosquitto.url, f"n{number}") for number in range(300)]
    heard = [Recorder() for _ in links]
    begun = time.monotonic()
    for number, (link, recorder) in enumerate(zip(links, heard, strict=True)):
        link.listen([f"loa/1/n/n{number}/order", "loa/1/a/p/order"])
        await link.start(recorder)
    await until(lambda: all(link.is_up for link in links), 30)
    up_s = time.monotonic() - begun
    assert threading.active_count() < 20
    async with up(make(mosquitto.url, "centre")) as _, up(centre := make(mosquitto.url, "centre2")):
        sent = time.monotonic()
        centre.publish("loa/1/a/p/order", bytes(200), qos=1)
        await until(lambda: all(len(recorder.deliveries) == 1 for recorder in heard))
        order_s = time.monotonic() - sent
    mosquitto.restart()
    begun = time.monotonic()
    await until(lambda: all(recorder.ups == 2 for recorder in heard), 60)
    print(f"300 up in {up_s:.2f} s, an order to all {order_s * 1000:.0f} ms, back {time.monotonic() - begun:.2f} s")
    await asyncio.gather(*(link.stop() for link in links))
    assert all(recorder.downs for recorder in heard)


@pytest.mark.slow
@pytest.mark.needs("mosquitto")
async def test_an_urgent_message_overtakes_what_waits_here(mosquitto: Mosquitto) -> None:
    road = SlowLink(CLOCK, "127.0.0.1", mosquitto.port, rate=200_000)
    await road.start()
    sender = make(f"mqtt://127.0.0.1:{road.port}", "sender")
    async with up(make(mosquitto.url, "hears"), "t", "urgent") as heard, up(sender):
        published = sum(sender.publish("t", bytes(4000)) for _ in range(400))
        assert 200 < published < 400, "the queue is bounded"
        sent_s = CLOCK.monotonic_s()
        assert sender.publish("urgent", b"now", qos=1, urgent=True)
        await until(lambda: bool(heard.payloads("urgent")), 20)
        took_s, before = CLOCK.monotonic_s() - sent_s, len(heard.payloads("t"))
        print(f"urgent after {took_s:.2f} s, {before} of {published} before it")
        assert before < published / 4
        drained = asyncio.ensure_future(sender.drained(0))
        await until(lambda: len(heard.payloads("t")) == published, 20)
        await drained
    await road.stop()


class Strange:
    """A listener of TCP that answers as it is told."""

    def __init__(self, answer: Callable[[], bytes]) -> None:
        self.answer = answer
        self.connections = 0
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await reader.read(10)
        writer.write(self.answer())
        await writer.drain()
        await reader.read()
        writer.close()

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()


async def test_a_broker_that_talks_nonsense_costs_the_connection_and_nothing_more() -> None:
    connack = b"\x20\x02\x00\x00"
    bad_topic = b"\x30\x05\x00\x02\xff\xfe!"
    answers = [
        b"\xff" * 100,
        b"\x20\x02\x00\x05",
        connack + b"\x90\x03\x00\x01\x80",
        connack + bad_topic,
        connack + b"\x30\x01\x00",
        connack + b"\xf0\xff\xff\xff\xff\xff",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        os.urandom(300),
        connack + struct.pack(">BBH", 0x40, 2, 999),
    ]
    strange = Strange(lambda: answers[(strange.connections - 1) % len(answers)])
    await strange.start()
    link, recorder = make(f"mqtt://127.0.0.1:{strange.port}", "x", keepalive_s=2, backoff_s=(0.01, 0.02)), Recorder()
    link.listen(["t"])
    await link.start(recorder)
    await until(lambda: strange.connections >= 4, 20)
    await link.stop()
    await strange.stop()
    assert recorder.ups == 0
    assert recorder.deliveries == list[Delivery]()
