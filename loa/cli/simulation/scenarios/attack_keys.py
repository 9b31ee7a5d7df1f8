"""Keys in the wrong hands: a box's, a neighbouring commune's, one of two, and the centre's with approvals of others."""

from dataclasses import replace

from controller.services import nodes
from devices.protocol.approval import approve
from devices.protocol.documents import Placement, Timetable
from devices.protocol.envelope import open_sealed, seal
from devices.protocol.keys import SigningKey
from devices.protocol.media import TimeReply
from devices.protocol.orders import Order, OrderAction
from devices.protocol.refusal import RefusalReason, WireRefusal
from devices.protocol.reports import Acknowledgement
from devices.protocol.trust import Trust
from loa.cli.simulation.attacker import Attack, KeptBack, Tap, approved, node_topic, order_topic
from loa.cli.simulation.emergencies import DutyOfficers
from loa.cli.simulation.scenarios import scenario
from loa.cli.simulation.world import COMMUNE, DAY_S, HOUR_S, MINUTE_S, World
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from loa.units import InstantMs
from simulators.world.box import Box
from simulators.world.held import Published

NEIGHBOUR, PROVINCE = "quang-ninh/hong-gai", "quang-ninh"


async def released_and_cancelled(world: World, boxes: list[Box], officers: DutyOfficers, tap: Tap) -> Order:
    """A genuine alert of the commune, heard, taken back, and caught on its way."""
    warning = await world.bulletin("warning", 20)
    alert = await officers.release(COMMUNE, warning, lasts_s=HOUR_S, repeats=0)
    assert alert is not None
    await world.until(lambda: all(world.heard(box, alert) for box in boxes), within_s=60)
    await officers.cancel(alert)
    await world.passes(2 * MINUTE_S)
    return next(one for one in tap.orders() if one.id.hex() == alert)


def centre_key(world: World) -> SigningKey:
    assert world.province.centre is not None
    return world.province.centre.keys.controller


@scenario(boxes=2)
async def approvals_mixed_and_matched(world: World) -> None:
    """The centre's key carries approvals of other bodies, times, places, kinds and people: every mixture is refused."""
    boxes = await world.commune()
    officers = await world.officers()
    tap = Tap(world, "loa/1/a/+/+/order")
    await tap.start()
    old = await released_and_cancelled(world, boxes, officers, tap)
    notice = await world.bulletin("notice", 30)
    await world.say(notice)
    await world.passes(10 * MINUTE_S)
    other = next(one for one in tap.orders() if one.precedence < Precedence.EMERGENCY).renditions
    key, commune = centre_key(world), officers.communes[AreaPath(COMMUNE)].key
    first = officers.province[0].key
    attack = Attack(world, tap, "approvals mixed and matched under the centre's key", "server")
    fresh = attack.order_like(old, alert_body=None, approvals=())
    good = approved(fresh, commune)
    assert good.alert_body is not None
    end = InstantMs(world.now() + 2 * 3_600_000)
    mixtures = [
        replace(fresh, alert_body=old.alert_body, approvals=old.approvals),
        replace(old, issued_at=world.now(), start_at=world.now(), expires_at=end),
        replace(good, id=attack.new_id(), approvals=old.approvals),
        replace(good, renditions=other),
        replace(good, expires_at=end),
        replace(good, repeats=1, gap_ms=good.gap_ms, areas=(AreaPath(PROVINCE),)),
        replace(good, kind=Kind.DRILL),
        approved(fresh, commune, kind=Kind.DRILL),
        approved(fresh, key),
        approved(fresh, first),
        approved(fresh, first, first),
        approved(fresh, first, attack.new_key()),
        approved(fresh, boxes[0].identity.key),
        replace(fresh, alert_body=good.alert_body, approvals=()),
        replace(good, approvals=(approve(good.alert_body, first),)),
    ]
    for number, one in enumerate(mixtures):
        has_body_of_its_own = one.id in (good.id, old.id)
        tap.say(order_topic(COMMUNE), seal(one if has_body_of_its_own else replace(one, id=attack.new_id()), key))
        await world.passes(1 + number % 2)
    await world.passes(5 * MINUTE_S)
    world.must("control", "boxes", attack.counted() >= len(boxes) * tap.sent, "not each was refused at each box")
    fresh = approved(attack.order_like(fresh), commune)
    attack.over(heard=await attack.heard_with(order_topic(COMMUNE), fresh, key, boxes[0]))
    await tap.stop()


