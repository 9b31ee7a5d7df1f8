"""Whether a box could have been told: what the rules about coverage go by."""

from loa.cli.simulation.runs import run_scenario
from loa.cli.simulation.scenarios import Scenario
from loa.cli.simulation.world import COMMUNE, MINUTE_S, World
from loa.names import AreaPath


def test_a_wired_box_is_out_of_reach_as_soon_as_its_station_is() -> None:
    seen: list[bool] = []

    async def run(world: World) -> None:
        """The station loses its power, and then its link; the box on its wires notices neither for minutes."""
        province = world.province
        await province.start_centre()
        await province.areas(COMMUNE)
        station = province.station("station")
        box = await province.enrol("wired", AreaPath(COMMUNE), station)
        assert box is not None
        await station.power_on()
        await box.power_on()
        await world.passes(2 * MINUTE_S)
        seen.append(box.settled(world.now(), 0))
        station.power_cut()
        await world.passes(10)
        seen.append(box.settled(world.now(), 0))
        await station.power_on()
        await world.passes(2 * MINUTE_S)
        seen.append(box.settled(world.now(), 0))
        assert station.link is not None
        station.link.drop("cut")
        await world.passes(10)
        seen.append(box.settled(world.now(), 0))
        station.link.restore()
        await world.passes(2 * MINUTE_S)
        seen.append(box.settled(world.now(), 0))
        box.power_cut()
        station.link.drop("cut")
        station.link.restore()
        await world.passes(2 * MINUTE_S)
        seen.append(box.settled(world.now(), 0))

    outcome = run_scenario(Scenario("reach", 0, run, 1, 0.0, "2026-11-23T04:00"), 1)
    assert outcome.ok, outcome.breaches
    assert seen == [True, False, True, False, True, False], "the last without power"
