"""Roots, appointments, mandates, revocations: what makes a trust document count, and what does not."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from devices.protocol.authority import Authority, accept_trust
from devices.protocol.cose import joined, sign1
from devices.protocol.envelope import encode, open_sealed, seal, seal_with
from devices.protocol.refusal import Malformed, RefusalReason, Repeat, WireRefusal
from devices.protocol.renewal import next_version, renewed_mandate, renewed_mandates, trust_document
from devices.protocol.trust import (
    LONGEST_MANDATE_MS,
    Appointment,
    Mandate,
    Power,
    Revocation,
    Root,
    RootSet,
    Trust,
)
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from loa.units import InstantMs
from tests.protocol import world
from tests.protocol.world import COMMUNE, CONTROLLER, DAY, NOW, PERSON, PROVINCE, ROOT_KEYS, ROOTS, VILLAGE, Centre

PINNED = Authority.pinned(ROOTS)


def refused(reason: RefusalReason, call: Callable[[], Any]) -> None:
    with pytest.raises(WireRefusal) as caught:
        call()
    assert caught.value.reason is reason, caught.value


def orders(authority: Authority, key: Any = PERSON, now: int = NOW, **asked: Any) -> Any:
    return authority.in_force(key.key_id, power=Power.ORDER, now_ms=InstantMs(now), **asked)


def test_a_good_document_brings_keys_into_force() -> None:
    authority = accept_trust(Centre.usual().document(), PINNED, NOW)
    grant = orders(authority, area=VILLAGE, precedence=Precedence.EMERGENCY, kind=Kind.LIVE)
    assert (grant.holder, grant.area) == ("person", COMMUNE)
    assert authority.version == NOW


@pytest.mark.parametrize(("numbers", "counts"), [((0, 1), True), ((0, 2), True), ((0,), False), ((2,), False)])
def test_threshold_and_sealed_roots(numbers: tuple[int, ...], counts: bool) -> None:
    centre = Centre([world.by_roots(world.appointment("controller", CONTROLLER), *numbers)])
    if counts:
        assert centre.authority().version == NOW
    else:
        refused(RefusalReason.UNTRUSTED_KEY, centre.authority)


def test_sealed_roots_alone_never_count() -> None:
    keys = [world.key_of(f"spare {number}") for number in range(3)]
    roots = RootSet(
        version=1, roots=tuple(Root(public_key=k.public_key, sealed=n > 0) for n, k in enumerate(keys)), threshold=2
    )
    sealed_two = seal_with(world.appointment("controller", CONTROLLER), keys[1:])
    document = Centre([sealed_two]).document()
    refused(RefusalReason.UNTRUSTED_KEY, lambda: accept_trust(document, Authority.pinned(roots), NOW))
    with_open = seal_with(world.appointment("controller", CONTROLLER), keys[:2])
    assert accept_trust(Centre([with_open]).document(), Authority.pinned(roots), NOW).version == NOW


def test_one_root_signing_twice_counts_once() -> None:
    twice = seal_with(world.appointment("controller", CONTROLLER), [ROOT_KEYS[0], ROOT_KEYS[0]])
    refused(RefusalReason.UNTRUSTED_KEY, Centre([twice]).authority)


def test_a_root_signature_that_does_not_hold() -> None:
    good = world.by_roots(world.appointment("controller", CONTROLLER))
    spoiled = good[:-1] + bytes([good[-1] ^ 1])
    refused(RefusalReason.BAD_SIGNATURE, Centre([spoiled]).authority)


def test_an_issuer_must_be_in_force_by_its_own_document() -> None:
    stranger = world.key_of("stranger")
    usual = Centre.usual()
    refused(RefusalReason.UNTRUSTED_KEY, lambda: accept_trust(usual.document(key=stranger), PINNED, NOW))
    refused(RefusalReason.EXPIRED, lambda: accept_trust(usual.document(key=PERSON), PINNED, NOW))
    spoiled = usual.document()
    refused(RefusalReason.BAD_SIGNATURE, lambda: accept_trust(spoiled[:-1] + b"\0", PINNED, NOW))
    without = Trust(area=PROVINCE, version=5, issued_at=NOW, appointments=tuple(usual.appointments))
    refused(RefusalReason.EXPIRED, lambda: accept_trust(seal(without, CONTROLLER), PINNED, NOW))


def test_an_issuer_without_the_power_to_renew() -> None:
    helper = world.key_of("helper")
    centre = Centre.usual()
    centre.appointments.append(
        world.by_roots(world.appointment("helper", helper, powers=int(Power.ORDER | Power.SERVICE)))
    )
    by_controller = open_sealed(centre.document()).message
    refused(RefusalReason.MANDATE_EXCEEDED, lambda: accept_trust(seal(by_controller, helper), PINNED, NOW))


def test_rollback_and_repeat() -> None:
    document = Centre.usual().document()
    authority = accept_trust(document, PINNED, NOW)
    with pytest.raises(Repeat):
        accept_trust(document, authority, NOW)
    refused(RefusalReason.ROLLBACK, lambda: accept_trust(Centre.usual().document(NOW - 1), authority, NOW))
    other = Centre.usual().document(NOW, now_ms=NOW + 5)
    refused(RefusalReason.ROLLBACK, lambda: accept_trust(other, authority, NOW))
    assert accept_trust(Centre.usual().document(next_version(NOW, NOW)), authority, NOW).version == NOW + 1


def test_an_old_document_is_expired() -> None:
    document = Centre.usual().document()
    refused(RefusalReason.EXPIRED, lambda: accept_trust(document, PINNED, InstantMs(NOW + 8 * DAY)))
    # A box without time judges it at its own instant, but never before the newest signed instant it knows.
    assert accept_trust(document, PINNED, None).version == NOW
    floor = InstantMs(NOW + 8 * DAY)
    refused(RefusalReason.EXPIRED, lambda: accept_trust(document, PINNED, None, floor_ms=floor))


def test_mandates_run_out_after_seven_days() -> None:
    authority = Centre.usual().authority()
    assert orders(authority, now=NOW + 6 * DAY)
    refused(RefusalReason.EXPIRED, lambda: orders(authority, now=NOW + 7 * DAY))
    refused(RefusalReason.EXPIRED, lambda: orders(authority, now=NOW - 2 * 3_600_000))
    with pytest.raises(Malformed):
        Mandate(
            id=bytes(8),
            appointment=bytes(8),
            ceiling=Precedence.ORDINARY,
            area=COMMUNE,
            not_before=NOW,
            until=InstantMs(NOW + LONGEST_MANDATE_MS + 1),
        )


def by_hand(*mandates: bytes, appointments: list[bytes] | None = None) -> Authority:
    """A document whose mandates are made by hand, beside the controller's own."""
    signed = appointments or Centre.usual().appointments
    own = renewed_mandates(signed[:1], CONTROLLER, NOW)
    trust = Trust(area=PROVINCE, version=NOW, issued_at=NOW, appointments=tuple(signed), mandates=(*own, *mandates))
    return accept_trust(seal(trust, CONTROLLER), PINNED, NOW)


