"""The broker belongs to somebody else: what it retains, keeps back, lets go late, turns round and says again."""

from collections.abc import Iterable

from devices.protocol.refusal import RefusalReason
from loa.cli.simulation.attacker import Attack, KeptBack, Tap, counts, order_topic
from loa.cli.simulation.scenarios import scenario
from loa.cli.simulation.world import COMMUNE, HOUR_S, MINUTE_S, World
from loa.units import InstantMs
from simulators.world.box import Box
from simulators.world.held import Published


def is_order(one: Published) -> bool:
    return one.topic.endswith("/order")


def out_of_reach(boxes: Iterable[Box], there: bool) -> None:
    """What the invariants have to know: no box can have heard of what is kept back."""
    for box in boxes:
        box.in_reach(there)


@scenario(boxes=2)
async def retained_orders(world: World) -> None:
    """The broker keeps a genuine order back and retains it: boxes that connect anew are given it, and refuse it."""
    boxes = await world.commune()
    officers = await world.officers()
    warning = await world.bulletin("warning", 20)
    tap = Tap(world)
    await tap.start()
    attack = Attack(world, tap, "a genuine order retained", "broker")
    kept = KeptBack(world, is_order)
    out_of_reach(boxes, False)
    alert = await officers.release(COMMUNE, warning, lasts_s=HOUR_S, repeats=0)
    assert alert is not None
    await world.passes(1)
    order = kept.messages[0]
    tap.say(order_topic(COMMUNE), b"", retain=True)  # so that those who listen now do not get it
    for box in boxes:
        box.power_cut()
    world.province.broker.slip(Published(order_topic(COMMUNE), order.payload, retain=True))
    for box in boxes:
        await box.power_on()
    await world.passes(5 * MINUTE_S)
    for box in boxes:
        attack.must_be_silent(box, alert, "obeyed a retained order")
    refused = attack.counted(RefusalReason.RETAINED_FORBIDDEN)
    world.must("control", "boxes", refused >= len(boxes), f"{refused} retained orders were refused")
    world.province.broker.slip(Published(order_topic(COMMUNE), b"", retain=True))
    kept.let_go()
    out_of_reach(boxes, True)
    heard = await world.until(lambda: all(world.heard(box, alert) for box in boxes), within_s=60)
    await officers.cancel(alert)
    await world.passes(MINUTE_S)
    attack.over(heard=heard, attempts=len(boxes))
    await tap.stop()


@scenario(boxes=2)
async def withheld_and_let_go_late(world: World) -> None:
    """Orders are kept back: let go within their window they sound, let go after it they are refused."""
    boxes = await world.commune()
    officers = await world.officers()
    warning, notice = await world.bulletin("warning", 20), await world.bulletin("notice", 30)
    tap = Tap(world)
    await tap.start()
    attack = Attack(world, tap, "orders kept back and let go late", "broker, network")
    kept = KeptBack(world, is_order)
    out_of_reach(boxes, False)
    late = await world.say(notice)
    alert = await officers.release(COMMUNE, warning, lasts_s=20 * MINUTE_S)
    assert alert is not None
    await world.passes(HOUR_S)
    out_of_reach(boxes, True)
    orders = len({one.payload for one in kept.messages})
    kept.let_go()
    await world.passes(10 * MINUTE_S)
    for box in boxes:
        attack.must_be_silent(box, late, "obeyed what was over")
        attack.must_be_silent(box, alert, "obeyed what was over")
    world.must("control", "boxes", attack.counted(RefusalReason.EXPIRED) >= orders, "expired orders were not counted")
    counted = attack.counted(RefusalReason.EXPIRED)
    in_time = KeptBack(world, is_order)
    alert = await officers.release(COMMUNE, warning, lasts_s=HOUR_S, repeats=0)
    assert alert is not None
    await world.passes(5 * MINUTE_S)
    early = [box for box in boxes if world.heard(box, alert)]
    world.must("control", "boxes", not early, "heard what was kept back")
    in_time.let_go()
    heard = await world.until(lambda: all(world.heard(box, alert) for box in boxes), within_s=60)
    await officers.cancel(alert)
    await world.passes(MINUTE_S)
    attack.over(heard=heard, attempts=orders, counted=counted)
    await tap.stop()


@scenario(boxes=2)
async def replayed_after_the_cancel(world: World) -> None:
    """An alert that was cancelled is played back within its window, over a reboot, and after it: silence."""
    boxes = await world.commune()
    officers = await world.officers()
    warning = await world.bulletin("warning", 20)
    tap = Tap(world, "loa/1/a/#", "loa/1/n/+/order")
    await tap.start()
    alert = await officers.release(COMMUNE, warning, lasts_s=HOUR_S, repeats=0)
    assert alert is not None
    heard = await world.until(lambda: all(world.heard(box, alert) for box in boxes), within_s=60)
    await world.passes(MINUTE_S)
    await officers.cancel(alert)
    await world.passes(2 * MINUTE_S)
    sounded = {box.name: len(box.soundings) for box in boxes}
    orders = [one for one in tap.caught if one.topic.endswith("/order")]
    boxes[0].power_cut()
    await boxes[0].power_on()
    await world.passes(MINUTE_S)
    attack = Attack(world, tap, "a cancelled alert played back, also after a reboot", "broker, network")
    for wait_s in (0.0, 10 * MINUTE_S, 2 * HOUR_S):
        await world.passes(wait_s)
        for one in orders:
            tap.say(one.topic, one.payload)
        await world.passes(MINUTE_S)
    for box in boxes:
        again = len(box.soundings) - sounded[box.name]
        world.must("I1", box.name, again == 0, f"sounded a cancelled alert {again} times more")
    attack.over(heard=heard)
    await tap.stop()


