"""From a recording to what every loudspeaker heard, over real brokers and with the software of real boxes."""

from pathlib import Path

import pytest
from sqlmodel import Session, select

from controller.broker import EmbeddedBroker
from controller.tables import Broadcast, OwedOrder, Rendition
from devices.links.mqtt import MqttLink
from devices.links.port import Delivery
from devices.protocol.topics import stream_topic
from loa.entropy import system_entropy
from loa.units import Digest
from tests.controller.wire.village import ADMIN, CLOCK, Village, start_centre, village
from tests.controller.wire.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.needs("mosquitto")]
BROKERS = ["mosquitto", "amqtt"]


class Tap:
    """Counts what goes over the broker."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.up = False

    def link_up(self) -> None:
        self.up = True

    def link_down(self, reason: str) -> None:
        self.up = False

    def delivered(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)

    def on(self, topic: str) -> list[bytes]:
        return [one.payload for one in self.deliveries if one.topic == topic]


async def tapped(here: Village) -> tuple[Tap, MqttLink]:
    tap = Tap()
    link = MqttLink(here.centre.broker_url, "tap", CLOCK, system_entropy)
    link.listen(["loa/#"])
    await link.start(tap)
    await eventually(lambda: tap.up)
    return tap, link


@pytest.mark.parametrize("broker", BROKERS)
async def test_an_order_and_a_timetable_are_heard_and_audio_goes_out_once(tmp_path: Path, broker: str) -> None:
    async with village(tmp_path, broker) as here:
        tap, link = await tapped(here)
        boxes = await here.enrol("loa-1", "loa-2", "loa-3")
        for box in boxes:
            await box.on()
        await here.ready("loa-1", "loa-2", "loa-3")
        scheduled, immediate = await here.bulletin(2, "Lịch"), await here.bulletin(3, "Ngay")
        await here.schedule(scheduled, in_s=8)
        issued = await here.say(immediate)
        await eventually(lambda: here.finished(issued.broadcast_id.hex(), 3), within_s=25)
        planned = next(
            row for row in await here.centre.reading(_broadcasts) if row.scheduled and row.status != "withdrawn"
        )
        await eventually(lambda: here.finished(planned.id, 3), within_s=25)
        for box in boxes:
            assert box.heard_names >= {planned.id, issued.broadcast_id.hex()}
        for bulletin in (scheduled, immediate):
            rendition = bulletin.renditions[0]
            pieces = tap.on(stream_topic(rendition.digest))[1:]
            assert sum(map(len, pieces)) <= 1.05 * rendition.length_bytes
        assert not here.centre.transmitter.wire.counters.faults
        assert not here.centre.transmitter.wire.counters.refused
        await link.stop()


async def test_a_box_that_was_away_gets_what_is_owed_and_nothing_else(tmp_path: Path) -> None:
    async with village(tmp_path) as here:
        tap, link = await tapped(here)
        near, away = await here.enrol("loa-1", "loa-2")
        await near.on()
        await away.on()
        await here.ready("loa-1", "loa-2")
        await away.off()
        bulletin = await here.bulletin(2)
        over = await here.say(bulletin)
        await eventually(lambda: here.finished(over.broadcast_id.hex(), 1), within_s=20)
        await eventually(lambda: CLOCK.now_ms() > over.start_at + bulletin.duration_ms + 500)
        await here.centre.set_volume("loa-2", 40, account=ADMIN)
        tap.deliveries.clear()
        await away.on()
        assert away.node is not None
        await eventually(lambda: _owed_to(here, "loa-2"), within_s=20)
        assert away.node.status().volume == 40
        assert over.broadcast_id.hex() not in away.heard_names
        orders = set(tap.on("loa/1/n/loa-2/order"))
        assert len(orders) == 1, "the volume, and nothing that is over"
        await link.stop()


async def _owed_to(here: Village, node: str) -> bool:
    def read(session: Session) -> bool:
        rows = session.exec(select(OwedOrder).where(OwedOrder.node == node)).all()
        return all(row.confirmed_at is not None or row.expires_at <= CLOCK.now_ms() for row in rows)

    return await here.centre.reading(read)


async def test_a_broker_without_memory_is_filled_again(tmp_path: Path) -> None:
    async with village(tmp_path) as here:
        (box,) = await here.enrol("loa-1")
        await box.on()
        await here.ready("loa-1")
        broker = here.centre.broker
        assert isinstance(broker, EmbeddedBroker)
        assert broker.process is not None
        broker.process.kill()
        await eventually(lambda: not here.centre.broker_connected)
        await here.centre.set_volume("loa-1", 35, account=ADMIN)  # nobody can hear it yet
        node = box.node
        assert node is not None
        await eventually(lambda: node.status().volume == 35, within_s=20)
        await eventually(lambda: _owed_to(here, "loa-1"), within_s=20)
        bulletin = await here.bulletin(2)
        issued = await here.say(bulletin)
        await eventually(lambda: here.finished(issued.broadcast_id.hex(), 1), within_s=30)
        tap, link = await tapped(here)
        await eventually(lambda: len(tap.on("loa/1/a/quang-ninh/trust")) == 1)
        await eventually(lambda: len(tap.on("loa/1/a/quang-ninh/settings")) == 1)
        await link.stop()


async def test_a_restarted_centre_streams_nothing_again_and_takes_up_what_is_owed(tmp_path: Path) -> None:
    async with village(tmp_path) as here:
        (box,) = await here.enrol("loa-1")
        await box.on()
        await here.ready("loa-1")
        await box.off()
        bulletin = await here.bulletin(10)  # it is still on when the centre is back
        issued = await here.say(bulletin)
        digest = bulletin.renditions[0].digest

        def streamed(session: Session) -> bool:
            return session.get_one(Rendition, digest.hex()).streamed_at is not None

        await eventually(lambda: here.centre.reading(streamed), within_s=20)
        await here.centre.stop()
        here.centre = await start_centre(tmp_path)
        tap, link = await tapped(here)
        box.url = here.centre.broker_url
        await box.on()
        await eventually(lambda: bool(tap.on("loa/1/n/loa-1/order")), within_s=10)
        await CLOCK.sleep(0.5)
        assert not tap.on(stream_topic(Digest(digest)))
        assert issued.broadcast_id
        await link.stop()


def _broadcasts(session: Session) -> list[Broadcast]:
    return list(session.exec(select(Broadcast)))
