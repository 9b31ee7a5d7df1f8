"""An order to a node on a slow link while it takes in audio: through a real broker and a slow road."""

import asyncio
import itertools

import pytest

from devices.links.mqtt import MqttLink
from devices.links.port import Delivery
from devices.protocol.envelope import decode, encode
from devices.protocol.intake import Intake
from devices.protocol.media import Piece, Want
from devices.protocol.outflow import Outflow, Send, Wait
from devices.protocol.topics import node_subscriptions
from loa.clock import SystemClock
from loa.entropy import system_entropy
from loa.precedence import Precedence
from loa.units import ByteCount, InstantMs, NodeId
from simulators.slow_link import SlowLink
from tests.brokers import Mosquitto
from tests.links.fakes import Recorder, until
from tests.transfer.road import Rendition, rendition

pytestmark = [pytest.mark.slow, pytest.mark.needs("mosquitto")]
NODE = NodeId("slow")
ORDER = f"loa/1/n/{NODE}/order"


class Node(Recorder):
    """Pulls a rendition by an Intake; wants go unsigned, since signatures are not what is tried here."""

    def __init__(self, link: MqttLink, intake: Intake) -> None:
        super().__init__()
        self._link, self._intake, self._clock = link, intake, SystemClock()
        self.got: dict[int, bytes] = {}

    def delivered(self, delivery: Delivery) -> None:
        super().delivered(delivery)
        now_s = self._clock.monotonic_s()
        if delivery.topic.endswith("/piece"):
            piece = decode(delivery.payload)
            assert isinstance(piece, Piece)
            block = self._intake.on_piece(piece, now_s)
            if block is not None:
                self.got[block.index] = block.data
        elif delivery.topic.endswith("/ctl"):
            self._intake.on_manifest(delivery.payload, now_s)
        self.ask()

    def ask(self) -> None:
        for want in self._intake.wants(self._clock.monotonic_s(), InstantMs(0)):
            self._link.publish(f"loa/1/n/{NODE}/want", encode(want), qos=1)

    async def keep_asking(self) -> None:
        while True:
            due_s = self._intake.next_at_s()
            now_s = self._clock.monotonic_s()
            await self._clock.sleep(min(0.2, max(0.01, (due_s or now_s + 1) - now_s)))
            self.ask()


class Centre(Recorder):
    """Serves wants by an Outflow."""

    def __init__(self, link: MqttLink, what: Rendition) -> None:
        super().__init__()
        self._link, self._what, self._clock = link, what, SystemClock()
        self._outflow = Outflow()
        self._asked = asyncio.Event()

    def delivered(self, delivery: Delivery) -> None:
        want = decode(delivery.payload)
        if isinstance(want, Want):
            self._outflow.add_want(want, 0.0, Precedence.ORDINARY, len(self._what.file))
            self._asked.set()

    async def serve(self) -> None:
        while True:
            sent = self._outflow.next(self._clock.monotonic_s())
            if isinstance(sent, Send):
                data = self._what.encoded
                if sent.kind == "piece":
                    part = self._what.file[sent.offset : sent.offset + sent.length]
                    data = encode(Piece(rendition=sent.digest, offset=ByteCount(sent.offset), data=part))
                self._link.publish(sent.topic, data, qos=sent.qos)
                await self._link.drained()
            elif isinstance(sent, Wait):
                await self._clock.sleep(sent.until_s - self._clock.monotonic_s())
            else:
                self._asked.clear()
                await self._asked.wait()


async def test_an_order_is_not_stuck_behind_a_pull_at_32_kilobytes_a_second(mosquitto: Mosquitto) -> None:
    clock = SystemClock()
    road = SlowLink(clock, "127.0.0.1", mosquitto.port, rate=32_000, delay_s=0.2)
    await road.start()
    what = rendition(800_000)
    intake = Intake(NODE, entropy=system_entropy)
    link = MqttLink(f"mqtt://127.0.0.1:{road.port}", NODE, clock, system_entropy)
    centre_link = MqttLink(mosquitto.url, "centre", clock, system_entropy)
    node, centre = Node(link, intake), Centre(centre_link, what)
    link.listen(node_subscriptions(NODE, None))
    centre_link.listen(["loa/1/n/+/want"])
    await centre_link.start(centre)
    await link.start(node)
    tasks: list[asyncio.Task[None]] = []
    try:
        await until(lambda: link.is_up and centre_link.is_up)
        tasks = [asyncio.ensure_future(centre.serve()), asyncio.ensure_future(node.keep_asking())]
        intake.set_needs([what.need()])
        begun_s = clock.monotonic_s()
        await until(lambda: len(node.got) >= 12)
        delays = await _order_delays(clock, node, centre_link, intake, what)
        await until(lambda: intake.complete(what.digest), 60)
        rate = len(what.file) / (clock.monotonic_s() - begun_s)
        print(f"worst of {len(delays)} orders behind audio: {max(delays):.3f} s (one way 0.2 s); pull {rate:.0f} B/s")
    finally:
        for task in tasks:
            task.cancel()
        await link.stop()
        await centre_link.stop()
        await road.stop()
    assert b"".join(node.got[index] for index in sorted(node.got)) == what.file
    assert max(delays) <= 0.5
    assert intake.traffic.asked <= len(what.file)


async def _order_delays(
    clock: SystemClock, node: Node, centre: MqttLink, intake: Intake, what: Rendition
) -> list[float]:
    delays: list[float] = []
    for number in itertools.count():
        if len(delays) >= 20 or intake.missing(what.digest) < 10:
            return delays
        sent_s = clock.monotonic_s()
        assert centre.publish(ORDER, bytes(180) + bytes([number]), qos=1, urgent=True)
        await until(lambda: len(node.payloads(ORDER)) == len(delays) + 1)
        delays.append(clock.monotonic_s() - sent_s)
        await clock.sleep(0.37)
    return delays
