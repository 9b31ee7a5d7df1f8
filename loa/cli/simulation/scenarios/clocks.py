"""Clocks that are wrong by years, boxes that know no time, and the calendar."""

from dataclasses import replace

from devices.node.config import NodeConfig
from loa.cli.simulation.scenarios import scenario
from loa.cli.simulation.world import DAY_S, HOUR_S, MINUTE_S, World
from simulators.clocks import Skew

TEN_YEARS_MS = 10 * 365 * 86_400_000.0


async def _wrong_by(world: World, offset_ms: float, *, trusted: bool) -> None:
    """A box with such a clock, off the wire at its boot and on it later, beside one that is right."""
    wrong, right = await world.commune()
    news = await world.bulletin("news", 60)
    await world.province.programme("quang-ninh/co-to", news, hours="5,6,7,8")
    await world.passes(2 * HOUR_S)
    wrong.power_cut()
    wrong.config = NodeConfig(rtc_trusted=trusted, time_wait_s=wrong.config.time_wait_s)
    wrong.skew = Skew(offset_ms, 30.0)
    world.province.trouble(wrong.name, f"has a clock wrong by {offset_ms / TEN_YEARS_MS * 10:+.0f} years")
    await wrong.power_on()
    assert wrong.link is not None
    wrong.link.drop("cut")
    await world.passes(20 * MINUTE_S)
    world.must("control", wrong.name, not wrong.link.is_up, "was on the wire")
    wrong.link.restore()
    await world.passes(HOUR_S * 3)
    for broadcast in world.planned():
        world.all_heard([right], broadcast.id)
        late = world.heard(wrong, broadcast.id)
        world.must("I3", wrong.name, len(late) <= 1, f"sounded {broadcast.id[:8]} {len(late)} times")
    after = [row for row in world.planned() if row.start_at > world.now() - 2 * HOUR_S * 1000]
    world.must("control", "centre", bool(after), "nothing was planned after the boot")
    world.all_heard([wrong], after[-1].id)


@scenario(fault=10, boxes=2)
async def clock_ten_years_ahead(world: World) -> None:
    """A box boots ten years ahead, without a link: it skips nothing and plays nothing that is not due."""
    await _wrong_by(world, TEN_YEARS_MS, trusted=True)


@scenario(fault=11, boxes=2)
async def clock_ten_years_behind(world: World) -> None:
    """A box boots ten years behind, without a link: it repeats nothing."""
    await _wrong_by(world, -TEN_YEARS_MS, trusted=True)


@scenario(boxes=2)
async def clock_jumps_while_running(world: World) -> None:
    """The wall clock of a running box jumps ten years ahead and back: its broadcasts come when they are due."""
    boxes = await world.commune()
    news = await world.bulletin("news", 60)
    await world.province.programme("quang-ninh/co-to", news, hours="5,6,7,8")
    for years in (10, -10, 0):
        assert boxes[0].clock is not None
        boxes[0].clock.skew = replace(boxes[0].clock.skew, offset_ms=years / 10 * TEN_YEARS_MS)
        world.province.trouble(boxes[0].name, f"finds its clock {years} years off")
        await world.passes(75 * MINUTE_S)
    planned = world.planned()
    world.must("control", "centre", len(planned) >= 3, f"only {len(planned)} broadcasts")
    for broadcast in planned:
        world.all_heard(boxes, broadcast.id)


@scenario(fault=12)
async def boot_without_time(world: World) -> None:
    """A box without a clock boots in an emergency: it sounds it after a challenge, and its timetable waits for time."""
    boxes = await world.commune()
    officers = await world.officers()
    warning = await world.bulletin("warning", 20)
    news = await world.bulletin("news", 60)
    await world.province.programme("quang-ninh/co-to", news, hours="5,6,7")
    await world.passes(10 * MINUTE_S)
    lost = boxes[0]
    lost.power_cut()
    lost.skew = Skew(-TEN_YEARS_MS, 0.0)
    emergency = await officers.release("quang-ninh/co-to", warning, lasts_s=HOUR_S, repeats=0)
    assert emergency is not None
    released = world.now()
    await lost.power_on()
    assert lost.node is not None
    world.must("control", lost.name, lost.node.status().now_ms is None, "knew the time at once")
    reached = await world.until(lambda: bool(world.heard(lost, emergency)), within_s=120)
    world.must("I2", lost.name, reached, "did not sound the emergency")
    await world.passes(3 * HOUR_S)
    after = [row for row in world.planned() if row.start_at > released + HOUR_S * 1000]
    world.must("control", "centre", bool(after), "nothing was planned after the emergency")
    for broadcast in after:
        world.all_heard(boxes, broadcast.id)


@scenario(fault=12, boxes=1)
async def no_time_at_all(world: World) -> None:
    """A box boots without time and without a link: it is silent, however long, and plays again once it is told."""
    (box,) = await world.commune()
    news = await world.bulletin("news", 60)
    await world.province.programme("quang-ninh/co-to", news, hours="5,6,7,8,9")
    await world.passes(30 * MINUTE_S)
    box.power_cut()
    await box.power_on()
    assert box.link is not None
    box.link.drop("cut")
    await world.passes(3 * HOUR_S)
    world.must("I1", box.name, not box.soundings, "sounded without knowing the time")
    box.link.restore()
    await world.passes(2 * HOUR_S)
    last = world.planned()[-1]
    world.all_heard([box], last.id)
    await world.passes(HOUR_S)


@scenario(fault=29, boxes=1, starts="2028-02-27T20:00")
async def leap_day(world: World) -> None:
    """29 February has its broadcasts like any other day, and 1 March comes after it."""
    boxes = await world.commune()
    news = await world.bulletin("news", 60)
    await world.province.programme("quang-ninh/co-to", news, hours="5")
    await world.passes(4 * DAY_S)
    planned = world.planned()
    days = [world.local(row.start_at).strftime("%m-%d %H:%M") for row in planned]
    expected = [f"{day} 05:00" for day in ("02-28", "02-29", "03-01", "03-02")]
    world.must("control", "centre", days == expected, f"planned {days}")
    for broadcast in planned:
        world.all_heard(boxes, broadcast.id)
