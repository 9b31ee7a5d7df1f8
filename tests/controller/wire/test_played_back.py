"""What was said once and is played back by somebody else; what is too long; who is not known."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.services import owed
from controller.services.nodes import NodeView, node
from controller.wire import reconcile
from controller.wire.freshness import is_news
from devices.links.loopback import LoopbackLink
from devices.protocol.envelope import seal
from devices.protocol.reports import Health
from devices.protocol.topics import UpChannel, up_topic
from loa.errors import OperatorNeeded
from loa.names import node_id
from loa.units import InstantMs
from tests.controller.wire.scripted import ADMIN, EPOCH, SmallWorld, small_world
from tests.controller.wire.waiting import eventually


async def _view(world: SmallWorld, name: str) -> NodeView:
    ctx = world.centre.context(ADMIN)
    return await world.centre.reading(lambda session: node(session, ctx, name))


async def test_a_captured_health_does_not_keep_a_node_alive(tmp_path: Path) -> None:
    async with small_world(tmp_path) as world:
        box = await world.node()
        counters = world.centre.transmitter.wire.counters
        first, second = box.health(uptime_s=10), box.health(uptime_s=70, session=2)
        for said in (first, second):
            box.say(UpChannel.HEALTH, said)
        await eventually(lambda: counters.received["health"] == 2)
        await eventually(lambda: world.centre.transmitter.liveness._health_at.get(box.name) is not None)
        before = await _view(world, box.name)
        attacker = LoopbackLink(world.broker)
        await attacker.start(box)
        await eventually(lambda: attacker.is_up)
        for captured in (first, second, second):
            assert attacker.publish(up_topic(box.name, UpChannel.HEALTH), seal(captured, box.identity.key), qos=1)
        await eventually(lambda: counters.refused["replay"] == 3)
        assert await _view(world, box.name) == before
        box.say(UpChannel.HEALTH, box.health(uptime_s=71, session=2))
        await eventually(lambda: counters.received["health"] == 6)
        await asyncio.sleep(0)
        assert counters.refused["replay"] == 3


async def test_a_restart_of_the_centre_does_not_forget_what_was_said(tmp_path: Path) -> None:
    async with small_world(tmp_path) as world:
        box = await world.node()
        said = box.health(uptime_s=10)
        box.say(UpChannel.HEALTH, said)
        freshness = world.centre.transmitter._freshness
        await eventually(lambda: box.name in freshness._newest)
        await freshness.load(world.centre.db)
        box.say(UpChannel.HEALTH, said)
        await eventually(lambda: world.centre.transmitter.wire.counters.refused["replay"] == 1)


async def test_what_is_too_long_does_not_wait_among_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with small_world(tmp_path) as world:
        box = await world.node()
        transmitter = world.centre.transmitter
        waiting: list[object] = []
        monkeypatch.setattr(transmitter.reports, "add", waiting.append)
        assert box.link.publish(up_topic(box.name, UpChannel.RECEIPT), bytes(500_000), qos=1)
        await eventually(lambda: transmitter.wire.counters.refused["malformed"] == 1)
        assert waiting == []


async def test_many_strangers_at_once_are_one_look(tmp_path: Path) -> None:
    async with small_world(tmp_path) as world:
        registry, looks = world.centre.transmitter.registry, [0]
        refresh = registry.refresh

        async def counted() -> None:
            looks[0] += 1
            await asyncio.sleep(0)
            await refresh()

        registry.refresh = counted  # type: ignore[method-assign]
        registry._read_at = -1000.0
        found = await asyncio.gather(*(registry.find(f"stranger-{number}") for number in range(300)))
        assert found == [None] * 300
        assert looks[0] == 1


HEALTHS = st.builds(
    Health,
    node=st.just(node_id("loa-1")),
    session=st.integers(1, 5),
    at=st.integers(0, 50).map(InstantMs),
    uptime_s=st.integers(0, 5),
    epoch=st.just(EPOCH),
)


@given(HEALTHS, HEALTHS)
def test_of_two_healths_at_most_one_follows_the_other_within_a_session(one: Health, other: Health) -> None:
    assert not is_news(one, one)
    assert is_news(None, one)
    if one.session == other.session and one.uptime_s != other.uptime_s:
        assert is_news(one, other) is not is_news(other, one)
    later = replace(one, session=one.session + 1)
    assert is_news(one, later)


async def test_who_came_while_the_tables_were_away_is_greeted_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with small_world(tmp_path) as world:
        box = await world.node()
        away, genuine = [True], owed.reconcile

        def now_and_then(*given: object, **how: object) -> object:
            if away:
                raise OperatorNeeded("database_unreachable", reason="away")
            return genuine(*given, **how)  # type: ignore[arg-type]

        monkeypatch.setattr(reconcile, "reconcile", now_and_then)
        box.say(UpChannel.HEALTH, box.health(acknowledged=5, last_number=5))
        await eventually(lambda: world.centre.transmitter.wire.counters.faults["reconciliation"] >= 1)
        away.clear()
        await eventually(lambda: box.acknowledged() == [0])
