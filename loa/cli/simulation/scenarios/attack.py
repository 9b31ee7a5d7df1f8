"""Somebody else is on the broker: who listens, says again, forges and spoils. Nothing unauthorised sounds."""

from dataclasses import replace

from devices.links.loopback import LoopbackLink
from devices.links.port import Delivery
from devices.protocol.documents import Timetable
from devices.protocol.envelope import open_sealed, seal
from devices.protocol.keys import SigningKey
from devices.protocol.orders import Order, OrderAction
from devices.protocol.refusal import WireRefusal
from loa.cli.simulation.scenarios import scenario
from loa.cli.simulation.world import DAY_S, HOUR_S, MINUTE_S, World
from loa.entropy import new_id
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from loa.units import InstantMs


class Tap:
    """A link of its own on the broker, which remembers what goes by and can say it again."""

    def __init__(self, world: World, *topics: str) -> None:
        self._world, self._topics = world, topics
        self._link = LoopbackLink(world.province.broker)
        self.caught: list[Delivery] = []
        self.sent = 0

    async def start(self) -> None:
        self._link.listen(self._topics)
        await self._link.start(self)
        await self._world.passes(1)
        self._world.province.trouble("attacker", "is on the broker")

    async def stop(self) -> None:
        await self._link.stop()

    def link_up(self) -> None:
        """Nothing to do."""

    def link_down(self, reason: str) -> None:
        """Nothing to do."""

    def delivered(self, delivery: Delivery) -> None:
        self.caught.append(delivery)

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self.sent += 1
        self._link.publish(topic, payload, qos=1, retain=retain)

    def replay(self, *, times: int = 1) -> None:
        """Everything caught so far, in order, that often."""
        caught = list(self.caught)
        for one in caught:
            for _ in range(times):
                self.say(one.topic, one.payload)
        self._world.province.trouble("attacker", f"says {len(caught)} messages again, {times} times")


def refusals(world: World) -> int:
    """What the boxes have refused so far."""
    return sum(
        sum(box.node.status().refusals.values()) for box in world.province.boxes.values() if box.node is not None
    )


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
    before = refusals(world)
    for at in range(8 * len(order.payload)):
        spoilt = bytearray(order.payload)
        spoilt[at // 8] ^= 1 << at % 8
        tap.say(order.topic, bytes(spoilt))
        if at % 200 == 0:
            await world.passes(1)
    await world.passes(10 * MINUTE_S)
    refused = refusals(world) - before
    world.must("control", "boxes", refused == len(boxes) * tap.sent, f"{refused} refused of {len(boxes)} × {tap.sent}")
    world.all_heard(boxes, issued)
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
    await world.say(notice)
    await world.passes(HOUR_S)
    await officers.release("quang-ninh/co-to", warning)
    await world.passes(DAY_S)
    caught = len(tap.caught)
    await tap.stop()
    await world.passes(10 * DAY_S)
    sounded = {box.name: len(box.soundings) for box in boxes}
    again = Tap(world)
    again.caught = tap.caught
    await again.start()
    again.replay()
    await world.passes(HOUR_S)
    world.must("control", "attacker", caught > 200, f"caught only {caught} messages")
    for box in boxes:
        world.must("I1", box.name, len(box.soundings) == sounded[box.name], "sounded something of the old capture")
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
    chance = world.province.chance.named("attacker")
    keys = (SigningKey(chance.key_seed()), boxes[0].identity.key)
    before, sounded = refusals(world), {box.name: len(box.soundings) for box in boxes}
    for caught in list(tap.caught):
        try:
            message = open_sealed(caught.payload).message
        except WireRefusal:
            continue
        for key in keys:
            for forged in _forgeries(world, message):
                tap.say(caught.topic, seal(forged, key))
                tap.say(caught.topic, seal(forged, key), retain=True)
                tap.say(f"loa/1/n/{boxes[0].name}/order", seal(forged, key))
    await world.passes(DAY_S)
    world.must("control", "boxes", refusals(world) - before > tap.sent, "did not refuse and count the forgeries")
    for box in boxes:
        own = [one for one in box.soundings[sounded[box.name] :] if one.label not in _known(world, issued)]
        world.must("I1", box.name, not own, f"sounded {len(own)} forgeries")
    await tap.stop()


def _known(world: World, issued: str) -> set[str]:
    return {issued, *(row.id for row in world.planned())}


def _forgeries(world: World, message: object) -> list[Order | Timetable]:
    now = world.now()
    fresh = new_id(world.province.chance.named("attacker").named(f"id {now}").entropy())
    if isinstance(message, Order) and message.action is OrderAction.PLAY:
        soon = replace(message, id=fresh, issued_at=now, start_at=now, expires_at=InstantMs(now + 600_000))
        return [soon, replace(soon, precedence=Precedence.EMERGENCY)]
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
    order = open_sealed(tap.caught[0].payload).message
    assert isinstance(order, Order)
    fresh = new_id(world.province.chance.named("attacker").entropy())
    stolen = replace(order, id=fresh, precedence=Precedence.EMERGENCY, kind=Kind.LIVE, issued_at=world.now())
    stolen = replace(stolen, start_at=world.now(), expires_at=InstantMs(world.now() + 600_000))
    before = refusals(world)
    tap.say(f"loa/1/a/{AreaPath('quang-ninh/co-to')}/order", seal(stolen, centre.keys.controller))
    await world.passes(5 * MINUTE_S)
    for box in boxes:
        world.must("I1", box.name, not world.heard(box, stolen.id.hex()), "sounded an emergency of the centre alone")
    world.must("control", "boxes", refusals(world) - before == len(boxes), "did not refuse and count it")
    await tap.stop()
