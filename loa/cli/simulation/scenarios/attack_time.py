"""The time source belongs to somebody else: the box's wall clock, its NTP, and the way to the centre's clock."""

from collections.abc import Iterable
from dataclasses import replace

from controller.services import nodes
from devices.protocol.envelope import open_sealed, seal
from devices.protocol.media import TimeReply, TimeRequest
from devices.protocol.refusal import RefusalReason, WireRefusal
from loa.cli.simulation.attacker import Attack, KeptBack, Tap
from loa.cli.simulation.scenarios import scenario
from loa.cli.simulation.world import COMMUNE, DAY_S, HOUR_S, MINUTE_S, World
from loa.units import InstantMs
from simulators.clocks import Skew
from simulators.world.box import Box
from simulators.world.held import Published

LOST = Skew(-10 * 365 * DAY_S * 1000, 0.0)
"""A box whose battery is empty."""
MOST_SHIFT_MS = 5_000
"""Half of what a reply may take: further the network cannot move a box's clock."""


def _message(payload: bytes) -> object | None:
    try:
        return open_sealed(payload).message
    except WireRefusal:
        return None


def is_time_reply(one: Published) -> bool:
    return one.topic.endswith("/ctl") and isinstance(_message(one.payload), TimeReply)


def wrong_ms(box: Box, world: World) -> int:
    """How far a box's idea of the time is from the truth; none at all counts as a year."""
    now = None if box.node is None else box.node.status().now_ms
    return 365 * 86_400_000 if now is None else abs(now - world.now())


@scenario(boxes=2)
async def time_replies_forged(world: World) -> None:
    """Somebody else answers each question about the time first, and gives old answers again: no clock moves."""
    boxes = await world.commune()
    notice = await world.bulletin("notice", 20)
    listening = Tap(world, "loa/1/n/+/ctl")
    await listening.start()
    for box in boxes:
        box.power_cut()
        await box.power_on()
    await world.passes(MINUTE_S)
    old = [one for one in listening.caught if isinstance(_message(one.payload), TimeReply)]
    await listening.stop()
    tap = Tap(world)
    await tap.start()
    attack = Attack(world, tap, "time replies forged and given again", "time, broker")
    world.must("control", "attacker", len(old) > 8, f"caught only {len(old)} replies")
    keys = (attack.new_key(), boxes[1].identity.key)

    def answer_first(one: Published) -> Iterable[Published]:
        asked = _message(one.payload) if one.topic.endswith("/time") else None
        if isinstance(asked, TimeRequest):
            wrong = InstantMs(world.now() + 3_600_000)
            lie = TimeReply(
                node=asked.node, nonce=asked.nonce, sent_at=asked.sent_at, received_at=wrong, replied_at=wrong
            )
            for key in keys:
                tap.sent += 1
                world.province.broker.slip(Published(f"loa/1/n/{asked.node}/ctl", seal(lie, key)))
        return (one,)

    world.province.broker.grip = answer_first
    for box in boxes:
        box.power_cut()
        box.skew = LOST
        await box.power_on()
    await world.passes(MINUTE_S)
    for one in old:
        tap.say(one.topic, one.payload)
    await world.passes(MINUTE_S)
    world.province.broker.grip = None
    for box in boxes:
        world.must("I1", box.name, wrong_ms(box, world) < 500, f"has a clock wrong by {wrong_ms(box, world)} ms")
    replays = attack.counted(RefusalReason.REPLAY)
    world.must("control", "boxes", replays >= len(old), f"{replays} of {len(old)} old answers were counted")
    said = await world.say(notice)
    await world.passes(5 * MINUTE_S)
    attack.over(heard=all(world.heard(box, said) for box in boxes))
    await tap.stop()


@scenario(boxes=2)
async def time_kept_back(world: World) -> None:
    """No answer about the time gets through to a box that lost its own: it is silent, and the centre shows that."""
    lost, there = await world.commune()
    notice = await world.bulletin("notice", 20)
    tap = Tap(world)
    await tap.start()
    attack = Attack(world, tap, "the time kept back from a box that lost it", "time, network")
    lost.power_cut()
    lost.skew = LOST
    kept = KeptBack(world, lambda one: is_time_reply(one) and lost.name in one.topic)
    await lost.power_on()
    lost.in_reach(False)
    said = await world.say(notice)
    await world.passes(HOUR_S)
    attack.must_be_silent(lost, said, "sounded without knowing the time")
    shown = _shown_without_time(world)
    world.must("control", "centre", shown == {lost.name}, f"shows {shown} without the time")
    attempts = len(kept.messages)
    kept.let_go(say=False)
    lost.in_reach(True)
    knew = await world.until(lambda: wrong_ms(lost, world) < 500, within_s=HOUR_S)
    again = await world.say(notice)
    await world.passes(5 * MINUTE_S)
    heard = knew and bool(world.heard(lost, again)) and bool(world.heard(there, said))
    attack.over(heard=heard, attempts=1, counted=len(shown), seen_as=f"no time_error_ms, {attempts} replies kept back")
    await tap.stop()


