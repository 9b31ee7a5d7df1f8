"""A station with wired nodes' links on a bus of ptys, and a broker in memory or a real one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from devices.links.loopback import LoopbackBroker, LoopbackLink
from devices.links.port import Link
from devices.links.serial import SerialLink
from devices.protocol.topics import controller_subscriptions
from devices.station.config import DropEntry, StationConfig
from devices.station.relay import Station
from loa.clock import SystemClock
from loa.units import NodeId, StationId
from simulators.bus import SerialBus
from tests.links.fakes import Recorder, until


@dataclass
class Wired:
    """Everything of one commune's bus. `centre` is a link of the controller's side."""

    bus: SerialBus
    station: Station
    links: list[SerialLink]
    heard: list[Recorder]
    centre: Link
    centre_heard: Recorder


def node_name(number: int) -> NodeId:
    return NodeId(f"wired-{number}")


@asynccontextmanager
async def wired(
    count: int,
    topics: list[list[str]],
    station_link: Link,
    centre: Link,
    *,
    baud: int = 38_400,
    bit_errors: float = 0.0,
) -> AsyncIterator[Wired]:
    """`count` nodes, the n-th listening to topics[n]; all up when entered."""
    clock = SystemClock()
    bus = SerialBus(clock, baud, count, bit_errors=bit_errors)
    bus.start()
    entries = tuple(DropEntry(number, node_name(number)) for number in range(1, count + 1))
    config = StationConfig(StationId("station"), "mqtt://unused", bus.station_path, baud, entries)
    station = Station(config, station_link, clock)
    centre_heard = Recorder()
    centre.listen(controller_subscriptions())
    await centre.start(centre_heard)
    links = [SerialLink(path, baud, number, node_name(number), clock) for number, path in enumerate(bus.drop_paths, 1)]
    heard = [Recorder() for _ in links]
    try:
        await station.start()
        for link, recorder, wanted in zip(links, heard, topics, strict=True):
            link.listen(wanted)
            await link.start(recorder)
        await until(lambda: all(link.is_up for link in links) and centre.is_up, 20)
        yield Wired(bus, station, links, heard, centre, centre_heard)
    finally:
        for link in links:
            await link.stop()
        await station.stop()
        await centre.stop()
        await bus.stop()


@asynccontextmanager
async def wired_in_memory(count: int, topics: list[list[str]], **more: float) -> AsyncIterator[Wired]:
    broker = LoopbackBroker()
    async with wired(count, topics, LoopbackLink(broker), LoopbackLink(broker), **more) as made:  # type: ignore[arg-type]
        yield made