@scenario(boxes=1)
async def neighbours_key(world: World) -> None:
    """A commune's key, with the centre's own beside it, speaks to its neighbour and to the province: no box obeys."""
    boxes = await world.commune()
    neighbours = await world.commune(area=NEIGHBOUR)
    officers = await world.officers()
    tap = Tap(world, "loa/1/a/+/+/order", "loa/1/a/+/order")
    await tap.start()
    old = await released_and_cancelled(world, boxes, officers, tap)
    key, stolen = centre_key(world), officers.communes[AreaPath(NEIGHBOUR)].key
    one_officer = officers.province[0].key
    attack = Attack(world, tap, "a neighbouring commune's key, with the centre's", "neighbour")
    fresh = attack.order_like(old, alert_body=None, approvals=())
    elsewhere = replace(fresh, areas=(AreaPath(COMMUNE),))
    everywhere = replace(fresh, areas=(AreaPath(PROVINCE),))
    by_name = replace(fresh, areas=(), nodes=(boxes[0].identity.node,))
    for order in (elsewhere, everywhere, by_name):
        for people in ((stolen,), (stolen, stolen), (stolen, one_officer)):
            one = replace(order, id=attack.new_id())
            tap.say(node_topic(boxes[0]), seal(approved(one, *people), key))
    warning = await world.bulletin("provincial warning", 20)
    alert = await officers.release(PROVINCE, warning, lasts_s=HOUR_S, repeats=0)
    assert alert is not None
    await world.passes(2 * MINUTE_S)
    stop = attack.order_like(
        fresh, action=OrderAction.STOP, subject=bytes.fromhex(alert), renditions=(), repeats=1,
        areas=(AreaPath(PROVINCE),),
    )  # fmt: skip
    tap.say(node_topic(boxes[0]), seal(approved(stop, stolen, id=attack.new_id()), key))
    await world.passes(MINUTE_S)
    node = boxes[0].node
    world.must("I2", boxes[0].name, node is not None and node.status().playing is not None, "a neighbour ended it")
    await officers.cancel(alert)
    await world.passes(2 * MINUTE_S)
    own = attack.order_like(fresh, areas=(AreaPath(NEIGHBOUR),))
    heard = await attack.heard_with(order_topic(NEIGHBOUR), approved(own, stolen), key, neighbours[0])
    attack.over(heard=heard)
    await tap.stop()


@scenario(boxes=1)
async def one_alert_for_each_commune(world: World) -> None:
    """One person of the province signs an alert for each of 54 communes instead of one for all: each is one half."""
    boxes = await world.commune()
    officers = await world.officers()
    tap = Tap(world, "loa/1/a/+/+/order")
    await tap.start()
    old = await released_and_cancelled(world, boxes, officers, tap)
    key, first, second = centre_key(world), officers.province[0].key, officers.province[1].key
    attack = Attack(world, tap, "54 one-commune alerts by one of two", "server")
    fresh = attack.order_like(old, alert_body=None, approvals=())
    for number in range(54):
        areas = (AreaPath(COMMUNE),) if number == 0 else (AreaPath(COMMUNE), AreaPath(f"quang-ninh/xa-{number}"))
        one = replace(fresh, id=attack.new_id(), areas=areas)
        tap.say(node_topic(boxes[0]), seal(approved(one, first), key))
    await world.passes(5 * MINUTE_S)
    world.must("control", "box", attack.counted(RefusalReason.APPROVAL_MISSING) == 54, "did not refuse each")
    fresh = attack.order_like(fresh)
    attack.over(heard=await attack.heard_with(order_topic(COMMUNE), approved(fresh, first, second), key, boxes[0]))
    await tap.stop()


