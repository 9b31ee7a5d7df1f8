"""Orders by local input: what a node obeys, and everything else that somebody with a station in hand may try."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.protocol.envelope import open_sealed, seal, seal_with
from devices.protocol.judge import Accepted, judge_order, may_end
from devices.protocol.local import LONGEST_LOCAL_MS
from devices.protocol.local_orders import local_play, mark_of
from devices.protocol.orders import Order, OrderAction
from devices.protocol.refusal import Malformed, Repeat, WireRefusal
from devices.protocol.seen import SeenOrders
from devices.protocol.trust import Revocation
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from loa.units import InstantMs, Percent
from tests.protocol.local_world import ELSEWHERE, MANDATE, STATION, mandate, sounded, stopped
from tests.protocol.world import (
    COMMUNE,
    CONTROLLER,
    DAY,
    NOW,
    PERSON,
    PROVINCE,
    RENDITION,
    Centre,
    by_roots,
    emergency,
    id_of,
    key_of,
    sealed_order,
    standing,
)  # fmt: skip


def judged(payload: bytes, *, local: bool = True, seen: SeenOrders | None = None, **changes: Any) -> Accepted:
    return judge_order(payload, retained=False, standing=standing(**changes), seen=seen or SeenOrders(), local=local)


def refused(payload: bytes, **more: Any) -> str:
    with pytest.raises(WireRefusal) as error:
        judged(payload, **more)
    return error.value.reason.code


def order_of(payload: bytes) -> Order:
    message = open_sealed(payload).message
    assert isinstance(message, Order)
    return message


def test_a_stored_alert_of_its_own_commune() -> None:
    accepted = judged(sounded())
    assert (accepted.order.siren, accepted.order.areas, accepted.order.repeats) == (1, (COMMUNE,), 0)
    assert accepted.reach == (COMMUNE,)
    assert MANDATE.id in accepted.basis
    mark = mark_of(accepted.order, accepted.signer)
    assert (mark.holder, mark.area, mark.siren, mark.ends) == ("Đài Cô Tô", COMMUNE, 1, None)
    assert len(sounded()) < 600


def test_no_trust_document_need_have_named_it() -> None:
    from devices.protocol.authority import Authority
    from tests.protocol.world import ROOTS

    assert judged(sounded(), authority=Authority.pinned(ROOTS)).order.siren == 1


@pytest.mark.parametrize(
    ("payload", "changes", "code"),
    [
        (sounded(), {"local": False}, "mandate_exceeded"),  # the same bytes by the broker
        (sounded(), {"area": AreaPath("quang-ninh/mong-cai/thon-1")}, "wrong_target"),
        (sounded(area=ELSEWHERE), {}, "wrong_target"),
        (sounded(kind=Kind.DRILL), {}, ""),
        (sounded(until=InstantMs(NOW - DAY)), {}, "expired"),
        (sounded(not_before=InstantMs(NOW + DAY)), {}, "expired"),
        (sounded(), {"now_ms": InstantMs(NOW + LONGEST_LOCAL_MS)}, "expired"),
        (sounded(), {"now_ms": None}, "time_unknown"),
        (sounded(at=NOW + LONGEST_LOCAL_MS + 1000), {}, "expired"),
        (local_play(key_of("another"), mandate(), 1, id_of("x"), NOW), {}, "untrusted_key"),
        (local_play(CONTROLLER, mandate(), 1, id_of("x"), NOW), {}, "untrusted_key"),
    ],
)  # fmt: skip
def test_what_is_not_obeyed(payload: bytes, changes: dict[str, Any], code: str) -> None:
    if not code:
        assert judged(payload).order.kind is Kind.DRILL
        return
    assert refused(payload, **changes) == code


def test_a_mandate_that_the_roots_did_not_sign() -> None:
    one = seal_with(MANDATE, [CONTROLLER])
    assert refused(local_play(STATION, one, 1, id_of("x"), NOW)) == "untrusted_key"
    assert refused(local_play(STATION, mandate(0), 1, id_of("x"), NOW)) == "untrusted_key"  # one root of two
    wide = replace(MANDATE, public_key=key_of("thief").public_key)
    own = seal_with(wide, [key_of("thief")])
    assert refused(local_play(key_of("thief"), own, 1, id_of("x"), NOW)) == "untrusted_key"


def test_an_order_beyond_its_mandate() -> None:
    order = order_of(sounded())
    far = seal(replace(order, areas=(PROVINCE,)), STATION)
    assert refused(far) == "mandate_exceeded"
    drill = seal(replace(order, kind=Kind.DRILL), STATION)
    assert refused(drill) == "drill_mismatch"
    with pytest.raises(Malformed):
        replace(MANDATE, area=PROVINCE)
    for changes in (
        {"renditions": (RENDITION,)}, {"volume": Percent(100)}, {"precedence": Precedence.PRIORITY, "siren": 0},
        {"areas": (), "nodes": ("a",)}, {"expires_at": InstantMs(NOW + LONGEST_LOCAL_MS + 1)},
        {"action": OrderAction.VOLUME}, {"alert_body": b"x"},
    ):  # fmt: skip
        with pytest.raises(Malformed):
            replace(order, **changes)


@pytest.mark.parametrize("gone", ["key", "mandate"])
def test_revoked(gone: str) -> None:
    usual = Centre.usual()
    id_ = MANDATE.id if gone == "mandate" else bytes(STATION.key_id)
    usual.revocations.append(by_roots(Revocation(ids=(id_,), at=NOW)))
    assert refused(sounded(), authority=usual.authority()) == "revoked"


def test_once() -> None:
    payload = sounded()
    order = order_of(payload)
    seen = SeenOrders().adding(order, payload, InstantMs(0))
    with pytest.raises(Repeat):
        judged(payload, seen=seen)
    assert refused(seal(replace(order, siren=2), STATION), seen=seen) == "replay"


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_any_bit_flipped(at: int, bit: int) -> None:
    payload = bytearray(sounded())
    payload[at % len(payload)] ^= 1 << bit
    with pytest.raises(WireRefusal):
        judged(bytes(payload))


def test_a_station_ends_what_it_sounded_and_nothing_that_people_released() -> None:
    stop = judged(stopped("stop", id_of("local")))
    whole = {"reach": stop.reach, "whole": (COMMUNE,)}
    emergency_ = {"precedence": Precedence.EMERGENCY, "kind": Kind.LIVE}
    assert may_end(stop.order, **emergency_, **whole, local=True)  # type: ignore[arg-type]
    assert not may_end(stop.order, **emergency_, **whole)  # type: ignore[arg-type]
    # The centre's cancel, approved by a person of the commune, ends it.
    cancel = judged(
        emergency(PERSON, id=id_of("cancel"), action=OrderAction.STOP, subject=id_of("local"), renditions=()),
        local=False,
    )
    assert may_end(cancel.order, **emergency_, reach=cancel.reach, whole=(COMMUNE,), local=True)  # type: ignore[arg-type]
    # The controller's own word does not.
    plain = judged(sealed_order(id=id_of("c"), action=OrderAction.STOP, subject=id_of("local"), renditions=()))
    assert not may_end(plain.order, **emergency_, reach=plain.reach, whole=(COMMUNE,), local=True)  # type: ignore[arg-type]