def mandate(**changes: Any) -> Mandate:
    values: dict[str, Any] = {
        "id": b"mandate1",
        "appointment": world.appointment("person", PERSON).id,
        "ceiling": Precedence.EMERGENCY,
        "area": COMMUNE,
        "not_before": InstantMs(NOW - DAY),
        "until": InstantMs(NOW + DAY),
    }
    return Mandate(**(values | changes))


def test_a_mandate_may_narrow_its_appointment() -> None:
    narrow = by_hand(seal(mandate(ceiling=Precedence.PRIORITY, area=VILLAGE), CONTROLLER))
    assert orders(narrow, area=VILLAGE, precedence=Precedence.PRIORITY)
    refused(RefusalReason.MANDATE_EXCEEDED, lambda: orders(narrow, area=COMMUNE))
    refused(RefusalReason.MANDATE_EXCEEDED, lambda: orders(narrow, precedence=Precedence.EMERGENCY))


@pytest.mark.parametrize(
    "wider",
    [
        {"area": PROVINCE},
        {"area": AreaPath("quang-ninh/hong-gai")},
        {"appointment": bytes(8)},
        {"not_before": InstantMs(NOW - 30 * DAY - 1), "until": InstantMs(NOW - 29 * DAY)},
    ],
)
def test_a_wider_mandate_counts_as_none(wider: dict[str, Any]) -> None:
    refused(RefusalReason.EXPIRED, lambda: orders(by_hand(seal(mandate(**wider), CONTROLLER))))
    assert orders(by_hand(seal(mandate(), CONTROLLER)))


def test_a_mandate_above_its_appointment_s_ceiling_counts_as_none() -> None:
    low = world.appointment("person", PERSON, ceiling=Precedence.PRIORITY, area=COMMUNE, powers=int(Power.ORDER))
    signed = [Centre.usual().appointments[0], world.by_roots(low)]
    refused(RefusalReason.EXPIRED, lambda: orders(by_hand(seal(mandate(), CONTROLLER), appointments=signed)))


