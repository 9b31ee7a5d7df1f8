"""The server's disk is stolen, and the broker with it: what lies there, and what ends it."""

import base64
import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

from controller import keyfiles, peoplekeys
from controller.keydisk import lock_key, read_key
from devices.protocol.envelope import seal, seal_with
from devices.protocol.keys import SigningKey
from devices.protocol.orders import Order
from devices.protocol.refusal import RefusalReason
from devices.protocol.renewal import next_version, trust_document
from devices.protocol.trust import Revocation
from loa.cli.simulation.attacker import Attack, Tap, approved, node_topic, order_topic
from loa.cli.simulation.province import PROVINCE
from loa.cli.simulation.scenarios import scenario
from loa.cli.simulation.world import COMMUNE, DAY_S, MINUTE_S, World
from loa.errors import Refused
from loa.precedence import Precedence
from simulators.world.box import Box

WORDS = "chín con trâu qua cầu"
GUESSES = ("quang-ninh 2026", "chín con trâu qua sông", "correct horse battery", "")


async def an_order(world: World, tap: Tap, boxes: list[Box]) -> Order:
    """A genuine one that was heard."""
    notice = await world.bulletin("notice", 20)
    issued = await world.say(notice)
    await world.passes(5 * MINUTE_S)
    world.all_heard(boxes, issued)
    return tap.orders()[-1]


def roots_offline(world: World) -> dict[Path, SigningKey]:
    """Take the roots' private keys away from the machine, as the ceremony has it."""
    folder = world.province.folder / "keys" / "roots"
    keys = {path: read_key(path) for path in sorted(folder.glob("*.json"))}
    shutil.rmtree(folder)
    return keys


def found_in(folder: Path, secrets: list[bytes]) -> list[str]:
    """Files in which one of these lies open, in any usual spelling."""
    spelt = [
        form
        for secret in secrets
        for form in (
            secret, secret.hex().encode(), secret.hex().upper().encode(),
            base64.b64encode(secret), base64.urlsafe_b64encode(secret).rstrip(b"="),
        )
    ]  # fmt: skip
    files = (path for path in folder.rglob("*") if path.is_file())
    return [str(path) for path in files if any(form in path.read_bytes() for form in spelt)]


@scenario(boxes=2)
async def stolen_disk(world: World) -> None:
    """The disk of a server whose key lies under a passphrase: nothing on it signs what a box obeys."""
    province = world.province
    boxes = await world.commune()
    officers = await world.officers()
    tap = Tap(world, "loa/1/a/+/+/order")
    await tap.start()
    roots = roots_offline(world)
    path = province.folder / "keys" / "controller.json"
    controller = read_key(path)
    cost, peoplekeys.COST = peoplekeys.COST, peoplekeys.Cost(memory_kib=64, passes=1, lanes=1)
    try:
        lock_key(path, WORDS, world.province.chance.named("lock").entropy())
    finally:
        peoplekeys.COST = cost
    province.keys_passphrase = WORDS
    province.kill_centre()
    await province.start_centre()
    await world.passes(MINUTE_S)
    order = await an_order(world, tap, boxes)
    stolen = province.folder.with_name(f"{province.folder.name}-stolen")
    shutil.copytree(province.folder, stolen)
    attack = Attack(world, tap, "the server's disk, its key under a passphrase", "disk, broker")
    try:
        heard = await _with_what_lies_there(world, attack, order, stolen, boxes)
        people = [*officers.province, *officers.communes.values()]
        open_there = found_in(stolen, [one.seed for one in (controller, *roots.values(), *(p.key for p in people))])
        world.must("I1", "disk", not open_there, f"keys lie open in {open_there}")
    finally:
        shutil.rmtree(stolen)
    attack.over(heard=heard)
    await tap.stop()


