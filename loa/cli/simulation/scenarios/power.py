"""Power that fails at the worst moment, and disks that fill."""

from loa.cli.simulation.scenarios import scenario
from loa.cli.simulation.world import DAY_S, HOUR_S, MINUTE_S, World


@scenario(fault=4, boxes=1)
async def power_fails_around_the_start(world: World) -> None:
    """A box loses its power in each of the writes around STARTED: nothing sounds twice, and each has an outcome."""
    (box,) = await world.commune()
    notice = await world.bulletin("notice", 20)
    first = await world.say(notice)
    await world.passes(10 * MINUTE_S)
    world.all_heard([box], first)
    for writes in range(1, 9):
        issued = await world.say(notice)
        box.platter.cut_in = writes
        world.province.counted.troubles += 1
        await world.passes(10)
        box.platter.cut_in = None
        await box.power_on()
        await world.passes(5 * MINUTE_S)
        world.must("I7", box.name, world.outcome(issued, box) not in ("waiting", "started"), "told no end of it")
    await world.passes(HOUR_S)


@scenario(fault=16)
async def power_fails_everywhere(world: World) -> None:
    """Boxes and centre lose their power together, again and again: nothing that was acknowledged is gone."""
    boxes = await world.commune()
    notice = await world.bulletin("notice", 30)
    await world.passes(5 * MINUTE_S)
    random = world.province.chance.named("cuts").random
    for _ in range(8):
        await world.say(notice)
        await world.passes(random.uniform(0, 40))
        world.province.kill_centre()
        for box in boxes:
            world.province.counted.troubles += 1
            box.power_cut()
        await world.passes(random.uniform(1, 60))
        await world.province.start_centre()
        for box in boxes:
            await box.power_on()
        await world.passes(6 * MINUTE_S)
    await world.passes(HOUR_S)


@scenario(fault=17, boxes=1)
async def torn_writes(world: World) -> None:
    """The power fails in the middle of one write after the other: what is read is the old or the new, never half."""
    (box,) = await world.commune()
    news = await world.bulletin("news", 60)
    await world.province.programme("quang-ninh/co-to", news, hours="5,6,7")
    for writes in range(1, 40):
        box.platter.cut_in = writes
        world.province.counted.troubles += 1
        issued = await world.say(news) if writes % 8 == 0 else None
        await world.passes(MINUTE_S)
        box.platter.cut_in = None
        await box.power_on()
        await world.passes(2 * MINUTE_S)
        world.must("works", box.name, box.failure is None, f"gave up after write {writes}: {box.failure!r} {issued}")
    await world.passes(HOUR_S)
    last = await world.say(news)
    await world.passes(10 * MINUTE_S)
    world.all_heard([box], last)
    await world.passes(HOUR_S)


@scenario(fault=25, boxes=2)
async def brown_out(world: World) -> None:
    """The battery gives in whenever the amplifier is on: the box is off, and does not begin it again and again."""
    weak, strong = await world.commune()
    speech = await world.bulletin("speech", 60)
    await world.passes(5 * MINUTE_S)
    issued = await world.say(speech)

    def sags() -> None:
        if weak.on and weak.soundings and weak.soundings[-1].how == "on":
            world.province.counted.troubles += 1
            weak.power_cut()
            world.later(5, lambda: world.spawn(weak.power_on()))
        world.later(3, sags)

    sags()
    await world.passes(30 * MINUTE_S)
    world.must("control", weak.name, any(one.how == "power" for one in weak.soundings), "never browned out")
    world.must("I3", weak.name, len(world.heard(weak, issued)) == 1, "began it again after the brown-out")
    world.must("I7", weak.name, world.outcome(issued, weak) == "unconfirmed", "did not say that it is unconfirmed")
    world.all_heard([strong], issued)


@scenario(fault=14, boxes=2)
async def box_disk_full(world: World) -> None:
    """A box's disk is all but full: older ordinary audio gives way, and what is needed next is played."""
    small, large = await world.commune()
    small.platter.memory.capacity = 500_000
    world.province.trouble(small.name, "has a disk of 500 kB")
    issued = []
    for number in range(8):
        speech = await world.bulletin(f"speech {number}", 100)
        issued.append(await world.say(speech))
        await world.passes(20 * MINUTE_S)
    for broadcast in issued:
        world.all_heard([small, large], broadcast)
    await world.passes(HOUR_S)


@scenario(boxes=50, days=7)
async def quiet_week(world: World) -> None:
    """Nothing goes wrong in a commune of 50 boxes for a week, with health every 15 minutes: all is heard, once."""
    boxes = await world.commune()
    news = await world.bulletin("news", 300)
    await world.province.programme("quang-ninh/co-to", news, hours="5,17")
    for day in range(round(world.days)):
        await world.passes(DAY_S)
        world.progress(f"day {day + 1}")
    for broadcast in world.planned():
        if broadcast.start_at < world.now() - 15 * MINUTE_S * 1000:
            world.all_heard(boxes, broadcast.id)
