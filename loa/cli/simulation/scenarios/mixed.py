"""Everything at once, at moments drawn from the seed."""

from loa.cli.simulation.scenarios import scenario
from loa.cli.simulation.storm import Storm, StormPlan
from loa.cli.simulation.world import World


@scenario(boxes=12, days=1.0, starts="2026-11-23T00:00")
async def storm(world: World) -> None:
    """Links, power, clocks, disks, broker and centre fail at random while people go on working; then all is mended."""
    await Storm(world.province, StormPlan(boxes=world.boxes, days=world.days), world.progress).run()
    world.must(
        "control", "centre", world.province.centre is not None, "is not there at the end, so nothing was compared"
    )