def test_a_mandate_by_one_who_may_not_renew_counts_as_none() -> None:
    refused(RefusalReason.EXPIRED, lambda: orders(by_hand(seal(mandate(), PERSON))))
    refused(RefusalReason.EXPIRED, lambda: orders(by_hand(seal(mandate(), world.key_of("stranger")))))


def test_a_forged_mandate_refuses_the_document() -> None:
    good = seal(mandate(), CONTROLLER)
    refused(RefusalReason.BAD_SIGNATURE, lambda: by_hand(good[:-1] + bytes([good[-1] ^ 1])))


def revoked_centre(*ids: bytes) -> Centre:
    centre = Centre.usual()
    centre.revocations.append(world.by_roots(Revocation(ids=ids, at=NOW)))
    return centre


def test_revocation_of_appointment_mandate_and_key() -> None:
    usual = Centre.usual().authority()
    grant = orders(usual)
    for one in (grant.appointment, grant.mandate, grant.key_id):
        refused(RefusalReason.REVOKED, partial(orders, revoked_centre(one).authority()))
    with pytest.raises(WireRefusal):
        revoked_centre(world.appointment("controller", CONTROLLER).id).authority()


def test_a_revocation_outlives_the_document_that_brought_it() -> None:
    person = world.appointment("person", PERSON).id
    revoked = accept_trust(revoked_centre(person).document(), PINNED, NOW)
    # A controller restored from a backup knows nothing of it.
    after = accept_trust(Centre.usual().document(NOW + 1), revoked, NOW)
    refused(RefusalReason.REVOKED, lambda: orders(after))
    restored = Authority.restored(after.kept(), ROOTS)
    refused(RefusalReason.REVOKED, lambda: orders(restored))
    assert restored == after


def test_a_revocation_needs_the_roots() -> None:
    centre = Centre.usual()
    centre.revocations.append(seal(Revocation(ids=(bytes(8),), at=NOW), CONTROLLER))
    refused(RefusalReason.UNTRUSTED_KEY, centre.authority)


def test_what_is_kept_survives_a_reboot_long_after() -> None:
    authority = Centre.usual().authority()
    assert Authority.restored(authority.kept(), ROOTS) == authority
    assert Authority.restored(PINNED.kept(), ROOTS) == PINNED
    others = replace(ROOTS, version=9)
    assert Authority.restored(authority.kept(), others) == Authority.pinned(others)
    with pytest.raises(Malformed):
        Authority.restored(b"torn", ROOTS)


NEW_KEY = world.key_of("root 4")
SECOND = RootSet(
    version=2,
    roots=(*ROOTS.roots[1:], Root(public_key=NEW_KEY.public_key)),
    threshold=2,
)


def rotated(link: bytes, *, signers: tuple[Any, ...] = (ROOT_KEYS[1], NEW_KEY)) -> bytes:
    signed = (seal_with(world.appointment("controller", CONTROLLER), signers),)
    trust = Trust(
        area=PROVINCE,
        version=NOW,
        issued_at=NOW,
        root_sets=(link,),
        appointments=signed,
        mandates=renewed_mandates(signed, CONTROLLER, NOW),
    )
    return seal(trust, CONTROLLER)


def test_a_new_root_set_is_signed_by_the_old_and_by_itself() -> None:
    good = seal_with(SECOND, [*ROOT_KEYS[:2], NEW_KEY])
    authority = accept_trust(rotated(good), PINNED, NOW)
    assert (authority.roots, authority.pinned_roots) == (SECOND, ROOTS)
    assert Authority.restored(authority.kept(), ROOTS) == authority
    # From here on the old roots' threshold is worth nothing: root 1 has gone.
    old = Centre([world.by_roots(world.appointment("controller", CONTROLLER), 0, 2)]).document(NOW + 1)
    refused(RefusalReason.UNTRUSTED_KEY, lambda: accept_trust(old, authority, NOW))


def test_a_root_set_that_was_not_properly_signed() -> None:
    for keys in ([NEW_KEY, ROOT_KEYS[1]], [ROOT_KEYS[0], ROOT_KEYS[2]], [ROOT_KEYS[0], NEW_KEY]):
        link = seal_with(SECOND, keys)
        refused(RefusalReason.UNTRUSTED_KEY, partial(accept_trust, rotated(link), PINNED, NOW))
    skipped = seal_with(replace(SECOND, version=3), [*ROOT_KEYS[:2], NEW_KEY])
    refused(RefusalReason.UNTRUSTED_KEY, lambda: accept_trust(rotated(skipped), PINNED, NOW))


