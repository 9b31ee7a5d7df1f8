"""Emergencies: at least once at every box that can hear, until they are over or taken back."""

from controller.services.settings_changes import store_siren
from devices.protocol.common import DRILL_ANNOUNCEMENT
from loa.cli.simulation.province import PERSON
from loa.cli.simulation.scenarios import scenario
from loa.cli.simulation.world import HOUR_S, MINUTE_S, World
from loa.names import AreaPath
from loa.precedence import Kind


@scenario(boxes=4)
async def resent_until_confirmed(world: World) -> None:
    """An emergency is released while boxes are off, cut and half-open, and the centre dies: each is reached in time."""
    boxes = await world.commune()
    officers = await world.officers()
    warning = await world.bulletin("warning", 20)
    await world.passes(10 * MINUTE_S)
    boxes[0].power_cut()
    for box, cut in ((boxes[1], True), (boxes[2], False)):
        assert box.link is not None
        world.province.trouble(box.name, "loses its link" if cut else "has a half-open link")
        if cut:
            box.link.drop("cut")
        else:
            box.link.half_open()
    emergency = await officers.release("quang-ninh/co-to", warning, lasts_s=HOUR_S, repeats=0)
    assert emergency is not None
    await world.passes(30)
    world.province.kill_centre()
    await world.passes(MINUTE_S)
    await world.province.start_centre()
    await world.passes(5 * MINUTE_S)
    await boxes[0].power_on()
    assert boxes[1].link is not None
    boxes[1].link.restore()
    came = world.now()
    await world.passes(2 * MINUTE_S)
    for box in boxes:
        first = next(iter(world.heard(box, emergency)), None)
        world.must("I2", box.name, first is not None, "did not sound the emergency")
        if first is not None and box in boxes[:2]:
            late_ms = first.began_ms - came
            world.must("I2", box.name, late_ms <= 30_000, f"sounded it {late_ms} ms after it came back")
    await world.passes(2 * HOUR_S)
    for box in boxes:
        world.must("I2", box.name, world.outcome(emergency, box) in ("finished", "stopped"), "told no end of it")


@scenario(boxes=2)
async def over_before_it_came_back(world: World) -> None:
    """A box comes back when the emergency has expired: it stays silent."""
    away, there = await world.commune()
    officers = await world.officers()
    warning = await world.bulletin("warning", 20)
    await world.passes(5 * MINUTE_S)
    away.power_cut()
    emergency = await officers.release("quang-ninh/co-to", warning, lasts_s=600)
    assert emergency is not None
    await world.passes(11 * MINUTE_S)
    await away.power_on()
    await world.passes(20 * MINUTE_S)
    world.must("I1", away.name, not world.heard(away, emergency), "sounded an emergency that was over")
    world.must("control", there.name, bool(world.heard(there, emergency)), "did not sound it in time")


@scenario(boxes=2)
async def over_an_ordinary_one(world: World) -> None:
    """An emergency comes into an ordinary broadcast: it is on the air within two seconds, alone."""
    boxes = await world.commune()
    officers = await world.officers()
    warning = await world.bulletin("warning", 20)
    speech = await world.bulletin("speech", 300)
    await world.passes(5 * MINUTE_S)
    ordinary = await world.say(speech)
    sounding = await world.until(lambda: all(world.heard(box, ordinary) for box in boxes), within_s=15 * MINUTE_S)
    world.must("control", "boxes", sounding, "the ordinary broadcast did not begin")
    await world.passes(10)
    emergency = await officers.release("quang-ninh/co-to", warning)
    assert emergency is not None
    released = world.now()
    await world.passes(5 * MINUTE_S)
    for box in boxes:
        stopped = world.heard(box, ordinary)[0].ended_ms
        began = world.heard(box, emergency)[0].began_ms if world.heard(box, emergency) else None
        world.must("I2", box.name, began is not None and began - released <= 15_000, f"began after {began}")
        if began is not None:
            world.must("I2", box.name, stopped is not None and stopped <= began, "went on with the ordinary one")
    await world.passes(HOUR_S)


@scenario(fault=28, boxes=2)
async def revoked_while_it_sounds(world: World) -> None:
    """One of the two who released a provincial emergency is revoked meanwhile: it stops, and they release no more."""
    boxes = await world.commune()
    officers = await world.officers()
    warning = await world.bulletin("warning", 20)
    await world.passes(5 * MINUTE_S)
    emergency = await officers.release("quang-ninh", warning, lasts_s=HOUR_S, repeats=0)
    assert emergency is not None
    await world.passes(2 * MINUTE_S)
    for box in boxes:
        world.must("control", box.name, box.node is not None and box.node.status().playing is not None, "is silent")
    await officers.revoke(officers.province[1])
    world.province.ledger.recalled[emergency] = world.now()
    world.province.ledger.revoked.add(emergency)
    await world.passes(2 * MINUTE_S)
    for box in boxes:
        still = box.node is not None and box.node.status().playing is not None
        world.must("I1", box.name, not still, "goes on on the word of somebody who was revoked")
    second = await officers.release("quang-ninh", warning, lasts_s=600)
    world.must("I1", "centre", second is None, "took an alert of somebody who was revoked")
    local = await officers.release("quang-ninh/co-to", warning, lasts_s=600)
    assert local is not None
    await world.passes(5 * MINUTE_S)
    for box in boxes:
        world.must("control", box.name, bool(world.heard(box, local)), "did not sound what the commune released")