@scenario(boxes=2)
async def turned_round(world: World) -> None:
    """Everything is held for ten seconds and let go backwards: older documents are refused, nothing sounds twice."""
    boxes = await world.commune()
    officers = await world.officers()
    warning, notice = await world.bulletin("warning", 20), await world.bulletin("notice", 30)
    await world.passes(10 * MINUTE_S)
    tap = Tap(world)
    await tap.start()
    attack = Attack(world, tap, "all traffic turned round every ten seconds", "broker, network")
    held: list[Published] = []
    broker, turned = world.province.broker, 0

    def grip(one: Published) -> Iterable[Published]:
        held.append(one)
        return ()

    broker.grip = grip
    await world.province.programme(COMMUNE, notice, hours="5", minute=30)
    said = await world.say(notice)
    alert = None
    for round_number in range(60):
        if round_number == 20:
            alert = await officers.release(COMMUNE, warning, lasts_s=HOUR_S)
        if round_number == 21:
            await world.province.programme(COMMUNE, notice, hours="6", minute=0)
            await world.province.programme(COMMUNE, notice, hours="6", minute=30)
        await world.passes(10)
        waiting = list(reversed(held))
        held.clear()
        turned += len(waiting)
        for one in waiting:
            broker.slip(one)
    broker.grip = None
    assert alert is not None
    await world.passes(3 * HOUR_S)
    world.must("control", "boxes", attack.counted(RefusalReason.ROLLBACK) > 0, "no older document was refused")
    ok = all(world.heard(box, alert) for box in boxes)
    for box in boxes:
        ends = [one for one in world.heard(box, said) if one.how == "finished"]
        world.must("I3", box.name, len(ends) <= 1, "sounded it twice")
    for broadcast in world.planned():
        world.all_heard(boxes, broadcast.id)
    older = attack.counted(RefusalReason.ROLLBACK)
    attack.over(heard=ok, attempts=older, counted=older, seen_as=f"rollback {older}, of {turned} messages turned round")
    await tap.stop()


@scenario(boxes=2)
async def documents_rolled_back(world: World) -> None:
    """The broker gives out yesterday's documents, retained and not, to boxes that boot: the newer ones stay."""
    boxes = await world.commune()
    notice = await world.bulletin("notice", 30)
    tap = Tap(world, "loa/1/a/#")
    await tap.start()
    await world.province.programme(COMMUNE, notice, hours="6")
    await world.passes(10 * MINUTE_S)
    old = [one for one in tap.caught if not one.topic.endswith("/order")]
    centre = world.province.centre
    assert centre is not None
    await centre.stop_programme(world.province.ledger.programmes.pop(), account="province")
    await world.province.programme(COMMUNE, notice, hours="7")
    await world.passes(10 * MINUTE_S)
    attack = Attack(world, tap, "older state documents given out again", "broker")
    for one in old:
        tap.say(one.topic, one.payload, retain=True)
        tap.say(one.topic, one.payload)
    await world.passes(MINUTE_S)
    rolled = counts(world.province)["rollback"]
    for box in boxes:
        box.power_cut()
        await box.power_on()
    await world.passes(4 * HOUR_S)
    world.must("control", "boxes", rolled > 0, "no older document was refused")
    at_six = [one for box in boxes for one in box.soundings if world.local(one.began_ms).hour == 6]
    world.must("I1", "boxes", not at_six, "sounded by a timetable that had been replaced")
    (seven,) = [row for row in world.planned() if row.start_at > InstantMs(world.now() - 4 * 3_600_000)]
    attack.over(heard=all(world.heard(box, seven.id) for box in boxes), counted=rolled, attempts=len(old))
    await tap.stop()


@scenario(boxes=2)
async def cancel_kept_back(world: World) -> None:
    """A cancel is kept back for ever: the alert ends when people said it would, and the centre shows who sounds it."""
    boxes = await world.commune()
    officers = await world.officers()
    warning = await world.bulletin("warning", 20)
    tap = Tap(world)
    await tap.start()
    alert = await officers.release(COMMUNE, warning, lasts_s=20 * MINUTE_S, repeats=0)
    assert alert is not None
    released = world.now()
    heard = await world.until(lambda: all(world.heard(box, alert) for box in boxes), within_s=60)
    attack = Attack(world, tap, "a cancel kept back: on until the approved end", "broker, network")
    kept = KeptBack(world, is_order)
    await officers.cancel(alert)
    world.province.ledger.recalled.pop(alert)  # nobody is told of it; what counts is the end that was approved
    world.province.ledger.revoked.add(alert)
    await world.passes(10 * MINUTE_S)
    playing = [box.name for box in boxes if world.outcome(alert, box) == "started"]
    world.must("control", "boxes", len(playing) == len(boxes), "the centre does not show who still sounds it")
    await world.passes(2 * HOUR_S)
    for box in boxes:
        last = world.heard(box, alert)[-1]
        over_ms = (last.ended_ms or world.now()) - (released + 20 * 60_000)
        world.must("I1", box.name, over_ms <= 2_000, f"sounded it {over_ms} ms past its end")
    kept.let_go(say=False)
    attack.over(heard=heard, attempts=len(boxes), counted=len(playing), seen_as="coverage: started, though cancelled")
    await tap.stop()
