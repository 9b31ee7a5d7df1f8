"""The broker is not trusted, and its memory is not relied on."""

from loa.cli.simulation.scenarios import scenario
from loa.cli.simulation.world import HOUR_S, MINUTE_S, World


@scenario(fault=1)
async def broker_killed(world: World) -> None:
    """The broker dies just after a broadcast was issued and stays away for 20 s: what is owed is sent again."""
    boxes = await world.commune()
    notice = await world.bulletin("notice", 45)
    await world.passes(10 * MINUTE_S)
    slow = await world.say(notice)
    world.province.trouble("broker", "dies")
    world.province.broker.stop()
    await world.passes(20)
    world.province.broker.start()
    await world.passes(10 * MINUTE_S)
    again = await world.say(notice)
    await world.passes(10 * MINUTE_S)
    world.all_heard(boxes, again)
    for box in boxes:
        world.must("I7", box.name, world.outcome(slow, box) != "waiting", "told nothing of what was owed to it")


@scenario(fault=2)
async def broker_forgets(world: World) -> None:
    """The broker's memory is wiped while half of the boxes are off: everybody has everything again from the tables."""
    boxes = await world.commune()
    news = await world.bulletin("news", 60)
    for box in boxes[::2]:
        box.power_cut()
    await world.province.programme("quang-ninh/co-to", news, hours="6,7")
    world.province.trouble("broker", "dies and has forgotten everything")
    world.province.broker.stop()
    world.province.broker.forget()
    await world.passes(MINUTE_S)
    world.province.broker.start()
    for box in boxes[::2]:
        await box.power_on()
    await world.passes(4 * HOUR_S)
    planned = world.planned()
    world.must("control", "centre", len(planned) == 2, f"{len(planned)} broadcasts were planned, not 2")
    for broadcast in planned:
        world.all_heard(boxes, broadcast.id)


@scenario(fault=22, boxes=60)
async def everybody_at_once(world: World) -> None:
    """All boxes lose the broker and come back in the same moment, and an emergency is released in the rush."""
    boxes = await world.commune()
    officers = await world.officers()
    warning = await world.bulletin("warning", 20)
    await world.passes(10 * MINUTE_S)
    world.province.trouble("broker", "dies")
    world.province.broker.stop()
    await world.passes(30)
    world.province.broker.start()
    emergency = await officers.release("quang-ninh/co-to", warning)
    assert emergency is not None
    released = world.now()
    await world.passes(2 * MINUTE_S)
    for box in boxes:
        world.must("I2", box.name, box.link is not None and box.link.is_up, "is not back after two minutes")
        first = next(iter(world.heard(box, emergency)), None)
        late_ms = None if first is None else first.began_ms - released
        world.must(
            "I2", box.name, late_ms is not None and late_ms < 60_000, f"sounded the emergency after {late_ms} ms"
        )
    await world.passes(HOUR_S)
