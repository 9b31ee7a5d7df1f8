"""What a node makes of the centre's keys over the years: new roots, renewals, revocations, backups."""

from dataclasses import replace

from devices.node.memory import MemoryStorage
from devices.protocol.envelope import seal, seal_with
from devices.protocol.keys import SigningKey, key_id
from devices.protocol.refusal import RefusalReason
from devices.protocol.renewal import MOST_LINKS, renewed_mandates
from devices.protocol.topics import DownChannel
from devices.protocol.trust import Mandate, Revocation, Root, RootSet, Trust
from loa.precedence import Precedence
from loa.units import InstantMs
from tests.node.rig import Rig, recording
from tests.protocol.world import (
    COMMUNE,
    CONTROLLER,
    DAY,
    NOW,
    PERSON,
    PROVINCE,
    ROOT_KEYS,
    ROOTS,
    Centre,
    appointment,
    approved,
    by_roots,
    key_of,
    releaser,
)

R = RefusalReason
EMERGENCY = Precedence.EMERGENCY


async def sounds(rig: Rig, name: str, key: SigningKey = CONTROLLER) -> bool:
    """Whether an emergency for this commune, approved by PERSON, is heard."""
    order = approved(rig.order(name, recording(), in_ms=500, precedence=EMERGENCY), PERSON)
    rig.give(order, key)
    await rig.clock.advance(8)
    return bool(rig.heard(name).any())


def document(rig: Rig, *mandates: bytes, **changes: object) -> bytes:
    """The usual trust document with PERSON's mandates made by hand."""
    now = rig.clock.now_ms()
    signed = (by_roots(appointment("controller", CONTROLLER)), by_roots(releaser("person", PERSON, area=COMMUNE)))
    trust = Trust(
        area=PROVINCE,
        version=rig.version(),
        issued_at=now,
        appointments=signed,
        mandates=(*renewed_mandates(signed[:1], CONTROLLER, now), *mandates),
    )
    return seal(replace(trust, **changes), CONTROLLER)  # type: ignore[arg-type]


def mandate(**changes: object) -> bytes:
    values: dict[str, object] = {
        "id": b"by hand!",
        "appointment": releaser("person", PERSON, area=COMMUNE).id,
        "ceiling": EMERGENCY,
        "area": COMMUNE,
        "not_before": InstantMs(NOW - 1000),
        "until": InstantMs(NOW + DAY),
    }
    return seal(Mandate(**(values | changes)), CONTROLLER)  # type: ignore[arg-type]


async def say(rig: Rig, payload: bytes) -> None:
    rig.say(DownChannel.CTL, payload)
    await rig.clock.advance(1)


