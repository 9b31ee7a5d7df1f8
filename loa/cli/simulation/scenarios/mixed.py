"""Everything at once, at moments drawn from the seed."""

from loa.cli.simulation.scenarios import scenario
from loa.cli.simulation.storm import HOUR_S, Storm, StormPlan
from loa.cli.simulation.world import World

LONG_DAYS = 2.0


def _plan(boxes: int, days: float) -> StormPlan:
    """A day is as dense as it can be; from two days on as many worlds can be told for the same work."""
    if days < LONG_DAYS:
        return StormPlan(boxes=boxes, days=days)
    return StormPlan(
        boxes=boxes,
        days=days,
        between_troubles_s=HOUR_S,
        between_wishes_s=8 * HOUR_S,
        between_emergencies_s=36 * HOUR_S,
        health_interval_s=3600,
    )


@scenario(boxes=12, days=1.0, starts="2026-11-23T00:00")
async def storm(world: World) -> None:
    """Links, power, clocks, disks, broker and centre fail at random while people go on working; then all is mended."""
    await Storm(world.province, _plan(world.boxes, world.days), world.progress).run()
    world.must(
        "control", "centre", world.province.centre is not None, "is not there at the end, so nothing was compared"
    )
