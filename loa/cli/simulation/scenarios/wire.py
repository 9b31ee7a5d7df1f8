"""Links that break, repeat, overtake, swallow and crawl."""

from dataclasses import replace

from devices.links.loopback import LoopbackLink
from loa.cli.simulation.attacker import Tap
from loa.cli.simulation.scenarios import scenario
from loa.cli.simulation.world import HOUR_S, MINUTE_S, World


@scenario(fault=5, boxes=2)
async def link_cut_in_a_transfer(world: World) -> None:
    """The link is cut in the middle of a bulletin: only the rest comes later, and it sounds whole."""
    cut, whole = await world.commune()
    for box in (cut, whole):
        box.air.weather = replace(box.air.weather, rate=8_000.0)
    speech = await world.bulletin("speech", 450)
    await world.province.programme("quang-ninh/co-to", speech, hours="6")
    link = cut.air
    before = link.bytes_down
    moving = await world.until(lambda: link.bytes_down - before > 250_000, within_s=2 * HOUR_S)
    world.must("control", cut.name, moving, "no transfer was under way")
    at = link.bytes_down
    world.province.trouble(cut.name, "loses its link in the transfer")
    link.drop("cut")
    await world.passes(5 * MINUTE_S)
    link.restore()
    await world.passes(3 * HOUR_S)
    again = link.bytes_down - at
    world.must("control", cut.name, again < 300_000, f"took {again} bytes after the cut: it began anew")
    for broadcast in world.planned():
        world.all_heard([cut, whole], broadcast.id)


@scenario(fault=6, boxes=2)
async def everything_a_hundred_times(world: World) -> None:
    """Every message to the boxes arrives a hundred times: each broadcast sounds once."""
    boxes = await world.commune()
    notice = await world.bulletin("notice", 20)
    await world.passes(5 * MINUTE_S)
    tap = Tap(world, "loa/1/a/#", "loa/1/n/#")
    await tap.start()
    issued = [await world.say(notice)]
    await world.passes(MINUTE_S)
    tap.replay(times=100)
    await world.passes(10 * MINUTE_S)
    issued.append(await world.say(notice))
    await world.passes(5)
    tap.replay(times=100)
    await world.passes(10 * MINUTE_S)
    world.must("control", "attacker", tap.sent > 1000, f"only {tap.sent} messages were repeated")
    for broadcast in issued:
        world.all_heard(boxes, broadcast)
    await tap.stop()


@scenario(fault=7)
async def cancel_comes_first(world: World) -> None:
    """The cancel of an emergency overtakes it, at boxes that were away: it stays cancelled there."""
    boxes = await world.commune()
    officers = await world.officers()
    warning = await world.bulletin("warning", 30)
    await world.passes(5 * MINUTE_S)
    late = boxes[1:]
    tap = Tap(world, "loa/1/a/+/+/order", "loa/1/n/+/order")
    await tap.start()
    for box in late:
        assert box.link is not None
        box.link.drop("cut")
    emergency = await officers.release("quang-ninh/co-to", warning)
    assert emergency is not None
    await world.passes(5)
    await officers.cancel(emergency)
    for box in late:
        assert box.link is not None
        box.link.restore()
    await world.passes(20)
    tap.replay(times=3)  # now the alert itself comes, late
    await world.passes(10 * MINUTE_S)
    world.must("control", boxes[0].name, bool(world.heard(boxes[0], emergency)), "never sounded it before the cancel")
    for box in late:
        world.must("I1", box.name, not world.heard(box, emergency), "sounded an emergency that was cancelled before")
    await tap.stop()
    await world.passes(HOUR_S)


@scenario(fault=21)
async def half_open_link(world: World) -> None:
    """A link swallows everything and nobody notices: the box is shown as silent within 100 s, and catches up later."""
    world.province.health_interval_s = 60
    boxes = await world.commune()
    notice = await world.bulletin("notice", 30)
    await world.passes(5 * MINUTE_S)
    box, centre = boxes[0], world.province.centre
    assert box.link is not None
    assert centre is not None
    world.province.trouble(box.name, "has a half-open link")
    box.link.half_open()
    began = world.now()
    silent = await world.until(lambda: box.name in centre.transmitter.liveness._silent, within_s=180)
    world.must("control", box.name, silent and world.now() - began <= 101_000, "was not shown as silent within 100 s")
    issued = await world.say(notice)
    await world.passes(10 * MINUTE_S)
    world.all_heard(boxes[1:], issued)


@scenario(fault=24, boxes=2)
async def one_way_loss(world: World) -> None:
    """A box hears the centre, but nothing that it says arrives: it is not claimed to have played before it says so."""
    mute, well = await world.commune()
    notice = await world.bulletin("notice", 30)
    first = await world.say(notice)
    await world.passes(10 * MINUTE_S)
    world.province.trouble(mute.name, "is not heard any more")
    mute.air.muted = True
    issued = await world.say(notice)
    await world.passes(5 * MINUTE_S)
    world.must("control", mute.name, bool(world.heard(mute, issued)), "did not sound it, though it could hear")
    world.must("I5", mute.name, world.outcome(issued, mute) == "waiting", "was claimed without a word from it")
    mute.air.muted = False
    await world.passes(HOUR_S)
    world.must("I7", mute.name, world.outcome(issued, mute) == "finished", "did not tell it afterwards")
    world.all_heard([mute, well], issued)
    world.all_heard([well], first)


@scenario(fault=27, boxes=5)
async def one_slow_box(world: World) -> None:
    """One box's link takes 60 s for everything: no other waits for it."""
    boxes = await world.commune()
    notice = await world.bulletin("notice", 30)
    await world.passes(5 * MINUTE_S)
    slow = boxes[0]
    world.province.trouble(slow.name, "has a link that takes 60 s")
    slow.air.weather = replace(slow.air.weather, delay_up_s=60.0, delay_down_s=60.0)
    issued = await world.say(notice)
    start_at = world.province.ledger.issued[issued]
    await world.passes(10 * MINUTE_S)
    world.all_heard(boxes[1:], issued)
    for box in boxes[1:]:
        for one in world.heard(box, issued):
            off_ms = one.began_ms - start_at
            world.must("control", box.name, abs(off_ms) < 1000, f"began {off_ms} ms off because another is slow")
    await world.passes(HOUR_S)


@scenario(fault=23, boxes=2)
async def same_name_twice(world: World) -> None:
    """Two machines speak under one box's name; the second has another key: it is refused and counted."""
    boxes = await world.commune()
    centre = world.province.centre
    assert centre is not None
    before = sum(centre.transmitter.wire.counters.refused.values())
    double = LoopbackLink(world.province.broker)
    await double.start(Tap(world))
    await world.passes(1)
    world.province.trouble("attacker", f"speaks under the name of {boxes[0].name}")
    for box, name in ((boxes[1], boxes[0].name),):
        assert box.node is not None
        told = box.node._session
        double.publish(f"loa/1/n/{name}/health", _health_of(box, told.number))
    await world.passes(5)
    refused = sum(centre.transmitter.wire.counters.refused.values()) - before
    world.must("control", "centre", refused == 1, f"counted {refused} refusals")


def _health_of(box: object, session: int) -> bytes:
    from devices.protocol.envelope import seal
    from simulators.world.box import Box

    assert isinstance(box, Box)
    assert box.node is not None
    return seal(box.node._health(session), box.identity.key)
