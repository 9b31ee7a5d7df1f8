"""What waits does not look: a box without a link, a bus on which nothing happens, a centre whose box is away."""

from dataclasses import replace

import pytest

from controller.services.nodes import list_nodes
from controller.tables import StateDocument
from loa.cli.simulation.province import PERSON
from loa.cli.simulation.runs import run_scenario
from loa.cli.simulation.scenarios import Scenario
from loa.cli.simulation.scenarios.wired import wired_commune
from loa.cli.simulation.world import COMMUNE, HOUR_S, MINUTE_S, World
from simulators.world.held import Published


def _scenario(run: object) -> Scenario:
    return Scenario("idle", 0, run, 1, 0.0, "2026-11-23T04:00")  # type: ignore[arg-type]


def test_a_box_that_lacks_audio_and_has_no_link_sleeps() -> None:
    turns: list[int] = []

    async def run(world: World) -> None:
        """It was in the middle of a transfer when its link was cut."""
        (box,) = await world.commune()
        box.air.weather = replace(box.air.weather, rate=4_000.0)
        speech = await world.bulletin("speech", 450)
        await world.province.programme(COMMUNE, speech, hours="9")
        link = box.air
        before = link.bytes_down
        assert await world.until(lambda: link.bytes_down - before > 50_000, within_s=2 * HOUR_S)
        link.drop("cut")
        await world.passes(MINUTE_S)
        began = world.province.loop.turns
        await world.passes(HOUR_S)
        turns.append(world.province.loop.turns - began)
        link.restore()
        await world.passes(6 * HOUR_S)

    outcome = run_scenario(_scenario(run), 1)
    assert outcome.ok, outcome.breaches
    assert turns[0] < 500


def test_documents_for_a_box_that_is_away_are_sent_less_and_less() -> None:
    """They change each day. At first it is sent them soon again, then once an hour, and it has them once it is back."""
    sent, held = 0, False

    async def run(world: World) -> None:
        nonlocal sent, held
        (box,) = await world.commune()
        broker = world.province.broker
        mine = f"/{box.name}/ctl"

        def count(one: Published) -> list[Published]:
            nonlocal sent
            sent += one.topic.endswith(mine)
            return [one]

        await world.passes(HOUR_S)
        box.power_cut()
        broker.grip = count
        await world.passes(48 * HOUR_S)
        broker.grip = None
        away = sent
        broker.forget()  # so it has them of nobody but us
        await box.power_on()
        await world.passes(MINUTE_S)
        centre = world.province.centre
        assert centre is not None
        assert box.node is not None
        ctx = centre.context(PERSON)
        (view,) = await centre.reading(lambda session: list_nodes(session, ctx))
        issued = await centre.reading(lambda session: session.get(StateDocument, ("quang-ninh", "trust")))
        assert issued is not None
        assert view.health is not None
        sent, held = away, view.health.trust_version == issued.version

    outcome = run_scenario(_scenario(run), 1)
    assert outcome.ok, outcome.breaches
    assert 0 < sent < 2 * 2 * (48 + 8)
    assert held


@pytest.mark.slow
def test_boxes_on_a_quiet_bus_know_the_time() -> None:
    """Their station polls them once a minute: a question would wait until its answer counts no more."""
    off_ms: list[int] = []

    async def run(world: World) -> None:
        _, boxes = await wired_commune(world)
        for _ in range(48):
            await world.passes(HOUR_S)
            for box in boxes:
                assert box.node is not None
                told = box.node.status().now_ms
                assert told is not None
                off_ms.append(abs(told - world.province.clock.now_ms()))

    outcome = run_scenario(Scenario("idle", 0, run, 2, 0.0, "2026-11-23T04:00"), 1)
    assert outcome.ok, outcome.breaches
    assert max(off_ms) < 50
