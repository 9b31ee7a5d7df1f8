"""What every link promises, shown on each that there is."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from controller.broker import choose_broker
from devices.links.loopback import LoopbackBroker, LoopbackLink
from devices.links.mqtt import MqttLink
from devices.links.port import Delivery, LastWill, Link
from loa.clock import SystemClock
from loa.entropy import system_entropy
from simulators.slow_link import SlowLink
from tests.brokers import Mosquitto, Nats, RabbitMq
from tests.links.fakes import Recorder, until


@dataclass
class World:
    """A broker and how to make links to it."""

    make: Callable[[str], Link]
    cut: Callable[[], None]
    heal: Callable[[], None]
    stops: list[Link] = field(default_factory=list)

    async def link(self, name: str, *topics: str, will: LastWill | None = None) -> tuple[Link, Recorder]:
        link, recorder = self.make(name), Recorder()
        link.listen(topics)
        link.set_last_will(will)
        self.stops.append(link)
        await link.start(recorder)
        await until(lambda: recorder.ups == 1)
        return link, recorder


def _loopback() -> World:
    broker = LoopbackBroker()
    return World(lambda _: LoopbackLink(broker), broker.stop, broker.start)


def _mqtt(url: str, cut: Callable[[], None], heal: Callable[[], None]) -> World:
    clock = SystemClock()
    return World(lambda name: MqttLink(url, name, clock, system_entropy, backoff_s=(0.05, 0.2)), cut, heal)


async def _by_relay(port: int) -> tuple[World, Callable[[], Awaitable[None]]]:
    """A broker whose memory is its process's, or that is slow to start: a cut is a relay's."""
    relay = SlowLink(SystemClock(), "127.0.0.1", port, rate=None)
    await relay.start()
    return _mqtt(f"mqtt://127.0.0.1:{relay.port}", relay.cut, relay.heal), relay.stop


async def _amqtt(folder: Path) -> tuple[World, Callable[[], Awaitable[None]]]:
    broker = choose_broker("amqtt", folder, SystemClock())
    await broker.start()
    world, stop_relay = await _by_relay(urlsplit(broker.url).port or 0)

    async def close() -> None:
        await stop_relay()
        await broker.stop()

    return world, close


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[RabbitMq]:
    """One for all tests here, since it takes seconds to start."""
    broker = RabbitMq()
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


MOSQUITTO = pytest.param("mosquitto", marks=[pytest.mark.slow, pytest.mark.needs("mosquitto")])
AMQTT = pytest.param("amqtt", marks=[pytest.mark.slow])
NATS = pytest.param("nats", marks=[pytest.mark.slow, pytest.mark.needs("nats-server")])
RABBITMQ = pytest.param("rabbitmq", marks=[pytest.mark.slow, pytest.mark.soak, pytest.mark.needs("rabbitmq-server")])


@pytest.fixture(params=["loopback", MOSQUITTO, AMQTT, NATS, RABBITMQ])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """One of each kind; what it started is stopped."""
    stop: Callable[[], Any] = lambda: None  # noqa: E731
    if request.param == "loopback":
        made = _loopback()
    elif request.param in ("mosquitto", "nats"):
        broker = Mosquitto(tmp_path) if request.param == "mosquitto" else Nats(tmp_path)
        broker.start()
        stop = broker.stop
        made = _mqtt(broker.url, broker.stop, broker.start)
    else:
        if request.param == "amqtt":
            made, close = await _amqtt(tmp_path)
        else:
            made, close = await _by_relay(request.getfixturevalue("rabbitmq").port)
        yield made
        for link in made.stops:
            await link.stop()
        await close()
        return
    yield made
    for link in made.stops:
        await link.stop()
    stop()


async def test_what_is_published_arrives_once_in_order(world: World) -> None:
    _, hears = await world.link("hears", "loa/1/n/a/ctl")
    says, _ = await world.link("says")
    for number in range(200):
        assert says.publish("loa/1/n/a/ctl", b"%d" % number, qos=number % 2)
    await until(lambda: len(hears.deliveries) == 200)
    assert sorted(hears.payloads(), key=int) == [b"%d" % number for number in range(200)]
    for qos in (0, 1):
        mine = [int(p) for p in hears.payloads() if int(p) % 2 == qos]
        assert mine == sorted(mine)


async def test_one_hears_what_one_listens_to_and_nothing_else(world: World) -> None:
    link, hears = await world.link("hears", "loa/1/n/a/ctl", "loa/1/n/a/order")
    says, _ = await world.link("says")
    link.listen(["loa/1/n/a/order", "loa/1/m/x"])
    _, probed = await world.link("probe", "loa/1/n/a/ctl", "loa/1/m/x")
    # A later subscription's answer shows that the earlier one was dealt with.
    link.listen(["loa/1/n/a/order", "loa/1/m/x", "loa/1/n/a/last"])
    says.publish("loa/1/n/a/last", b"kept", qos=1, retain=True)
    await until(lambda: b"kept" in hears.payloads("loa/1/n/a/last"))  # twice where both crossed each other
    for topic in ("loa/1/n/a/ctl", "loa/1/m/x", "loa/1/n/a/order", "loa/1/n/a"):
        says.publish(topic, topic.encode())
    await until(lambda: len(probed.deliveries) == 2 and bool(hears.payloads("loa/1/n/a/order")))
    await until(lambda: bool(hears.payloads("loa/1/m/x")))
    assert {d.topic for d in hears.deliveries} == {"loa/1/n/a/last", "loa/1/m/x", "loa/1/n/a/order"}


async def test_wildcards(world: World) -> None:
    _, plus = await world.link("plus", "loa/1/n/+/health")
    _, rest = await world.link("rest", "loa/1/a/#")
    says, _ = await world.link("says")
    for topic in ("loa/1/n/a/health", "loa/1/n/b/health", "loa/1/n/b/want", "loa/1/a/p/c/order", "loa/1/a"):
        says.publish(topic, b"x", qos=1)
    await until(lambda: len(plus.deliveries) == 2 and len(rest.deliveries) == 2)
    assert [d.topic for d in plus.deliveries] == ["loa/1/n/a/health", "loa/1/n/b/health"]
    # In order within a topic; between topics NATS keeps none.
    assert {d.topic for d in rest.deliveries} == {"loa/1/a/p/c/order", "loa/1/a"}


async def test_retained_is_delivered_to_who_comes_later_and_marked(world: World) -> None:
    says, _ = await world.link("says")
    _, early = await world.link("early", "loa/1/a/p/trust")
    says.publish("loa/1/a/p/trust", b"one", qos=1, retain=True)
    says.publish("loa/1/a/p/trust", b"two", qos=1, retain=True)
    await until(lambda: len(early.deliveries) == 2)
    _, late = await world.link("late", "loa/1/a/p/trust")
    await until(lambda: len(late.deliveries) == 1)
    assert late.deliveries == [Delivery("loa/1/a/p/trust", b"two", retained=True)]
    assert not any(d.retained for d in early.deliveries)


async def test_a_cut_is_told_refuses_publishing_and_heals_with_all_subscriptions(world: World) -> None:
    link, hears = await world.link("hears", "loa/1/n/a/ctl", "loa/1/n/b/ctl")
    assert link.is_up
    world.cut()
    await until(lambda: len(hears.downs) == 1)
    assert not link.is_up
    assert not link.publish("loa/1/n/a/ctl", b"lost")
    await link.drained()
    link.listen(["loa/1/n/a/ctl", "loa/1/n/c/ctl"])
    world.heal()
    await until(lambda: hears.ups == 2)
    says, _ = await world.link("says")
    for name in ("a", "b", "c"):
        assert says.publish(f"loa/1/n/{name}/ctl", name.encode(), qos=1)
    await until(lambda: len(hears.deliveries) == 2)
    assert sorted(hears.payloads()) == [b"a", b"c"]  # of two topics: brokers keep the order of one alone


async def test_a_listener_that_raises_costs_nothing(world: World) -> None:
    class Bad(Recorder):
        def delivered(self, delivery: Delivery) -> None:
            super().delivered(delivery)
            raise ZeroDivisionError

    link, recorder = world.make("bad"), Bad()
    link.listen(["t"])
    world.stops.append(link)
    await link.start(recorder)
    await until(lambda: recorder.ups == 1)
    says, _ = await world.link("says")
    for _ in range(5):
        says.publish("t", b"x", qos=1)
    await until(lambda: len(recorder.deliveries) == 5)
    assert link.is_up
    assert recorder.downs == []


async def test_publishing_from_within_a_delivery(world: World) -> None:
    """Answers are sent from the listener itself; no lock may hang."""

    class Echo(Recorder):
        def delivered(self, delivery: Delivery) -> None:
            super().delivered(delivery)
            link.publish("answer", delivery.payload, qos=len(self.deliveries) % 2)

    link, recorder = world.make("echo"), Echo()
    link.listen(["question"])
    world.stops.append(link)
    await link.start(recorder)
    await until(lambda: recorder.ups == 1)
    asks, answers = await world.link("asks", "answer")
    for number in range(50):
        asks.publish("question", b"%d" % number)
    await until(lambda: len(answers.deliveries) == 50)


async def test_a_stopped_link_tells_nothing_more(world: World) -> None:
    link, recorder = await world.link("quiet", "t")
    says, _ = await world.link("says", "t2")
    await link.stop()
    before = (recorder.ups, len(recorder.downs), len(recorder.deliveries))
    says.publish("t", b"x", qos=1)
    says.publish("t2", b"x", qos=1)
    _, later = await world.link("later", "t3")
    says.publish("t3", b"x", qos=1)
    await until(lambda: len(later.deliveries) == 1)
    assert (recorder.ups, len(recorder.downs), len(recorder.deliveries)) == before
    assert not link.is_up
    assert not link.publish("t", b"x")


async def test_large_and_empty_payloads_pass_unchanged(world: World) -> None:
    _, hears = await world.link("hears", "t")
    says, _ = await world.link("says")
    payloads = [b"", bytes(range(256)) * 16, b"\x00" * 200_000]
    for payload in payloads:
        assert says.publish("t", payload)
        await says.drained()
    await until(lambda: len(hears.deliveries) == 3)
    assert hears.payloads() == payloads
