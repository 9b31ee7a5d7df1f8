"""Boxes with a sensor at their loudspeakers, in virtual time: what they measured is what their loudspeakers did."""

import pytest

from controller.services.coverage import coverage
from loa.cli.simulation.runs import run_scenario
from loa.cli.simulation.scenarios import Scenario
from loa.cli.simulation.world import World


@pytest.mark.slow
def test_a_box_that_measures_says_so_and_no_other() -> None:
    seen: dict[str, bool] = {}

    async def run(world: World) -> None:
        boxes = await world.commune(boxes=3, on=False)
        boxes[0].is_measured = True
        for box in boxes:
            await box.power_on()
        await world.passes(120)
        talk = await world.bulletin("Tin", 20.0)
        name = await world.say(talk)
        await world.passes(120)
        world.all_heard(boxes, name)
        centre = world.province.centre
        assert centre is not None
        found = await centre.reading(lambda session: coverage(session, name))
        seen.update({str(one.node): one.sounded_at is not None for one in found.nodes})
        seen["measured"] = boxes[0].name == next(str(one.node) for one in found.nodes if one.sounded_at is not None)

    outcome = run_scenario(Scenario("sensors", 0, run, 1, 0.0, "2026-11-23T04:00"), 1)
    assert outcome.ok, outcome.breaches
    assert seen.pop("measured")
    assert sorted(seen.values()) == [False, False, True]
