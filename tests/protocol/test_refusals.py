"""Each reason for which something from the wire is not obeyed, reached; and beside it what is obeyed."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from devices.protocol.authority import accept_trust
from devices.protocol.common import MessageType
from devices.protocol.documents import Entry, Placement, Settings, Timetable
from devices.protocol.envelope import encode, seal
from devices.protocol.judge import (
    Held,
    judge_acknowledgement,
    judge_document,
    judge_order,
    judge_placement,
    judge_report,
    judge_time_reply,
    may_end,
)
from devices.protocol.keys import SigningKey
from devices.protocol.media import TimeReply
from devices.protocol.orders import Order, OrderAction
from devices.protocol.refusal import RefusalReason, Repeat, WireRefusal
from devices.protocol.reports import Acknowledgement, Health, Presence, PresenceState, Receipt, ReceiptEvent
from devices.protocol.seen import MAX_SEEN, SeenOrders
from devices.protocol.trust import Revocation
from loa.names import AreaPath, node_id
from loa.precedence import Kind, Precedence
from loa.units import InstantMs
from tests.protocol import world
from tests.protocol.world import COMMUNE, CONTROLLER, DAY, DRILLER, NODE, NODE_KEY, NOW, PERSON, PROVINCE, VILLAGE


def judged(payload: bytes, *, retained: bool = False, seen: SeenOrders | None = None, **changes: object) -> Order:
    standing = world.standing(**changes)
    return judge_order(payload, retained=retained, standing=standing, seen=seen or SeenOrders()).order


def refused(reason: RefusalReason, call: Callable[[], Any]) -> None:
    with pytest.raises(WireRefusal) as caught:
        call()
    assert caught.value.reason is reason, caught.value


def test_a_good_order_is_obeyed() -> None:
    assert judged(world.sealed_order()) == world.order()
    assert judged(world.sealed_order(areas=(), nodes=(NODE,))).nodes == (NODE,)
    assert judged(world.emergency()).precedence is Precedence.EMERGENCY
    assert judged(world.sealed_order(DRILLER, kind=Kind.DRILL)).kind is Kind.DRILL


def test_every_flipped_bit_of_an_order_makes_it_refused() -> None:
    payload = world.sealed_order()
    assert judged(payload)
    reasons = set()
    for bit in range(len(payload) * 8):
        flipped = bytearray(payload)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(WireRefusal) as caught:
            judged(bytes(flipped))
        reasons.add(caught.value.reason)
    assert {RefusalReason.BAD_SIGNATURE, RefusalReason.MALFORMED, RefusalReason.UNTRUSTED_KEY} == reasons


def test_malformed() -> None:
    for junk in (b"", b"hello", bytes(200), encode(world.order()), seal(settings_document(), CONTROLLER)):
        refused(RefusalReason.MALFORMED, partial(judged, junk))


def test_bad_signature() -> None:
    mine, other = world.sealed_order(), world.sealed_order(id=world.id_of("another"))
    refused(RefusalReason.BAD_SIGNATURE, lambda: judged(mine[:-64] + other[-64:]))


def test_untrusted_key() -> None:
    refused(RefusalReason.UNTRUSTED_KEY, lambda: judged(world.sealed_order(world.key_of("stranger"))))
    refused(RefusalReason.UNTRUSTED_KEY, lambda: judged(world.sealed_order(world.ROOT_KEYS[0])))


def test_wrong_target() -> None:
    elsewhere = world.sealed_order(areas=(AreaPath("quang-ninh/co-to/thon-2"),))
    refused(RefusalReason.WRONG_TARGET, lambda: judged(elsewhere))
    refused(RefusalReason.WRONG_TARGET, lambda: judged(world.sealed_order(areas=(), nodes=(node_id("another"),))))
    refused(RefusalReason.WRONG_TARGET, lambda: judged(world.sealed_order(areas=(AreaPath("quang-ninh/co-tom"),))))
    refused(RefusalReason.WRONG_TARGET, lambda: judged(world.sealed_order(), area=None))


def test_retained_forbidden() -> None:
    refused(RefusalReason.RETAINED_FORBIDDEN, lambda: judged(world.sealed_order(), retained=True))


def test_replay_and_our_own_repeat() -> None:
    payload = world.sealed_order()
    seen = SeenOrders().adding(world.order(), payload, NOW)
    with pytest.raises(Repeat):
        judged(payload, seen=seen)
    refused(RefusalReason.REPLAY, lambda: judged(world.sealed_order(volume=100), seen=seen))
    restored = SeenOrders.from_bytes(seen.to_bytes() + b"torn")
    assert restored == seen
    with pytest.raises(Repeat):
        judged(payload, seen=restored)


def test_a_full_memory_refuses_all_but_emergencies() -> None:
    entries = {n.to_bytes(16, "big"): (bytes(16), InstantMs(NOW + DAY)) for n in range(MAX_SEEN)}
    full = SeenOrders(entries)  # type: ignore[arg-type]
    refused(RefusalReason.REPLAY, lambda: judged(world.sealed_order(), seen=full))
    emergency = world.emergency()
    assert len(full.adding(judged(emergency, seen=full), emergency, NOW).entries) == MAX_SEEN + 1
    later = InstantMs(NOW + 2 * DAY)
    order = world.order(issued_at=later, start_at=later, expires_at=InstantMs(later + 9))
    payload = seal(order, CONTROLLER)
    assert judged(payload, seen=full, now_ms=later, floor_ms=later)
    assert len(full.adding(order, payload, later).entries) == 1


def test_expired() -> None:
    payload = world.sealed_order()
    refused(RefusalReason.EXPIRED, lambda: judged(payload, now_ms=NOW + 600_000))
    refused(RefusalReason.EXPIRED, lambda: judged(payload, now_ms=None, floor_ms=NOW + 600_000))
    # A clock set ten years back does not bring it to life again: the floor holds.
    refused(RefusalReason.EXPIRED, lambda: judged(payload, now_ms=NOW - 3650 * DAY, floor_ms=NOW + 600_000))


def test_expired_mandate() -> None:
    later = NOW + 8 * DAY
    payload = world.sealed_order(issued_at=later, start_at=later, expires_at=later + 1000)
    refused(RefusalReason.EXPIRED, lambda: judged(payload, now_ms=later))


def test_time_unknown() -> None:
    refused(RefusalReason.TIME_UNKNOWN, lambda: judged(world.sealed_order(), now_ms=None))
    refused(RefusalReason.TIME_UNKNOWN, lambda: judged(world.emergency(), now_ms=None))


def test_mandate_exceeded() -> None:
    wider = world.sealed_order(PERSON, areas=(PROVINCE,))
    refused(RefusalReason.MANDATE_EXCEEDED, lambda: judged(wider))
    one_too_many = world.sealed_order(PERSON, areas=(COMMUNE, AreaPath("quang-ninh/hong-gai")))
    refused(RefusalReason.MANDATE_EXCEEDED, lambda: judged(one_too_many))
    by_name = world.sealed_order(PERSON, areas=(), nodes=(NODE,))
    elsewhere = AreaPath("quang-ninh/hong-gai")
    assert judged(by_name)
    refused(RefusalReason.MANDATE_EXCEEDED, lambda: judged(by_name, area=elsewhere))


def test_revoked() -> None:
    centre = world.Centre.usual()
    person = world.appointment("person", PERSON).id
    revocation = Revocation(ids=(person,), at=NOW)
    centre.revocations.append(world.by_roots(revocation))
    payload = world.sealed_order(PERSON)
    assert judged(payload)
    refused(RefusalReason.REVOKED, lambda: judged(payload, authority=centre.authority()))


def test_drill_mismatch() -> None:
    refused(RefusalReason.DRILL_MISMATCH, lambda: judged(world.sealed_order(DRILLER)))
    refused(RefusalReason.DRILL_MISMATCH, lambda: judged(world.sealed_order(kind=Kind.DRILL)))


def test_approval_missing() -> None:
    """Whoever signs the order: no emergency without a body and approvals."""
    alone = world.order(precedence=Precedence.EMERGENCY)
    for key in (CONTROLLER, PERSON):
        refused(RefusalReason.APPROVAL_MISSING, lambda key=key: judged(seal(alone, key)))  # type: ignore[misc]
    unapproved, bodiless = replace(world.approved(alone), approvals=()), world.approved(alone, PERSON)
    refused(RefusalReason.APPROVAL_MISSING, lambda: judged(seal(unapproved, CONTROLLER)))
    refused(RefusalReason.APPROVAL_MISSING, lambda: judged(seal(replace(bodiless, alert_body=None), CONTROLLER)))
    assert judged(seal(bodiless, CONTROLLER))


def test_a_stop_reaches_what_its_signer_may_order() -> None:
    stop = world.order(action=OrderAction.STOP, subject=world.id_of("x"), renditions=())
    assert may_end(stop, precedence=Precedence.PRIORITY, kind=Kind.LIVE)
    assert not may_end(stop, precedence=Precedence.EMERGENCY, kind=Kind.LIVE, reach=(PROVINCE,), whole=(COMMUNE,))
    assert not may_end(stop, precedence=Precedence.ORDINARY, kind=Kind.DRILL)
    cancel = replace(stop, precedence=Precedence.EMERGENCY)
    assert may_end(cancel, precedence=Precedence.EMERGENCY, kind=Kind.LIVE, reach=(COMMUNE,), whole=(VILLAGE,))
    assert not may_end(cancel, precedence=Precedence.EMERGENCY, kind=Kind.LIVE, reach=(COMMUNE,), whole=(PROVINCE,))
    assert not may_end(cancel, precedence=Precedence.EMERGENCY, kind=Kind.LIVE, whole=(VILLAGE,))


def settings_document(version: int = NOW, area: AreaPath = COMMUNE) -> Settings:
    return Settings(area=area, version=version, issued_at=NOW)


def timetable(version: int = NOW, **changes: object) -> Timetable:
    values: dict[str, Any] = {
        "id": world.id_of("entry"),
        "start_at": NOW + DAY,
        "precedence": Precedence.ORDINARY,
        "kind": Kind.LIVE,
        "renditions": (world.RENDITION,),
    }
    entry = Entry(**(values | changes))
    covers = InstantMs(NOW + 7 * DAY)
    return Timetable(area=COMMUNE, version=version, issued_at=NOW, covers_until=covers, entries=(entry,))


def test_documents_never_go_back() -> None:
    newer = seal(timetable(NOW + 1), CONTROLLER)
    assert judge_document(newer, world.standing(), {}) == timetable(NOW + 1)
    held = {(MessageType.TIMETABLE, COMMUNE): Held.of(NOW + 1, newer)}
    with pytest.raises(Repeat):
        judge_document(newer, world.standing(), held)
    older, same = seal(timetable(NOW), CONTROLLER), seal(timetable(NOW + 1, repeat=True), CONTROLLER)
    refused(RefusalReason.ROLLBACK, lambda: judge_document(older, world.standing(), held))
    refused(RefusalReason.ROLLBACK, lambda: judge_document(same, world.standing(), held))
    assert judge_document(seal(settings_document(), CONTROLLER), world.standing(), held)


def test_documents_of_others_are_refused() -> None:
    def judging(document: Timetable | Settings, key: SigningKey = CONTROLLER, **changes: object) -> Callable[[], Any]:
        return lambda: judge_document(seal(document, key), world.standing(**changes), {})

    refused(RefusalReason.WRONG_TARGET, judging(settings_document(area=AreaPath("quang-ninh/hong-gai"))))
    refused(RefusalReason.WRONG_TARGET, judging(settings_document(), area=None))
    refused(RefusalReason.MANDATE_EXCEEDED, judging(settings_document(), PERSON))
    refused(RefusalReason.MANDATE_EXCEEDED, judging(timetable(precedence=Precedence.EMERGENCY)))
    refused(RefusalReason.DRILL_MISMATCH, judging(timetable(kind=Kind.DRILL)))
    refused(RefusalReason.TIME_UNKNOWN, judging(timetable(), now_ms=None))
    refused(RefusalReason.MALFORMED, lambda: judge_document(world.sealed_order(), world.standing(), {}))


def test_one_issuer_of_timetables_while_its_key_is_in_force() -> None:
    second = world.key_of("second controller")
    centre = world.Centre.usual()
    centre.appointments.append(world.by_roots(world.appointment("second", second)))
    payload, authority = seal(timetable(), second), centre.authority()
    held_to = world.standing(authority=authority, timetable_issuer=CONTROLLER.key_id)
    refused(RefusalReason.UNTRUSTED_KEY, lambda: judge_document(payload, held_to, {}))
    first = world.appointment("controller", CONTROLLER).id
    centre.revocations.append(world.by_roots(Revocation(ids=(first,), at=NOW)))
    after = accept_trust(centre.document(NOW + 1, key=second), authority, NOW)
    freed = world.standing(authority=after, timetable_issuer=CONTROLLER.key_id)
    assert judge_document(payload, freed, {})


def placed(version: int = 5, **changes: object) -> Placement:
    values: dict[str, Any] = {
        "node": NODE,
        "area": VILLAGE,
        "version": version,
        "issued_at": NOW,
        "public_key": NODE_KEY.public_key,
    }
    return Placement(**(values | changes))


def test_placements() -> None:
    def judging(placement: Placement, key: SigningKey = CONTROLLER, now: int | None = NOW) -> Placement:
        return judge_placement(
            seal(placement, key),
            node=NODE,
            public_key=NODE_KEY.public_key,
            authority=world.USUAL,
            held_version=5,
            now_ms=InstantMs(now) if now else None,
        )

    assert judging(placed(6)).area == VILLAGE
    assert judging(placed(6), now=None).area == VILLAGE
    with pytest.raises(Repeat):
        judging(placed(5))
    refused(RefusalReason.ROLLBACK, lambda: judging(placed(4)))
    refused(RefusalReason.WRONG_TARGET, lambda: judging(placed(6, node=node_id("another"))))
    refused(RefusalReason.WRONG_TARGET, lambda: judging(placed(6, public_key=bytes(32))))
    refused(RefusalReason.MANDATE_EXCEEDED, lambda: judging(placed(6), PERSON))
    refused(RefusalReason.MANDATE_EXCEEDED, lambda: judging(placed(6, area=AreaPath("hai-phong"))))
    refused(RefusalReason.EXPIRED, lambda: judging(placed(6), now=NOW + 8 * DAY))


def test_acknowledgements() -> None:
    def judging(newest: int = 0, key: SigningKey = CONTROLLER, epoch: bytes = bytes(8)) -> Acknowledgement:
        statement = Acknowledgement(node=NODE, epoch=epoch, number=7, issued_at=NOW)
        return judge_acknowledgement(
            seal(statement, key),
            node=NODE,
            epoch=bytes(8),
            authority=world.USUAL,
            now_ms=NOW,
            area=VILLAGE,
            newest_ms=InstantMs(newest),
        )

    assert judging().number == 7
    refused(RefusalReason.ROLLBACK, lambda: judging(newest=NOW + 1))
    refused(RefusalReason.WRONG_TARGET, lambda: judging(epoch=b"\1" * 8))
    refused(RefusalReason.MANDATE_EXCEEDED, lambda: judging(key=PERSON))


def test_time_replies() -> None:
    def judging(
        at: int = NOW, key: SigningKey = CONTROLLER, node: str = NODE, nonce: bytes = bytes(16), floor: int = 0
    ) -> TimeReply:
        instant = InstantMs(at)
        reply = TimeReply(
            node=node_id(node), nonce=nonce, sent_at=5, received_at=instant, replied_at=InstantMs(instant + 1)
        )
        return judge_time_reply(
            seal(reply, key), node=NODE, outstanding={bytes(16)}, authority=world.USUAL, floor_ms=InstantMs(floor)
        )

    assert judging().sent_at == 5
    # A key whose mandate ended before what is known to have been signed does not turn the clock back to it.
    refused(RefusalReason.EXPIRED, lambda: judging(floor=NOW + 8 * DAY))
    refused(RefusalReason.REPLAY, lambda: judging(nonce=b"\1" * 16))
    refused(RefusalReason.WRONG_TARGET, lambda: judging(node="another"))
    refused(RefusalReason.MANDATE_EXCEEDED, lambda: judging(key=PERSON))
    # A controller whose clock is ten years off is outside every mandate.
    refused(RefusalReason.EXPIRED, lambda: judging(NOW + 3650 * DAY))


def test_reports() -> None:
    receipt = Receipt(node=NODE, epoch=bytes(8), number=1, at=NOW, event=ReceiptEvent.STARTED)
    health = Health(node=NODE, session=1, at=NOW, uptime_s=5, epoch=bytes(8))
    offline = Presence(node=NODE, session=1, state=PresenceState.OFFLINE)
    online = Presence(node=NODE, session=1, state=PresenceState.ONLINE)

    def judging(payload: bytes, topic_node: str = NODE, *, retained: bool = False) -> Any:
        return judge_report(payload, topic_node=topic_node, public_key=NODE_KEY.public_key, retained=retained)

    for report in (receipt, health, offline, online):
        assert judging(seal(report, NODE_KEY)) == report
    assert judging(encode(offline), retained=True) == offline
    refused(RefusalReason.MALFORMED, lambda: judging(encode(online)))
    refused(RefusalReason.MALFORMED, lambda: judging(encode(receipt)))
    refused(RefusalReason.MALFORMED, lambda: judging(world.sealed_order(NODE_KEY)))
    refused(RefusalReason.WRONG_TARGET, lambda: judging(seal(receipt, NODE_KEY), "another"))
    refused(RefusalReason.UNTRUSTED_KEY, lambda: judging(seal(receipt, CONTROLLER)))
    refused(RefusalReason.RETAINED_FORBIDDEN, lambda: judging(seal(receipt, NODE_KEY), retained=True))
    spoiled = seal(health, NODE_KEY)[:-64] + seal(receipt, NODE_KEY)[-64:]
    refused(RefusalReason.BAD_SIGNATURE, lambda: judging(spoiled))
