"""Alerts over a whole province, at moments drawn from the seed."""

from loa.cli.simulation.alert_storm import AlertStorm, AlertStormPlan
from loa.cli.simulation.scenarios import scenario
from loa.cli.simulation.world import World


@scenario(boxes=72, days=0.125, starts="2026-11-23T08:00")
async def alert_storm(world: World) -> None:
    """54 communes under mixed faults: alerts, updates, cancels and drills of the province and of communes at random."""
    storm = AlertStorm(world.province, AlertStormPlan(boxes=world.boxes, days=world.days), world.progress)
    await storm.run()
    world.must("control", "centre", world.province.centre is not None, "is not there at the end")
    released = sum(state != "composed" for state in world.province.ledger.alerts.values())
    world.must("control", "people", released > 0, "released nothing")