def test_the_parts_must_be_what_they_are_listed_as() -> None:
    order = world.sealed_order()
    for field in ("root_sets", "appointments", "mandates", "revocations"):
        trust = replace(open_sealed(Centre.usual().document()).message, **{field: (order,)})  # type: ignore[arg-type]
        refused(RefusalReason.MALFORMED, partial(accept_trust, seal(trust, CONTROLLER), PINNED, NOW))
    refused(RefusalReason.MALFORMED, lambda: accept_trust(order, PINNED, NOW))


def test_one_key_signs_one_kind() -> None:
    centre = Centre.usual()
    both = world.appointment("person again", PERSON, kind=Kind.DRILL)
    centre.appointments.append(world.by_roots(both))
    refused(RefusalReason.MALFORMED, centre.authority)


def test_renewal_stays_inside_the_appointment() -> None:
    short = world.appointment("short", PERSON, until=InstantMs(NOW + DAY))
    renewed = renewed_mandate(short, CONTROLLER, NOW)
    assert renewed is not None
    message = open_sealed(renewed).message
    assert isinstance(message, Mandate)
    assert message.until == NOW + DAY
    assert renewed_mandate(short, CONTROLLER, InstantMs(NOW + 2 * DAY)) is None
    future = world.appointment("future", PERSON, not_before=InstantMs(NOW + DAY))
    assert renewed_mandate(future, CONTROLLER, NOW) is None


def test_what_ended_long_ago_is_left_out() -> None:
    """A year of 54 communes' renewals after the other would fill the document; revocations stay twice as long."""
    centre = Centre.usual()
    centre.appointments.append(world.by_roots(appointment_until(NOW - 29 * DAY)))
    centre.appointments.append(world.by_roots(appointment_until(NOW - 31 * DAY)))
    for at in (NOW - 731 * DAY, NOW - 733 * DAY):
        centre.revocations.append(world.by_roots(Revocation(ids=(at.to_bytes(8, "big"),), at=InstantMs(at))))
    trust = open_sealed(centre.document()).message
    assert isinstance(trust, Trust)
    assert trust.appointments == tuple(centre.appointments[:-1])
    assert trust.revocations == tuple(centre.revocations[:1])
    assert centre.authority().version == NOW


def appointment_until(until: int) -> Appointment:
    return world.appointment(
        f"until {until}", world.key_of(str(until)), not_before=InstantMs(until - DAY), until=InstantMs(until)
    )


def test_of_a_long_chain_the_newest_links_are_sent() -> None:
    links = [bytes([number]) * 8 for number in range(20)]
    document = trust_document(
        area=PROVINCE, version=1, now_ms=NOW, key=CONTROLLER, appointments=Centre.usual().appointments, root_sets=links
    )
    trust = open_sealed(document).message
    assert isinstance(trust, Trust)
    assert trust.root_sets == tuple(links[4:])


def test_a_revoked_key_is_not_renewed() -> None:
    signed = [*Centre.usual().appointments]
    all_of_them = renewed_mandates(signed, CONTROLLER, NOW)
    assert len(all_of_them) == len(signed)
    for gone in (PERSON.key_id, world.appointment("person", PERSON).id):
        left = renewed_mandates(signed, CONTROLLER, NOW, revoked=[gone])
        assert len(left) == len(signed) - 1


def test_parts_of_one_signature_come_together_in_one_order() -> None:
    wished = world.appointment("controller", CONTROLLER)
    parts = [seal_with(wished, [key]) for key in ROOT_KEYS]
    whole = joined(parts, max_bytes=4096)
    assert joined([parts[2], parts[0], parts[1], parts[0]], max_bytes=4096) == whole
    assert Centre([whole]).authority().version == NOW
    assert len(open_sealed(whole).signatures) == 3
    other = seal_with(world.appointment("other", CONTROLLER), [ROOT_KEYS[0]])
    for wrong in ([], [parts[0], other]):
        with pytest.raises(Malformed):
            joined(wrong, max_bytes=4096)


def test_a_message_signed_for_one_structure_does_not_hold_in_the_other() -> None:
    """A COSE_Sign1 by a root is not a root's part of a COSE_Sign: the covered bytes differ."""
    appointment = world.appointment("controller", CONTROLLER)
    alone = open_sealed(sign1(encode(appointment), ROOT_KEYS[0])).signature
    together = open_sealed(world.by_roots(appointment)).signatures[0]
    assert alone.key_id == together.key_id
    assert alone.signature != together.signature


def test_appointments_last_at_most_a_year() -> None:
    with pytest.raises(Malformed):
        world.appointment("long", PERSON, until=InstantMs(NOW + 400 * DAY))
    assert isinstance(world.appointment("usual", PERSON), Appointment)
