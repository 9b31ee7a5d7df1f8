"""Boxes on a wire behind a station."""

from loa.cli.simulation.scenarios import scenario
from loa.cli.simulation.world import COMMUNE, HOUR_S, MINUTE_S, World
from loa.names import AreaPath
from simulators.world.box import Box
from simulators.world.station import StationBox


async def wired_commune(world: World) -> tuple[StationBox, list[Box]]:
    await world.province.start_centre()
    await world.province.areas(COMMUNE)
    station = world.province.station("station")
    boxes = []
    for number in range(world.boxes):
        box = await world.province.enrol(f"wired-{number + 1:02d}", AreaPath(COMMUNE), station)
        assert box is not None
        boxes.append(box)
    await station.power_on()
    for box in boxes:
        await box.power_on()
    await world.passes(5 * MINUTE_S)
    return station, boxes


@scenario(fault=18)
async def noise_on_the_wires(world: World) -> None:
    """One bit in a thousand is wrong on the wires: nothing false is obeyed, and what comes through whole is."""
    station, boxes = await wired_commune(world)
    notice = await world.bulletin("notice", 20)
    await world.passes(20 * MINUTE_S)
    world.province.trouble("station", "has noise on its wires")
    station.wires.bit_errors = 1e-3
    for box in boxes:  # six of seven frames are spoilt: what it never heard of it cannot answer for
        box.in_reach(False)
    for _ in range(5):
        await world.say(notice)
        await world.passes(5 * MINUTE_S)
    station.wires.bit_errors = 0.0
    for box in boxes:
        box.in_reach(True)
    await world.passes(5 * MINUTE_S)
    issued = await world.say(notice)
    await world.passes(HOUR_S)
    world.all_heard(boxes, issued)


@scenario(fault=19)
async def station_without_power(world: World) -> None:
    """The station loses its power for an hour: its boxes play their timetable all the same, and tell it afterwards."""
    station, boxes = await wired_commune(world)
    news = await world.bulletin("news", 60)
    await world.province.programme(COMMUNE, news, hours="5,6,7")
    await world.passes(HOUR_S + 30 * MINUTE_S)
    world.province.counted.troubles += 1
    station.power_cut()
    await world.passes(HOUR_S)
    await station.power_on()
    await world.passes(2 * HOUR_S)
    planned = world.planned()
    world.must("control", "centre", len(planned) == 3, f"{len(planned)} broadcasts were planned, not 3")
    for broadcast in planned:
        world.all_heard(boxes, broadcast.id)
        for box in boxes:
            world.must("I7", box.name, world.outcome(broadcast.id, box) == "finished", "did not tell it afterwards")


@scenario(fault=20, boxes=2)
async def two_stations_on_one_bus(world: World) -> None:
    """A second master speaks on the same wires: it is counted as a stranger, and nothing unauthorised sounds."""
    station, boxes = await wired_commune(world)
    notice = await world.bulletin("notice", 20)
    await world.passes(20 * MINUTE_S)
    second = StationBox("second", world.province.broker, world.province.clock, world.province.chance.named("2"),
                        world.province.story)  # fmt: skip
    second.wires, second.drops = station.wires, station.drops
    world.province.trouble("second", "is connected to the same wires")
    await second.power_on()
    await world.passes(10 * MINUTE_S)
    assert station.relay is not None
    strangers = station.relay.bus.strangers
    world.must("control", "station", strangers > 0, "did not notice the second station")
    second.power_cut()
    await world.passes(10 * MINUTE_S)
    issued = await world.say(notice)
    await world.passes(HOUR_S)
    world.all_heard(boxes, issued)
