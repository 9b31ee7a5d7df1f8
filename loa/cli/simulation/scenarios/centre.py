"""The centre dies, fills up, is locked, is gone for good: nothing promised is lost, and the villages go on."""

import sqlite3

from loa.cli.simulation.scenarios import scenario
from loa.cli.simulation.world import DAY_S, HOUR_S, MINUTE_S, World


@scenario(fault=3, boxes=2)
async def centre_killed_while_issuing(world: World) -> None:
    """The centre is killed at each of the first twelve awaits of issuing; what it took is played, once."""
    boxes = await world.commune()
    notice = await world.bulletin("notice", 20)
    await world.passes(5 * MINUTE_S)
    taken = []
    for turns in range(12):
        world.in_a_moment(turns, world.province.kill_centre)
        issued = await world.province.say("quang-ninh/co-to", notice)
        await world.passes(5)
        await world.province.start_centre()
        if issued is not None:
            taken.append(issued)
        await world.passes(4 * MINUTE_S)
    world.must("control", "centre", len(taken) > 0, "never took the broadcast: the kills came too early")
    await world.passes(10 * MINUTE_S)
    for issued in taken:
        world.all_heard(boxes, issued)
    await world.passes(HOUR_S)


@scenario(fault=13)
async def centre_disk_full(world: World) -> None:
    """The centre's disk is full: new wishes are refused clearly, and an emergency released before still reaches all."""
    boxes = await world.commune()
    officers = await world.officers()
    warning = await world.bulletin("warning", 20)
    await world.passes(5 * MINUTE_S)
    boxes[0].power_cut()
    emergency = await officers.release("quang-ninh/co-to", warning)
    assert emergency is not None
    centre = world.province.centre
    assert centre is not None
    world.province.trouble("centre", "has a full disk")
    with centre.db.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    await world.passes(2 * MINUTE_S)
    await boxes[0].power_on()
    await world.passes(5 * MINUTE_S)
    for box in boxes:
        world.must("I2", box.name, bool(world.heard(box, emergency)), "did not sound the emergency")
    with centre.db.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1073741823")
    world.province.story.tell("centre", "has room again")
    world.province.centre_troubled = True
    await world.passes(2 * HOUR_S)


@scenario(fault=15)
async def tables_locked(world: World) -> None:
    """Another process locks the tables for 30 s: the wire goes on, and everything is written afterwards."""
    boxes = await world.commune()
    officers = await world.officers()
    warning = await world.bulletin("warning", 20)
    await world.passes(5 * MINUTE_S)
    boxes[0].power_cut()
    emergency = await officers.release("quang-ninh/co-to", warning, repeats=6)
    assert emergency is not None
    await world.passes(MINUTE_S)
    centre = world.province.centre
    assert centre is not None
    centre.db._busy_ms = 1  # virtual time does not pass while SQLite waits in real time
    world.province.trouble("centre", "finds its tables locked by another process")
    other = sqlite3.connect(world.province.folder / "loa.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    await boxes[0].power_on()
    await world.passes(30)
    reached = bool(world.heard(boxes[0], emergency))
    other.execute("ROLLBACK")
    other.close()
    world.province.story.tell("centre", "has its tables again")
    world.must("I2", boxes[0].name, reached, "was not reached while the tables were locked")
    world.province.centre_troubled = True
    await world.passes(2 * HOUR_S)


@scenario(fault=30, boxes=4, days=7)
async def alone(world: World) -> None:
    """The centre is destroyed and every link cut for 7 days: each scheduled broadcast plays, within 2 s."""
    boxes = await world.commune()
    news = await world.bulletin("news", 60)
    await world.province.programme("quang-ninh/co-to", news, hours="5,17")
    await world.passes(HOUR_S)
    world.province.kill_centre()
    for box in boxes:
        world.province.trouble(box.name, "is cut off")
        assert box.link is not None
        box.link.drop("cut")
    await world.passes(world.days * DAY_S - HOUR_S - 10 * MINUTE_S)
    await world.province.start_centre()
    for box in boxes:
        assert box.link is not None
        box.link.restore()
    await world.passes(10 * MINUTE_S)
    due = [one for one in world.planned() if one.start_at < world.now() - 15 * MINUTE_S * 1000]
    world.must("control", "centre", len(due) == 2 * round(world.days), f"{len(due)} broadcasts in {world.days} days")
    for broadcast in due:
        world.all_heard(boxes, broadcast.id)
        for box in boxes:
            for one in world.heard(box, broadcast.id):
                off_ms = one.began_ms - broadcast.start_at
                world.must("I7", box.name, abs(off_ms) <= 2000, f"sounded {broadcast.id[:8]} {off_ms} ms off")
    await world.passes(HOUR_S)
