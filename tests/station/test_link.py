"""What of the link contract holds on a bus: a wired node's link against a centre's link on the other side."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from devices.links.port import Delivery
from devices.links.serial import MAX_QUEUED_BYTES
from loa.units import BytesPerSecond
from tests.links.fakes import Recorder, until
from tests.station.world import Wired, node_name, wired_in_memory

pytestmark = pytest.mark.slow
NODE = node_name(1)
ORDER, CTL, HEALTH = (f"loa/1/n/{NODE}/{channel}" for channel in ("order", "ctl", "health"))


@pytest.fixture
async def one() -> AsyncIterator[Wired]:
    async with wired_in_memory(1, [[ORDER, CTL]], baud=115_200) as made:
        yield made


async def test_what_is_published_arrives_once_in_order_both_ways(one: Wired) -> None:
    down = [bytes([number]) * 50 for number in range(60)]
    for payload in down:
        assert one.centre.publish(CTL, payload, qos=1)
        assert one.links[0].publish(HEALTH, payload, qos=1)
    await until(lambda: len(one.heard[0].deliveries) == 60 and len(one.centre_heard.deliveries) == 60, 20)
    assert one.heard[0].payloads(CTL) == down
    assert one.centre_heard.payloads(HEALTH) == down


async def test_large_and_empty_payloads_pass_unchanged(one: Wired) -> None:
    payloads = [b"", bytes(range(256)) * 16, b"\x00" * 20_000]
    for payload in payloads:
        one.centre.publish(CTL, payload, qos=1)
        assert one.links[0].publish(HEALTH, payload)
        await one.links[0].drained()
    await until(lambda: len(one.heard[0].deliveries) == 3 and len(one.centre_heard.deliveries) == 3, 20)
    assert one.heard[0].payloads() == payloads
    assert one.centre_heard.payloads() == payloads


async def test_one_hears_what_one_listens_to_and_nothing_else(one: Wired) -> None:
    one.links[0].listen([ORDER])
    await until(lambda: one.station.bus.drops[1].listens == {ORDER})
    for topic in (CTL, ORDER):
        one.centre.publish(topic, topic.encode(), qos=1)
    await until(lambda: len(one.heard[0].deliveries) == 1)
    assert one.heard[0].deliveries == [Delivery(ORDER, ORDER.encode())]


async def test_a_listener_that_raises_costs_nothing(one: Wired) -> None:
    class Bad(Recorder):
        def delivered(self, delivery: Delivery) -> None:
            super().delivered(delivery)
            raise ZeroDivisionError

    bad = one.links[0]._listener = Bad()
    for _ in range(5):
        one.centre.publish(CTL, b"x", qos=1)
    await until(lambda: len(bad.deliveries) == 5)
    assert one.links[0].is_up


async def test_its_queue_is_bounded_and_urgent_goes_first(one: Wired) -> None:
    link = one.links[0]
    sent = sum(link.publish(HEALTH, bytes(2000)) for _ in range(100))
    assert sent == MAX_QUEUED_BYTES // 2000
    assert link.publish(HEALTH, b"now", urgent=True)
    await until(lambda: b"now" in one.centre_heard.payloads())
    assert len(one.centre_heard.deliveries) <= 3
    await asyncio.wait_for(link.drained(1000), 30)


async def test_a_stopped_link_says_nothing_more(one: Wired) -> None:
    link, heard = one.links[0], one.heard[0]
    await link.stop()
    assert not link.is_up
    assert not link.publish(HEALTH, b"x")
    one.centre.publish(CTL, b"x", qos=1)
    await until(lambda: not one.station.bus.drops[1].present, 10)
    assert heard.deliveries == []
    assert heard.downs == []


async def test_the_rate_is_that_of_the_bus_and_streams_are_relayed(one: Wired) -> None:
    assert one.links[0].nominal_rate == BytesPerSecond(11_520)
    assert one.links[0].relays_streams
