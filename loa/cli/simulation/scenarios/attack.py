"""Somebody else is on the broker: who listens, says again, forges and spoils. Nothing unauthorised sounds."""

from dataclasses import replace

from devices.protocol.documents import Timetable
from devices.protocol.envelope import open_sealed, seal
from devices.protocol.orders import Order, OrderAction
from devices.protocol.refusal import RefusalReason, WireRefusal
from loa.cli.simulation.attacker import Attack, Tap, order_topic
from loa.cli.simulation.scenarios import scenario
from loa.cli.simulation.world import COMMUNE, DAY_S, HOUR_S, MINUTE_S, World
from loa.precedence import Kind, Precedence
from loa.units import InstantMs


@scenario(fault=8, boxes=2)
async def flipped_bits(world: World) -> None:
    """Copies of a signed order with one bit flipped, each bit in turn: every one is refused and counted."""
    boxes = await world.commune()
    notice = await world.bulletin("notice", 20)
    tap = Tap(world, "loa/1/a/+/+/order")
    await tap.start()
    issued = await world.say(notice)
    await world.passes(5 * MINUTE_S)
    (order,) = tap.caught
    attack = Attack(world, tap, "every bit of an order flipped", "broker, network")
    for at in range(8 * len(order.payload)):
        spoilt = bytearray(order.payload)
        spoilt[at // 8] ^= 1 << at % 8
        tap.say(order.topic, bytes(spoilt))
        if at % 200 == 0:
            await world.passes(1)
    await world.passes(10 * MINUTE_S)
    refused = attack.counted() - attack.counted("repeats")
    world.must("control", "boxes", refused == len(boxes) * tap.sent, f"{refused} refused of {len(boxes)} × {tap.sent}")
    world.all_heard(boxes, issued)
    attack.over(heard=bool(world.heard(boxes[0], issued)))
    await tap.stop()


@scenario(fault=9, boxes=2)
async def last_weeks_capture(world: World) -> None:
    """A day's whole traffic is said again a week and a half later: nothing of it sounds."""
    boxes = await world.commune()
    officers = await world.officers()
    warning = await world.bulletin("warning", 20)
    notice = await world.bulletin("notice", 30)
    await world.province.programme("quang-ninh/co-to", notice, hours="5")
    tap = Tap(world, "loa/#")
    await tap.start()
    issued = await world.say(notice)
    await world.passes(HOUR_S)
    await officers.release("quang-ninh/co-to", warning)
    await world.passes(DAY_S)
    caught = list(tap.caught)
    await tap.stop()
    await world.passes(10 * DAY_S)
    sounded = {box.name: len(box.soundings) for box in boxes}
    again = Tap(world)
    again.caught = caught
    await again.start()
    attack = Attack(world, again, "a day's capture played back after ten days", "broker, network")
    again.replay()
    await world.passes(HOUR_S)
    world.must("control", "attacker", len(caught) > 200, f"caught only {len(caught)} messages")
    for box in boxes:
        world.must("I1", box.name, len(box.soundings) == sounded[box.name], "sounded something of the old capture")
    orders = [one for one in caught if one.topic.endswith("/order")]
    # Receipts and health of old are no refusals: the centre has them already, and takes them for what they are.
    attack.over(heard=bool(world.heard(boxes[0], issued)), attempts=len(orders))
    await again.stop()


@scenario(boxes=2)
async def forged_messages(world: World) -> None:
    """Orders and timetables under keys of strangers, of a box and of nobody, retained and not: silence, and counts."""
    boxes = await world.commune()
    notice = await world.bulletin("notice", 20)
    tap = Tap(world, "loa/1/a/#")
    await tap.start()
    await world.province.programme("quang-ninh/co-to", notice, hours="5")
    issued = await world.say(notice)
    await world.passes(2 * HOUR_S)
    attack = Attack(world, tap, "orders and timetables under keys of others", "broker, network")
    keys = (attack.new_key(), boxes[0].identity.key)
    sounded = {box.name: len(box.soundings) for box in boxes}
    for caught in list(tap.caught):
        try:
            message = open_sealed(caught.payload).message
        except WireRefusal:
            continue
        for key in keys:
            for forged in _forgeries(world, attack, message):
                tap.say(caught.topic, seal(forged, key))
                tap.say(caught.topic, seal(forged, key), retain=True)
                tap.say(f"loa/1/n/{boxes[0].name}/order", seal(forged, key))
    await world.passes(DAY_S)
    for box in boxes:
        own = [one for one in box.soundings[sounded[box.name] :] if one.label not in _known(world, issued)]
        world.must("I1", box.name, not own, f"sounded {len(own)} forgeries")
    assert world.province.centre is not None
    order = tap.orders()[0]
    right = await attack.heard_with(
        order_topic(COMMUNE), attack.order_like(order), world.province.centre.keys.controller, boxes[0]
    )
    attack.over(heard=right)
    await tap.stop()


def _known(world: World, issued: str) -> set[str]:
    return {issued, *(row.id for row in world.planned())}


def _forgeries(world: World, attack: Attack, message: object) -> list[Order | Timetable]:
    now = world.now()
    if isinstance(message, Order) and message.action is OrderAction.PLAY:
        soon = attack.order_like(message)
        return [soon, replace(soon, id=attack.new_id(), precedence=Precedence.EMERGENCY)]
    if isinstance(message, Timetable):
        return [replace(message, version=now, issued_at=now)]
    return []


@scenario(boxes=2)
async def controllers_key_alone(world: World) -> None:
    """The centre's own key signs an emergency: it is beyond its mandate, and no box sounds it."""
    boxes = await world.commune()
    notice = await world.bulletin("notice", 20)
    tap = Tap(world, "loa/1/a/+/+/order")
    await tap.start()
    await world.say(notice)
    await world.passes(5 * MINUTE_S)
    centre = world.province.centre
    assert centre is not None
    (order,) = tap.orders()
    attack = Attack(world, tap, "an emergency by the centre's own key", "server")
    stolen = attack.order_like(order, precedence=Precedence.EMERGENCY, kind=Kind.LIVE)
    stolen = replace(stolen, expires_at=InstantMs(world.now() + 600_000))
    tap.say(order_topic(COMMUNE), seal(stolen, centre.keys.controller))
    await world.passes(5 * MINUTE_S)
    for box in boxes:
        world.must("I1", box.name, not world.heard(box, stolen.id.hex()), "sounded an emergency of the centre alone")
    refused = attack.counted(RefusalReason.APPROVAL_MISSING)
    world.must("control", "boxes", refused == len(boxes), "did not refuse and count it")
    plain = attack.order_like(order)
    attack.over(heard=await attack.heard_with(order_topic(COMMUNE), plain, centre.keys.controller, boxes[0]))
    await tap.stop()
