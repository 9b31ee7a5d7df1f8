"""Somebody else holds the tables for long: who comes meanwhile is given what it is owed, at once."""

from pathlib import Path

from devices.protocol.orders import Order
from devices.protocol.reports import ReceiptEvent
from devices.protocol.topics import UpChannel
from tests.controller.wire.scripted import ADMIN, CLOCK, COMMUNE, small_world
from tests.controller.wire.waiting import eventually
from tests.foreign import locked


async def test_a_node_that_comes_is_given_what_it_is_owed(tmp_path: Path) -> None:
    async with small_world(tmp_path) as world:
        node = await world.node()
        node.say(UpChannel.HEALTH, node.health())
        await eventually(lambda: world.centre.transmitter.wire.counters.received["health"] == 1)
        node.link.drop()
        await world.centre.set_volume(node.name, 50, account=ADMIN)
        world.centre.db._busy_ms = 1  # one thread: whoever waited for the lock would hold up all
        with locked(world.centre.db.engine.url):
            node.link.restore()
            await eventually(lambda: node.up)
            node.heard.clear()
            begun_s = CLOCK.monotonic_s()
            node.say(UpChannel.RECEIPT, node.receipt(1, ReceiptEvent.BOOTED))
            node.say(UpChannel.HEALTH, node.health(session=2))
            await eventually(lambda: any(isinstance(one, Order) for one in node.messages()))
            print(f"given {CLOCK.monotonic_s() - begun_s:.2f} s after it spoke")
            assert CLOCK.monotonic_s() - begun_s < 2.0
            assert node.acknowledged() in ([], [0]), "nothing of it is in the tables"
        await eventually(lambda: 1 in node.acknowledged())


async def test_what_is_sent_again_does_not_wait_for_its_routes_to_be_kept(tmp_path: Path) -> None:
    async with small_world(tmp_path) as world:
        desk = world.centre.transmitter.orders
        with locked(world.centre.db.engine.url):
            desk._routes.went("ab" * 16, COMMUNE, CLOCK.now_ms())
            begun_s = CLOCK.monotonic_s()
            await desk._note()
            assert CLOCK.monotonic_s() - begun_s < 2.0
            assert desk._routes, "they are kept later"