@scenario(boxes=3)
async def stolen_box(world: World) -> None:
    """A box's key signs all that a centre signs, for the other boxes: nothing counts there, and each is counted."""
    stolen, *others = await world.commune()
    world.province.ledger.stolen.add(stolen.name)
    notice = await world.bulletin("notice", 20)
    tap = Tap(world, "loa/1/a/#", f"loa/1/n/{others[0].name}/ctl")
    await tap.start()
    await world.province.programme(COMMUNE, notice, hours="5")
    await world.say(notice)
    await world.passes(2 * HOUR_S)
    attack = Attack(world, tap, "a stolen box's key on orders, documents, placements, clocks", "node")
    victim = others[0]
    said: list[tuple[str, bytes]] = []
    for caught in list(tap.caught):
        forged = _as_the_stolen_box(world, attack, caught.payload)
        if forged is not None:
            said.append((caught.topic, seal(forged, stolen.identity.key)))  # type: ignore[arg-type]
    kinds = {type(open_sealed(payload).message).__name__ for _, payload in said}
    world.must("control", "attacker", kinds >= {"Order", "Timetable", "Trust", "TimeReply"}, f"forged only {kinds}")
    for topic, payload in said:
        tap.say(topic, payload)
    await world.passes(HOUR_S)
    (order, *_) = tap.orders()
    right = await attack.heard_with(order_topic(COMMUNE), attack.order_like(order), centre_key(world), victim)
    attack.over(heard=right)
    await tap.stop()


def _as_the_stolen_box(world: World, attack: Attack, payload: bytes) -> object | None:
    try:
        message = open_sealed(payload).message
    except WireRefusal:
        return None
    now = world.now()
    match message:
        case Order():
            return attack.order_like(message)
        case Timetable() | Trust():
            return replace(message, version=now, issued_at=now)
        case Placement():
            return replace(message, version=now, issued_at=now, area=AreaPath(NEIGHBOUR))
        case TimeReply():
            return replace(message, received_at=now, replied_at=now)
        case Acknowledgement():
            return replace(message, issued_at=now)
    return None


def is_trust(one: Published) -> bool:
    if one.topic.endswith("/trust"):
        return True
    try:
        return one.topic.endswith("/ctl") and isinstance(open_sealed(one.payload).message, Trust)
    except WireRefusal:
        return False


@scenario(boxes=2)
async def revocation_kept_back(world: World) -> None:
    """A revocation is kept from boxes: their lag is shown, and after 7 days the revoked key is worth nothing there."""
    boxes = await world.commune()
    officers = await world.officers()
    tap = Tap(world, "loa/1/a/+/+/order")
    await tap.start()
    old = await released_and_cancelled(world, boxes, officers, tap)
    key, (first, second) = centre_key(world), (one.key for one in officers.province)
    attack = Attack(world, tap, "a revocation kept back: over after 7 days", "broker, server")
    kept = KeptBack(world, is_trust)
    await officers.revoke(officers.province[1])
    await world.passes(HOUR_S)
    lagging = _lagging(world)
    world.must("control", "centre", lagging == {box.name for box in boxes}, f"shows only {lagging} as lagging")
    fresh = attack.order_like(old, alert_body=None, approvals=())
    by_both = approved(fresh, first, second)
    bound = await attack.heard_with(order_topic(COMMUNE), by_both, key, boxes[0])
    world.must("control", "boxes", bound, "refused a revocation of which they cannot know")
    await world.passes(7 * DAY_S)
    fresh = attack.order_like(fresh)
    tap.say(order_topic(COMMUNE), seal(approved(fresh, first, second), key))
    await world.passes(5 * MINUTE_S)
    world.must("control", "boxes", attack.counted(RefusalReason.EXPIRED) >= len(boxes), "did not count it as expired")
    kept.let_go()
    await world.passes(HOUR_S)
    world.must("control", "centre", not _lagging(world), "shows boxes as lagging that have the newest")
    fresh = attack.order_like(fresh)
    tap.say(order_topic(COMMUNE), seal(approved(fresh, first, second), key))
    await world.passes(5 * MINUTE_S)
    fresh = approved(attack.order_like(fresh), officers.communes[AreaPath(COMMUNE)].key)
    heard = await attack.heard_with(order_topic(COMMUNE), fresh, key, boxes[0])
    seen = f"{len(lagging)} nodes shown as trust_lags; expired and revoked {attack.counted()}"
    attack.over(heard=heard, seen_as=seen)
    await tap.stop()


def _lagging(world: World) -> set[str]:
    centre = world.province.centre
    assert centre is not None
    views = centre.db.read(lambda session: nodes.list_nodes(session, centre.context("province")))
    return {str(view.id) for view in views if view.trust_lags}
