"""Somebody speaks in the name of boxes: the centre believes a box's own key, and claims nothing else."""

from dataclasses import replace

from controller.services import nodes
from devices.protocol.envelope import encode, open_sealed, seal
from devices.protocol.refusal import WireRefusal
from devices.protocol.reports import Health, Presence, PresenceState, Receipt, ReceiptEvent
from loa.cli.simulation.attacker import Attack, Tap
from loa.cli.simulation.scenarios import scenario
from loa.cli.simulation.world import HOUR_S, MINUTE_S, World
from loa.units import Id16


def _of(tap: Tap, name: str, kind: type[Receipt] | type[Health]) -> list[Receipt | Health]:
    found = []
    for one in tap.caught:
        try:
            message = open_sealed(one.payload).message
        except WireRefusal:
            continue
        if isinstance(message, kind) and message.node == name:
            found.append(message)
    return found


@scenario(boxes=3)
async def claims_for_others(world: World) -> None:
    """A stolen box and a stranger claim that another box played, is well, is gone: the centre claims none of it."""
    stolen, victim, third = await world.commune()
    world.province.ledger.stolen.add(stolen.name)
    notice = await world.bulletin("notice", 20)
    tap = Tap(world, "loa/1/n/+/receipt", "loa/1/n/+/health")
    await tap.start()
    first = await world.say(notice)
    await world.passes(10 * MINUTE_S)
    victim.power_cut()
    silent = await world.say(notice)
    await world.passes(MINUTE_S)
    attack = Attack(world, tap, "played, well and gone claimed for another box", "node, broker")
    topic = f"loa/1/n/{victim.name}"
    receipts = [one for one in _of(tap, victim.name, Receipt) if isinstance(one, Receipt) and one.subject]
    health = _of(tap, victim.name, Health)[-1]
    assert isinstance(health, Health)
    fresh = replace(health, at=world.now(), session=health.session + 1, uptime_s=5)
    subject = Id16(bytes.fromhex(silent))
    for key in (stolen.identity.key, attack.new_key()):
        for event in (ReceiptEvent.STARTED, ReceiptEvent.FINISHED):
            lie = replace(receipts[-1], number=receipts[-1].number + 1, event=event, subject=subject, at=world.now())
            tap.say(f"{topic}/receipt", seal(lie, key))
            tap.say(f"{topic}/receipt", seal(replace(lie, node=stolen.identity.node), key))
            tap.say(f"{topic}/receipt", encode(lie))
        tap.say(f"{topic}/health", seal(fresh, key))
        tap.say(f"{topic}/health", encode(fresh))
        online = Presence(node=victim.identity.node, session=fresh.session, state=PresenceState.ONLINE)
        tap.say(f"{topic}/presence", seal(online, key))
        tap.say(f"{topic}/presence", encode(online))
    await world.passes(HOUR_S)
    outcome = world.outcome(silent, victim)
    world.must("I5", "centre", outcome not in ("started", "finished", "sounded"), f"claims {outcome} for it")
    world.must("I5", "centre", _state(world, victim.name) == "silent", "takes a box without power for alive")
    will = Presence(node=third.identity.node, session=99, state=PresenceState.OFFLINE)
    attempts = tap.sent
    tap.say(f"loa/1/n/{third.name}/presence", encode(will), retain=True)
    await world.passes(MINUTE_S)
    world.must("I5", "centre", _state(world, third.name) == "online", "believed somebody's Last Will")
    await victim.power_on()
    await world.passes(5 * MINUTE_S)
    again = await world.say(notice)
    await world.passes(10 * MINUTE_S)
    heard = world.outcome(again, victim) == "finished" and world.outcome(first, victim) == "finished"
    attack.over(heard=heard, attempts=attempts)
    await tap.stop()


def _state(world: World, name: str) -> str:
    centre = world.province.centre
    assert centre is not None
    return centre.db.read(lambda session: nodes.node(session, centre.context("province"), name)).state
