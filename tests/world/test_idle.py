"""What waits does not look: a box without a link, and a bus on which nothing happens."""

from dataclasses import replace

from loa.cli.simulation.runs import run_scenario
from loa.cli.simulation.scenarios import Scenario
from loa.cli.simulation.world import COMMUNE, HOUR_S, MINUTE_S, World


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
