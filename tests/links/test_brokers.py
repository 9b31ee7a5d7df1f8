"""What brokers do beyond the contract, and where they differ: the table in docs/operations.md, shown."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.broker import choose_broker
from devices.links.mqtt import MqttLink
from devices.links.port import LastWill
from loa.clock import SystemClock
from loa.entropy import system_entropy
from simulators.slow_link import SlowLink
from tests.brokers import Mosquitto, Nats, RabbitMq
from tests.links.fakes import Recorder, until

pytestmark = pytest.mark.slow
CLOCK = SystemClock()
LISTENERS = 300


@dataclass
class Known:
    """A broker and what it is known to do."""

    name: str
    url: str
    retained_by_wildcard: bool = True
    """Whether who listens by a wildcard is given what was retained before."""
    most_payload: int = 1_000_000


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[RabbitMq]:
    broker = RabbitMq()
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


@pytest.fixture(
    params=[
        pytest.param("mosquitto", marks=pytest.mark.needs("mosquitto")),
        "amqtt",
        pytest.param("nats", marks=pytest.mark.needs("nats-server")),
        pytest.param("rabbitmq", marks=[pytest.mark.soak, pytest.mark.needs("rabbitmq-server")]),
    ]
)
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Known]:
    async with AsyncExitStack() as closing:
        if request.param == "amqtt":
            embedded = choose_broker("amqtt", tmp_path, CLOCK)
            await embedded.start()
            closing.push_async_callback(embedded.stop)
            yield Known("amqtt", embedded.url)
        elif request.param == "rabbitmq":
            yield Known("rabbitmq", request.getfixturevalue("rabbitmq").url, retained_by_wildcard=False)
        else:
            server = Mosquitto(tmp_path) if request.param == "mosquitto" else Nats(tmp_path)
            server.start()
            closing.callback(server.stop)
            yield Known(request.param, server.url)


async def _up(closing: AsyncExitStack, url: str, name: str, *topics: str, **more: object) -> tuple[MqttLink, Recorder]:
    will = more.pop("will", None)
    link, recorder = MqttLink(url, name, CLOCK, system_entropy, backoff_s=(0.05, 0.2), **more), Recorder()  # type: ignore[arg-type]
    link.listen(topics)
    assert will is None or isinstance(will, LastWill)
    link.set_last_will(will)
    closing.push_async_callback(link.stop)
    await link.start(recorder)
    await until(lambda: recorder.ups == 1)
    return link, recorder


async def test_the_will_of_a_client_that_is_cut_off_is_published_and_kept(broker: Known) -> None:
    async with AsyncExitStack() as closing:
        road = SlowLink(CLOCK, "127.0.0.1", int(broker.url.rpartition(":")[2]), rate=None)
        await road.start()
        closing.push_async_callback(road.stop)
        _, watch = await _up(closing, broker.url, "watch", "loa/1/n/+/presence")
        will = LastWill("loa/1/n/dies/presence", b"gone")
        await _up(closing, f"mqtt://127.0.0.1:{road.port}", "dies", will=will)
        road.cut()
        await until(lambda: b"gone" in watch.payloads("loa/1/n/dies/presence"), 15)
        _, late = await _up(closing, broker.url, "late", "loa/1/n/dies/presence")
        await until(lambda: late.payloads() == [b"gone"])
        assert late.deliveries[0].retained


async def test_retained_and_wildcards_and_taking_back(broker: Known) -> None:
    async with AsyncExitStack() as closing:
        says, _ = await _up(closing, broker.url, "says", "done")
        says.publish("loa/1/n/a/presence", b"here", qos=1, retain=True)
        says.publish("done", b"1", qos=1)
        _, watch = await _up(closing, broker.url, "watch", "loa/1/n/a/presence")
        await until(lambda: watch.payloads() == [b"here"])
        _, wild = await _up(closing, broker.url, "wild", "loa/1/n/+/presence", "last")
        says.publish("last", b"x", qos=1, retain=True)
        await until(lambda: bool(wild.payloads("last")))
        assert bool(wild.payloads("loa/1/n/a/presence")) is broker.retained_by_wildcard
        says.publish("loa/1/n/a/presence", b"", qos=1, retain=True)
        await until(lambda: watch.payloads() == [b"here", b""])
        _, after = await _up(closing, broker.url, "after", "loa/1/n/a/presence", "last")
        await until(lambda: bool(after.payloads("last")))
        assert after.payloads("loa/1/n/a/presence") == []


async def test_a_second_client_of_one_name_takes_the_firsts_place(broker: Known) -> None:
    async with AsyncExitStack() as closing:
        _, first = await _up(closing, broker.url, "twin", "t")
        _, second = await _up(closing, broker.url, "twin", "t")
        # Both keep coming back, so they take turns: the alarm for it is the centre's, by session numbers.
        await until(lambda: len(first.downs) >= 1)
        assert second.ups >= 1


async def test_an_order_to_many_at_once(broker: Known) -> None:
    async with AsyncExitStack() as closing:
        heard = [Recorder() for _ in range(LISTENERS)]
        for number, recorder in enumerate(heard):
            link = MqttLink(broker.url, f"n{number}", CLOCK, system_entropy)
            link.listen([f"loa/1/n/n{number}/order", "loa/1/a/p/order"])
            closing.push_async_callback(link.stop)
            await link.start(recorder)
        await until(lambda: all(recorder.ups for recorder in heard), 60)
        says, _ = await _up(closing, broker.url, "says")
        took = []
        for number in range(5):
            sent = time.monotonic()
            says.publish("loa/1/a/p/order", bytes(200), qos=1, urgent=True)
            await until(lambda wanted=number + 1: all(len(r.deliveries) == wanted for r in heard), 20)  # type: ignore[misc]
            took.append(time.monotonic() - sent)
        print(f"{broker.name}: an order to {LISTENERS}: {sorted(took)[2] * 1000:.0f} ms")
        assert sorted(took)[2] < 2.0


async def test_a_client_that_falls_silent_is_given_up(broker: Known) -> None:
    """A box whose link is half-open: its will comes within 1.5 keepalives, and some."""
    will = LastWill("loa/1/n/mute/presence", b"gone")
    async with AsyncExitStack() as closing:
        _, watch = await _up(closing, broker.url, "watch", "loa/1/n/mute/presence")
        reader, writer = await asyncio.open_connection("127.0.0.1", int(broker.url.rpartition(":")[2]))
        closing.callback(writer.close)
        body = b"\x00\x04MQTT\x04\x2e\x00\x02\x00\x04mute"  # clean session, a will, QoS 1, retained; keepalive 2 s
        for text in (will.topic.encode(), will.payload):
            body += len(text).to_bytes(2, "big") + text
        writer.write(b"\x10" + bytes([len(body)]) + body)
        assert (await reader.readexactly(4))[3] == 0
        begun = time.monotonic()
        await until(lambda: b"gone" in watch.payloads(), 15)
        print(f"{broker.name}: silent for {time.monotonic() - begun:.1f} s at a keepalive of 2 s")