async def _with_what_lies_there(world: World, attack: Attack, order: Order, stolen: Path, boxes: list[Box]) -> bool:
    """Every key that can be made of it, on an order; and whether the right passphrase makes one that is heard."""
    path = stolen / "keys" / "controller.json"
    for guess in GUESSES:
        try:
            read_key(path, lambda _file, words=guess: words)  # type: ignore[misc]
        except Refused as refusal:
            world.must("control", "disk", refusal.code == "wrong_passphrase", f"{refusal.code} for {guess!r}")
        else:
            world.must("I1", "disk", False, f"opened by {guess!r}")
    seeds = [hashlib.sha256(guess.encode()).digest() for guess in GUESSES]
    seeds += [
        hashlib.sha256(one.read_bytes()).digest() for one in sorted((stolen / "keys").rglob("*")) if one.is_file()
    ]
    for seed in seeds:
        one = attack.order_like(order)
        attack.tap.say(order_topic(COMMUNE), seal(one, SigningKey(seed)))
        alert = attack.order_like(order, precedence=Precedence.EMERGENCY)
        attack.tap.say(order_topic(COMMUNE), seal(approved(alert, SigningKey(seed)), SigningKey(seed)))
    await world.passes(5 * MINUTE_S)
    opened = keyfiles.load_centre(stolen / "keys", lambda _: WORDS).controller
    return await attack.heard_with(order_topic(COMMUNE), attack.order_like(order), opened, boxes[0])


@scenario(boxes=2)
async def stolen_open_disk(world: World) -> None:
    """A disk with an open key: revoked by the roots it ends at once where that is heard of, and in 7 days elsewhere."""
    province = world.province
    told, kept_from = await world.commune()
    tap = Tap(world, "loa/1/a/+/+/order")
    await tap.start()
    order = await an_order(world, tap, [told, kept_from])
    roots = roots_offline(world)
    stolen = read_key(province.folder / "keys" / "controller.json")
    centre = province.centre
    assert centre is not None
    control = Attack(world, tap, "before the revocation", "disk")
    before = await control.heard_with(node_topic(told), control.order_like(order), stolen, told)
    fresh = SigningKey(province.chance.named("second controller").key_seed())
    now = world.now()
    appointment = replace(
        centre.keys.appointment, id=bytes(7) + b"2", holder="second controller", public_key=fresh.public_key
    )
    signers = list(roots.values())[:2]
    revocation = Revocation(ids=(centre.keys.appointment.id, stolen.key_id), at=now, reason="stolen")
    appointments = (*centre.keys.appointments, seal_with(appointment, signers))
    revocations = (seal_with(revocation, signers),)
    document = trust_document(
        area=PROVINCE, version=next_version(0, now), now_ms=now, key=fresh,
        appointments=appointments, revocations=revocations,
    )  # fmt: skip
    province.kill_centre()  # the thief's is the only centre now, and the broker is the thief's
    attack = Attack(world, tap, "the server's open key, after the roots revoked it", "disk, broker")
    tap.say(node_topic(told, "ctl"), document)
    tap.sent -= 1
    await world.passes(MINUTE_S)
    bound = await attack.heard_with(node_topic(kept_from), attack.order_like(order), stolen, kept_from)
    world.must("control", kept_from.name, bound, "refused a key of whose revocation it cannot know")
    for days in range(8):
        for box in (told, *((kept_from,) if days == 7 else ())):
            tap.say(node_topic(box), seal(attack.order_like(order), stolen))
        await world.passes(DAY_S)
    refused = attack.counted()
    world.must("control", told.name, attack.counted(RefusalReason.REVOKED) >= 7, "did not count the revoked key")
    world.must("control", kept_from.name, attack.counted(RefusalReason.EXPIRED) >= 1, "did not count the expired key")
    # As the roots have it from now on: a second controller, on a new machine.
    document = trust_document(
        area=PROVINCE, version=next_version(0, world.now()), now_ms=world.now(), key=fresh,
        appointments=appointments, revocations=revocations,
    )  # fmt: skip
    for box in (told, kept_from):
        tap.say(node_topic(box, "ctl"), document)
        tap.sent -= 1
    await world.passes(MINUTE_S)
    heard = True
    for box in (told, kept_from):
        heard &= await attack.heard_with(node_topic(box), attack.order_like(order), fresh, box)
    await province.start_centre()
    attack.over(heard=heard and before, counted=refused)
    await tap.stop()