@scenario(boxes=2)
async def one_of_two(world: World) -> None:
    """One person of the province alone, wherever, and a commune for the province: nobody takes it, nothing sounds."""
    boxes = await world.commune()
    officers = await world.officers()
    warning = await world.bulletin("warning", 20)
    await world.passes(5 * MINUTE_S)
    first, operator = officers.province[0], officers.for_area("quang-ninh/co-to")[0]
    for area, people in (
        ("quang-ninh", [first]),
        ("quang-ninh/co-to", [first]),
        ("quang-ninh/co-to", [first, first]),
        ("quang-ninh", [operator]),
        ("quang-ninh", [first, operator]),
    ):
        made = await officers.release(area, warning, people=people)
        world.must("I1", "centre", made is None, f"took an alert for {area} of {len(people)}")
    await world.passes(5 * MINUTE_S)
    for box in boxes:
        world.must("I1", box.name, not box.soundings, "sounded what too few approved")
    emergency = await officers.release("quang-ninh", warning, lasts_s=HOUR_S, repeats=0)
    assert emergency is not None
    await world.passes(2 * MINUTE_S)
    taken = await officers.cancel(emergency, operator)
    world.must("I1", "centre", not taken, "let a commune cancel a provincial alert")
    for box in boxes:
        world.must("control", box.name, bool(world.heard(box, emergency)), "did not sound what two released")
    await officers.cancel(emergency)
    await world.passes(MINUTE_S)
    for box in boxes:
        world.must("I1", box.name, box.soundings[-1].how != "on", "goes on after the cancel")


@scenario(boxes=2)
async def drill(world: World) -> None:
    """A drill waits for its announcement and begins with it; a live alert takes the air from it at once."""
    boxes = await world.commune()
    officers = await world.officers(drills=True)
    warning = await world.bulletin("warning", 20)
    announcement = await world.bulletin("this is a drill", 6)
    driller = officers.drills[AreaPath("quang-ninh/co-to")]
    await world.passes(5 * MINUTE_S)
    early = await officers.release("quang-ninh/co-to", warning, people=[driller], kind=Kind.DRILL, lasts_s=120)
    crossed = await officers.release("quang-ninh/co-to", warning, people=[driller])
    assert early is not None
    world.must("I1", "centre", crossed is None, "took a live alert under a drill key")
    await world.passes(5 * MINUTE_S)
    for box in boxes:
        world.must("I1", box.name, not box.soundings, "sounded a drill that it could not announce")
        world.must("I7", box.name, world.outcome(early, box) == "skipped", f"told {world.outcome(early, box)}")
    centre = world.province.centre
    assert centre is not None
    await centre.do(
        PERSON,
        lambda session, ctx: store_siren(
            session, ctx, area="quang-ninh", code=DRILL_ANNOUNCEMENT, bulletin=announcement.id
        ),
    )
    await world.passes(HOUR_S)
    practice = await officers.release(
        "quang-ninh/co-to", warning, people=[driller], kind=Kind.DRILL, lasts_s=HOUR_S, repeats=0
    )
    assert practice is not None
    await world.passes(2 * MINUTE_S)
    whole_ms = announcement.duration_ms + warning.duration_ms
    for box in boxes:
        heard = world.heard(box, practice)
        world.must("control", box.name, bool(heard), "did not sound the drill")
        behind = [one for one in heard if one.offset_ms or one.limit_ms != whole_ms]
        world.must("I1", box.name, not behind, "sounded a drill without its announcement first")
    live = await officers.release("quang-ninh/co-to", warning, lasts_s=600, repeats=2)
    assert live is not None
    await world.passes(30)
    for box in boxes:
        now = box.soundings[-1]
        world.must(
            "I2", box.name, now.label == live and now.limit_ms == warning.duration_ms, "does not sound the live one"
        )
    await world.passes(2 * HOUR_S)


@scenario(boxes=3)
async def cancelled(world: World) -> None:
    """An emergency that repeats without end is cancelled: every box is silent, and one that was away stays so."""
    boxes = await world.commune()
    officers = await world.officers()
    warning = await world.bulletin("warning", 20)
    await world.passes(5 * MINUTE_S)
    emergency = await officers.release("quang-ninh/co-to", warning, lasts_s=2 * HOUR_S, repeats=0)
    assert emergency is not None
    await world.passes(2 * MINUTE_S)
    boxes[2].power_cut()
    await officers.cancel(emergency)
    await world.passes(20)
    for box in boxes[:2]:
        world.must("I1", box.name, box.soundings[-1].how != "on", "goes on after the cancel")
    await boxes[2].power_on()
    await world.passes(30)
    world.must("I1", boxes[2].name, boxes[2].soundings[-1].how != "on", "goes on after the cancel")
    await world.passes(HOUR_S)
