"""Who suffices, and what an order leaves out for its body: the pure rules, beside the tests at a real node."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.protocol import cose
from devices.protocol.alerts import AlertAction, AlertBody
from devices.protocol.approval import approve, body_of, check_approvals, covers_all, read_body
from devices.protocol.authority import Authority
from devices.protocol.envelope import encode, open_sealed, seal
from devices.protocol.judge import judge_order
from devices.protocol.keys import SigningKey
from devices.protocol.orders import Order, OrderAction
from devices.protocol.readable import readable
from devices.protocol.refusal import Malformed, RefusalReason, WireRefusal
from devices.protocol.seen import SeenOrders
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from loa.units import DurationMs, InstantMs
from tests.node.releasing import COMMUNES
from tests.protocol import world
from tests.protocol.shapes import message
from tests.protocol.world import (
    COMMUNE,
    CONTROLLER,
    FIRST,
    NODE,
    NOW,
    PERSON,
    PROVINCE,
    SECOND,
    VILLAGE,
    by_roots,
    releaser,
)

EMERGENCY = Precedence.EMERGENCY
OTHER = AreaPath("quang-ninh/hong-gai")
PEOPLE = {
    "province": FIRST,
    "second": SECOND,
    "commune": PERSON,
    "village": world.key_of("village"),
    "sole": world.key_of("sole"),
    "other": world.key_of("other commune"),
}


def _authority() -> Authority:
    centre = world.Centre.usual()
    for holder, changes in (("village", {"area": VILLAGE}), ("sole", {"sole": True}), ("other", {"area": OTHER})):
        centre.appointments.append(by_roots(releaser(holder, PEOPLE[holder], **changes)))
    return centre.authority()


AUTHORITY = _authority()


def enough(area: AreaPath, *holders: str, action: AlertAction = AlertAction.RELEASE) -> tuple[str, ...]:
    """Whose word it rests on; raises WireRefusal."""
    order = world.order(precedence=EMERGENCY, areas=(area,))
    if action is AlertAction.CANCEL:
        order = replace(order, action=OrderAction.STOP, subject=world.id_of("x"), renditions=())
    data = encode(world.body_for(order))
    approvals = [approve(data, PEOPLE[holder]) for holder in holders]
    grants = check_approvals(data, approvals, AUTHORITY, whole=(area,), now_ms=NOW)
    return tuple(next(name for name, key in PEOPLE.items() if key.key_id == one.key_id) for one in grants)


AREAS = {
    "province": (PROVINCE, COMMUNE, VILLAGE, OTHER),
    "second": (PROVINCE, COMMUNE, VILLAGE, OTHER),
    "sole": (PROVINCE, COMMUNE, VILLAGE, OTHER),
    "commune": (COMMUNE, VILLAGE),
    "village": (VILLAGE,),
    "other": (OTHER,),
}
"""Written by hand: which targets each of them covers."""


@pytest.mark.parametrize("area", [PROVINCE, COMMUNE, VILLAGE, OTHER])
def test_every_set_of_up_to_three_people(area: AreaPath) -> None:
    for count in (1, 2, 3):
        for people in itertools.permutations(PEOPLE, count):
            covering = {name for name in people if area in AREAS[name]}
            suffices = bool(covering & {"sole", "commune", "village", "other"}) or covering >= {"province", "second"}
            if suffices:
                assert set(enough(area, *people)) <= covering
            else:
                with pytest.raises(WireRefusal):
                    enough(area, *people)
            if covering:
                assert set(enough(area, *people, action=AlertAction.CANCEL)) <= covering
            else:
                with pytest.raises(WireRefusal):
                    enough(area, *people, action=AlertAction.CANCEL)


def test_54_communes_one_by_one() -> None:
    """By one person of the province, each is refused; by two, each is taken."""
    for area in COMMUNES:
        alone = world.emergency(FIRST, areas=(area,))
        with pytest.raises(WireRefusal) as caught:
            judge_order(alone, retained=False, standing=world.standing(area=area), seen=SeenOrders())
        assert caught.value.reason is RefusalReason.APPROVAL_MISSING
        both = world.emergency(FIRST, SECOND, areas=(area,))
        accepted = judge_order(both, retained=False, standing=world.standing(area=area), seen=SeenOrders())
        assert {one.holder for one in accepted.approvers} == {"first officer", "second officer"}
        assert len(accepted.basis) == 9


def test_the_widest_word_counts_for_a_cancel() -> None:
    assert enough(VILLAGE, "village", "commune", "province", action=AlertAction.CANCEL) == ("province",)
    assert covers_all((COMMUNE, PROVINCE), (COMMUNE, OTHER))
    assert not covers_all((COMMUNE, OTHER), (COMMUNE, OTHER))  # one mandate over all of it, not several together


def test_every_flipped_bit_of_body_and_approvals_is_refused() -> None:
    """Signed again by the controller's own key each time."""
    order = world.approved(world.order(precedence=EMERGENCY), PERSON)
    assert order.alert_body is not None
    for name, part in (("body", order.alert_body), ("approval", order.approvals[0])):
        for bit in range(8 * len(part)):
            spoilt = bytearray(part)
            spoilt[bit // 8] ^= 1 << bit % 8
            body, approval = (
                (bytes(spoilt), order.approvals[0]) if name == "body" else (order.alert_body, bytes(spoilt))
            )
            with pytest.raises(WireRefusal):
                judged(seal(replace(order, alert_body=body, approvals=(approval,)), CONTROLLER))
    assert judged(seal(order, CONTROLLER)) == order


def judged(payload: bytes) -> Order:
    return judge_order(payload, retained=False, standing=world.standing(), seen=SeenOrders()).order


def test_an_approval_is_over_the_body_alone() -> None:
    """A whole message that a person signed is no approval, and an approval is no message."""
    data = encode(world.body_for(world.order(precedence=EMERGENCY)))
    attached = cose.sign1(data, PERSON)
    with pytest.raises(Malformed):
        check_approvals(data, [attached], AUTHORITY, whole=(COMMUNE,), now_ms=NOW)
    with pytest.raises(Malformed):
        open_sealed(approve(data, PERSON))
    assert len(approve(data, PERSON)) == 84
    assert cose.read_detached(approve(data, PERSON), data, max_bytes=256).holds_under(PERSON.public_key)
    for junk in (b"", b"\xf6", cose.sign(data, [PERSON]), approve(data, PERSON)[:-1]):
        with pytest.raises(Malformed):
            cose.read_detached(junk, data, max_bytes=256)


@pytest.mark.parametrize(
    "changes",
    [
        {"areas": ()},
        {"expires_at": InstantMs(NOW)},
        {"expires_at": InstantMs(NOW + 32 * world.DAY)},
        {"renditions": ()},
        {"siren": 255},
        {"action": AlertAction.CANCEL},
        {"action": AlertAction.CANCEL, "references": (world.id_of("x"),)},
        {"references": (world.id_of("an order"),)},
        {"renditions": (replace(world.RENDITION, stream_at=NOW),)},
    ],
    ids=str,
)
def test_what_no_body_says(changes: dict[str, object]) -> None:
    body = world.body_for(world.order(precedence=EMERGENCY))
    assert read_body(encode(body)) == body
    with pytest.raises(Malformed):
        replace(body, **changes)  # type: ignore[arg-type]


def test_whole_languages_may_be_left_out() -> None:
    dao = replace(world.RENDITION, language="ium")
    two = (world.RENDITION, replace(world.RENDITION, duration_ms=DurationMs(5)), dao)
    good = world.approved(world.order(precedence=EMERGENCY, renditions=two), PERSON)
    for renditions, fine in (
        ((two[0], two[1]), True),
        ((dao,), True),
        ((two[0], dao), False),
        ((two[1], two[0]), False),
    ):
        payload = seal(replace(good, renditions=renditions), CONTROLLER)
        if fine:
            assert judged(payload).renditions == renditions
        else:
            with pytest.raises(WireRefusal) as caught:
                judged(payload)
            assert caught.value.reason is RefusalReason.BEYOND_APPROVAL


def test_a_stream_is_the_orders_business() -> None:
    streamed = replace(world.RENDITION, stream_at=NOW)
    payload = world.emergency(renditions=(streamed,))
    assert judged(payload).renditions == (streamed,)


# What an order leaves out.


def test_how_long_an_emergency_is() -> None:
    siren = {"renditions": (), "siren": 1}
    assert len(world.emergency(**siren)) == 281  # type: ignore[arg-type]
    assert len(world.emergency(FIRST, SECOND, **siren)) == 368  # type: ignore[arg-type]
    assert len(world.emergency()) == 325


@given(message(AlertBody), message(Order), st.sampled_from(OrderAction))
@settings(max_examples=40, deadline=None)
def test_whatever_the_body_says_the_order_comes_back_whole(body: AlertBody, order: Order, action: OrderAction) -> None:
    _comes_back(body, order, action)


@pytest.mark.slow
@given(message(AlertBody), message(Order), st.sampled_from(OrderAction))
@settings(max_examples=250, deadline=None)
def test_of_many_bodies_and_orders_each_comes_back_whole(body: AlertBody, order: Order, action: OrderAction) -> None:
    _comes_back(body, order, action)


def _comes_back(body: AlertBody, order: Order, action: OrderAction) -> None:
    given_order = replace(order, action=action, alert_body=encode(body))
    assert open_sealed(seal(given_order, CONTROLLER)).message == given_order


def test_an_order_that_differs_says_so_even_at_its_defaults() -> None:
    plain = world.order(precedence=EMERGENCY, siren=3, repeats=4, gap_ms=DurationMs(9), replaces=(world.id_of("old"),))
    full = world.approved(plain, PERSON)
    assert body_of(full) is not None
    for changes in (
        {"siren": 0},
        {"repeats": 1},
        {"gap_ms": DurationMs(0)},
        {"replaces": ()},
        {"renditions": ()},
        {"areas": (), "nodes": (NODE,)},
        {"kind": Kind.DRILL},
        {"id": world.id_of("another")},
    ):
        other = replace(full, **changes)
        assert open_sealed(seal(other, CONTROLLER)).message == other
    assert len(seal(replace(full, areas=(VILLAGE,)), CONTROLLER)) > len(seal(full, CONTROLLER))


def test_an_emergency_in_words() -> None:
    known = {key.key_id: (name, key.public_key) for name, key in (("controller", CONTROLLER), ("a person", PERSON))}
    payload = world.emergency()
    read = readable(payload, known)
    assert read.sound
    text = str(read)
    assert "alert_body: AlertBody, " in text
    assert f"approval: holds under a person ({PERSON.key_id.hex()})" in text
    assert "    not_before: 1790000000000  2026-09-21T14:13:20.000Z" in text
    order = open_sealed(payload).message
    assert isinstance(order, Order)
    other = replace(order, approvals=world.approved(world.order(precedence=EMERGENCY, repeats=2), PERSON).approvals)
    spoilt = readable(seal(other, CONTROLLER), known)
    assert not spoilt.sound
    assert "DOES NOT HOLD under a person" in str(spoilt)
    assert not readable(seal(replace(order, alert_body=b"junk"), CONTROLLER), known).sound
    assert order.alert_body is not None
    assert "approvals come beside it" in str(readable(order.alert_body, known))


def test_keys_of_the_tests_are_different() -> None:
    keys: list[SigningKey] = [*PEOPLE.values(), CONTROLLER]
    assert len({key.key_id for key in keys}) == len(keys)