def _shown_without_time(world: World) -> set[str]:
    centre = world.province.centre
    assert centre is not None
    views = centre.db.read(lambda session: nodes.list_nodes(session, centre.context("province")))
    return {str(view.id) for view in views if view.health is not None and view.health.time_error_ms is None}


@scenario(boxes=1)
async def clock_shifted_by_delay(world: World) -> None:
    """Questions about the time are held up one way: a clock is shifted by half of that, within what it says."""
    (box,) = await world.commune()
    notice = await world.bulletin("notice", 20)
    tap = Tap(world)
    await tap.start()
    attack = Attack(world, tap, "questions about the time held up for 3 s and for 12 s", "time, network")
    delay_s = 3.0

    def hold_up(one: Published) -> Iterable[Published]:
        if not one.topic.endswith("/time"):
            return (one,)
        tap.sent += 1
        world.later(delay_s, lambda: world.province.broker.slip(one))
        return ()

    box.power_cut()
    box.skew = LOST
    world.province.broker.grip = hold_up
    await box.power_on()
    await world.passes(5 * MINUTE_S)
    shift = wrong_ms(box, world)
    assert box.node is not None
    error = box.node.status().time_error_ms
    world.must("I1", box.name, 1_000 < shift <= MOST_SHIFT_MS, f"its clock was shifted by {shift} ms")
    world.must("control", box.name, error is not None and error >= shift, f"says it is right within {error} ms")
    world.province.ledger.early_ms = MOST_SHIFT_MS + 2_000
    box.power_cut()
    delay_s = 12.0
    await box.power_on()
    await world.passes(5 * MINUTE_S)
    world.must("I1", box.name, box.node is not None and box.node.status().now_ms is None, "took a late answer")
    box.in_reach(False)
    late = await world.say(notice)
    await world.passes(10 * MINUTE_S)
    attack.must_be_silent(box, late, "sounded without knowing the time")
    refused = attack.counted(RefusalReason.REPLAY)
    world.must("control", box.name, refused > 0, "late answers were not counted")
    world.province.broker.grip = None
    box.in_reach(True)
    await world.until(lambda: wrong_ms(box, world) < 500, within_s=HOUR_S)
    said = await world.say(notice)
    await world.passes(5 * MINUTE_S)
    seen = f"time_error_ms {error} where it was {shift} ms off; replay {refused}"
    attack.over(heard=bool(world.heard(box, said)), attempts=refused, counted=refused, seen_as=seen)
    await tap.stop()


@scenario(boxes=2)
async def wall_clock_poisoned(world: World) -> None:
    """Wall clocks are set back to the time of a capture, which is played back, also over a boot: silence."""
    boxes = await world.commune()
    officers = await world.officers()
    warning, notice = await world.bulletin("warning", 20), await world.bulletin("notice", 20)
    tap = Tap(world, "loa/1/a/#", "loa/1/n/+/order", "loa/1/n/+/ctl")
    await tap.start()
    said = await world.say(notice)
    await world.passes(5 * MINUTE_S)
    alert = await officers.release(COMMUNE, warning, lasts_s=20 * MINUTE_S)
    assert alert is not None
    await world.passes(DAY_S)
    heard = all(world.heard(box, said) and world.heard(box, alert) for box in boxes)
    caught = [one for one in tap.caught if one.topic.endswith("/order") or isinstance(_message(one.payload), TimeReply)]
    attack = Attack(world, tap, "NTP poisoned to the time of a capture, which is played back", "time, broker")
    back = Skew(-(DAY_S + 120) * 1000, 0.0)
    for box in boxes:
        assert box.clock is not None
        box.clock.skew = back
    for one in caught:
        tap.say(one.topic, one.payload)
    await world.passes(HOUR_S)
    first = attack.counted()
    kept = KeptBack(world, is_time_reply)
    for box in boxes:
        box.power_cut()
        box.skew = replace(back)
        await box.power_on()
    attempts = tap.sent
    for one in caught:
        if one.topic.endswith("/order"):
            tap.say(one.topic, one.payload)
    await world.passes(HOUR_S)
    world.must("I1", "boxes", all(wrong_ms(box, world) > DAY_S * 1000 for box in boxes), "believed the poisoned clock")
    kept.let_go(say=False)
    await world.passes(10 * MINUTE_S)
    sounded = [one for box in boxes for one in box.soundings if one.began_ms > world.now() - DAY_S * 500]
    world.must("I1", "boxes", not sounded, f"sounded {len(sounded)} times out of a capture")
    seen = f"refusals {first}, and after the boot no time_error_ms"
    attack.over(heard=heard, attempts=attempts, counted=first, seen_as=seen)
    await tap.stop()