async def test_a_mandate_beyond_its_appointment_makes_no_sound(rig: Rig) -> None:
    """A controller in wrong hands renews what the roots signed: in time, place and precedence it can only narrow."""
    await rig.up(MemoryStorage())
    low = by_roots(releaser("person", PERSON, area=COMMUNE, ceiling=Precedence.PRIORITY))
    short = by_roots(releaser("person", PERSON, area=COMMUNE, until=InstantMs(NOW + DAY // 2)))
    own = by_roots(appointment("controller", CONTROLLER))
    elsewhere = by_roots(releaser("person", PERSON, area="quang-ninh/hong-gai"))
    for name, changes in (
        ("longer", {"appointments": (own, short)}),
        ("louder", {"appointments": (own, low)}),
        ("wider", {"appointments": (own, elsewhere)}),
    ):
        await say(rig, document(rig, mandate(), **changes))
        assert not await sounds(rig, name), name
    await say(rig, document(rig, mandate()))
    assert await sounds(rig, "inside")
    assert rig.node.status().refusals == {R.EXPIRED: 3}


async def test_after_its_appointment_a_key_makes_no_sound_however_often_it_is_renewed(rig: Rig) -> None:
    rig.centre = Centre(
        [
            by_roots(appointment("controller", CONTROLLER)),
            by_roots(releaser("person", PERSON, area=COMMUNE, until=InstantMs(NOW + 600_000))),
        ]
    )
    await rig.up(MemoryStorage())
    assert await sounds(rig, "before")
    await rig.clock.advance(600)
    rig.give_trust()
    await rig.clock.advance(1)
    assert not await sounds(rig, "after")
    assert rig.node.status().refusals == {R.EXPIRED: 1}


def chain(count: int) -> tuple[tuple[bytes, ...], tuple[SigningKey, ...]]:
    """`count` root sets, each with one new root in the oldest one's place; and the keys of the last."""
    links: list[bytes] = []
    keys, held = list(ROOT_KEYS), ROOTS
    for number in range(count):
        gone, fresh = keys[0], key_of(f"root of year {number}")
        stay = tuple(root for root in held.roots if root.public_key != gone.public_key)
        fresh_set = RootSet(version=held.version + 1, roots=(*stay, Root(public_key=fresh.public_key)), threshold=2)
        links.append(seal_with(fresh_set, [*keys, fresh]))
        keys, held = [*keys[1:], fresh], fresh_set
        keys.sort(key=lambda key: key.public_key == ROOT_KEYS[2].public_key)  # the spare stays to the last
    return tuple(links), tuple(keys)


def rotated(rig: Rig, count: int, *, without: int | None = None) -> bytes:
    links, keys = chain(count)
    now = rig.clock.now_ms()
    signed = tuple(
        seal_with(one, keys[:2])
        for one in (appointment("controller", CONTROLLER), releaser("person", PERSON, area=COMMUNE))
    )
    trust = Trust(
        area=PROVINCE,
        version=rig.version(),
        issued_at=now,
        root_sets=tuple(link for number, link in enumerate(links) if number != without)[-MOST_LINKS:],
        appointments=signed,
        mandates=renewed_mandates(signed, CONTROLLER, now),
    )
    return seal(trust, CONTROLLER)


async def test_it_slept_through_three_new_root_sets(rig: Rig) -> None:
    storage = MemoryStorage()
    await rig.up(storage)
    assert await sounds(rig, "first roots")
    held = rig.node.status().trust_version
    await say(rig, rotated(rig, 3, without=1))
    assert rig.node.status().trust_version == held, "a link is missing"
    await say(rig, rotated(rig, 3))
    assert rig.node.status().trust_version > held
    assert await sounds(rig, "fourth roots")
    await rig.pull_the_plug()
    await rig.boot(storage, seed="again")
    await rig.clock.advance(5)
    assert await sounds(rig, "after a reboot")
    # What the first roots sign counts no more.
    now = rig.node.status().trust_version
    rig.give_trust()
    await rig.clock.advance(1)
    assert rig.node.status().trust_version == now
    assert R.UNTRUSTED_KEY in rig.node.status().refusals


async def test_it_followed_more_root_sets_than_a_document_holds(rig: Rig) -> None:
    """One after another, awake; a reboot does not take it back to the first, from which no way leads on any more."""
    storage = MemoryStorage()
    await rig.up(storage)
    for count in (10, MOST_LINKS + 4):
        await say(rig, rotated(rig, count))
    await rig.pull_the_plug()
    await rig.boot(storage, seed="again")
    await rig.clock.advance(5)
    assert await sounds(rig, "after a reboot")


async def test_a_restored_backup_does_not_bring_a_revoked_key_back(rig: Rig) -> None:
    storage = MemoryStorage()
    await rig.up(storage)
    assert await sounds(rig, "in office")
    rig.centre.revocations.append(by_roots(Revocation(ids=(key_id(PERSON.public_key),), at=rig.clock.now_ms())))
    rig.give_trust()
    await rig.clock.advance(1)
    assert not await sounds(rig, "revoked")
    rig.centre.revocations.clear()
    rig.give_trust()
    await rig.clock.advance(1)
    assert not await sounds(rig, "restored")
    await rig.pull_the_plug()
    await rig.boot(storage, seed="again")
    await rig.clock.advance(5)
    assert not await sounds(rig, "rebooted")
    # The same backup at a box that never heard of the revocation: it is the memory that counts.
    rig.centre.appointments.append(by_roots(releaser("other", key_of("other"), area=COMMUNE)))
    rig.give_trust()
    await rig.clock.advance(1)
    order = approved(rig.order("another", recording(), in_ms=500, precedence=EMERGENCY), key_of("other"))
    rig.give(order)
    await rig.clock.advance(8)
    assert rig.heard("another").any()


async def test_sealed_spares_alone_replace_no_roots(rig: Rig) -> None:
    """A stolen envelope: the spare signs a set of the thief's making, alone or with roots that are none."""
    await rig.up(MemoryStorage())
    thief = key_of("thief")
    stolen = RootSet(version=2, roots=(Root(public_key=thief.public_key),), threshold=1)
    by_thief = seal_with(appointment("controller", thief), [thief])
    for signers in ((ROOT_KEYS[2], thief), (ROOT_KEYS[2], ROOT_KEYS[2], thief), (ROOT_KEYS[0], thief)):
        now = rig.clock.now_ms()
        trust = Trust(
            area=PROVINCE, version=rig.version(), issued_at=now, root_sets=(seal_with(stolen, signers),),
            appointments=(by_thief,), mandates=renewed_mandates([by_thief], thief, now),
        )  # fmt: skip
        await say(rig, seal(trust, thief))
        rig.give(rig.order(f"thief {len(signers)}", recording(), in_ms=500), thief)
        await rig.clock.advance(8)
    assert not rig.any_sound
    assert rig.node.status().refusals == {R.UNTRUSTED_KEY: 6}
    rig.give(rig.order("own", recording(), in_ms=500))
    await rig.clock.advance(8)
    assert rig.heard("own").any()
