"""Who may release an emergency, at a real node: each refusal beside the same alert that sounds with the right keys."""

from typing import Any

import pytest

from devices.node.memory import MemoryStorage
from devices.protocol.envelope import encode, open_sealed, seal
from devices.protocol.orders import Order, OrderAction
from devices.protocol.refusal import Malformed, RefusalReason
from devices.protocol.reports import ReceiptCause, ReceiptEvent
from devices.protocol.topics import DownChannel
from devices.protocol.trust import LONGEST_MANDATE_MS, Mandate, Power
from loa.names import AreaPath
from loa.precedence import Precedence
from loa.units import InstantMs
from tests.node.releasing import (
    COMMUNES,
    EMERGENCY,
    TALK,
    add,
    alert,
    mandate,
    refusals,
    revoke,
    sounds,
    story,
    trust,
)
from tests.node.rig import Rig, an_id
from tests.protocol.world import (
    COMMUNE,
    CONTROLLER,
    DAY,
    FIRST,
    PERSON,
    PROVINCE,
    SECOND,
    VILLAGE,
    approved,
    body_for,
    key_of,
    releaser,
)

E, C, R = ReceiptEvent, ReceiptCause, RefusalReason
OTHER = AreaPath("quang-ninh/hong-gai")


async def test_two_of_the_province_or_one_of_the_commune(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    alert(rig, "one for all", FIRST, areas=(PROVINCE,))
    alert(rig, "commune for all", PERSON, areas=(PROVINCE,))
    alert(rig, "commune as the second", FIRST, PERSON, areas=(PROVINCE,))
    await rig.clock.advance(4)
    assert not rig.any_sound
    assert refusals(rig) == {R.APPROVAL_MISSING: 1, R.MANDATE_EXCEEDED: 2}
    alert(rig, "two", FIRST, SECOND, areas=(PROVINCE,))
    await rig.clock.advance(4)
    assert len(rig.heard("two"))
    alert(rig, "commune", PERSON)
    await rig.clock.advance(4)
    assert len(rig.heard("commune"))


async def test_54_alerts_for_one_commune_each_by_one_person_of_the_province(rig: Rig) -> None:
    """A box in each of the communes in turn: refused everywhere, and sounded where a second person approves it."""
    await rig.up(MemoryStorage())
    for number, area in enumerate(COMMUNES):
        rig.place(area)
        order = approved(rig.order(f"alert {number}", TALK, in_ms=500, precedence=EMERGENCY, areas=(area,)), FIRST)
        rig.say(DownChannel.ORDER, seal(order, CONTROLLER))
        await rig.clock.advance(0.1)
    await rig.clock.advance(4)
    assert not rig.any_sound
    assert refusals(rig) == {R.APPROVAL_MISSING: 54}
    both = approved(rig.order("both", TALK, in_ms=500, precedence=EMERGENCY, areas=(COMMUNES[-1],)), FIRST, SECOND)
    rig.say(DownChannel.ORDER, seal(both, CONTROLLER))
    await rig.clock.advance(4)
    assert len(rig.heard("both"))


async def test_a_mandate_that_the_controller_narrows_to_a_commune_stays_one_half(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    trust(rig, mandate(releaser("first officer", FIRST), rig.clock.now_ms(), area=COMMUNE))
    alert(rig, "alone", FIRST)
    await rig.clock.advance(4)
    assert not rig.any_sound
    assert refusals(rig) == {R.APPROVAL_MISSING: 1}
    alert(rig, "two", FIRST, SECOND)
    await rig.clock.advance(4)
    assert len(rig.heard("two"))


@pytest.mark.parametrize("how", ["one key twice", "two keys of one holder", "two holders of one key", "carrier"])
async def test_one_person_twice(rig: Rig, how: str) -> None:
    await rig.up(MemoryStorage())
    again = key_of("first officer's second key")
    if how == "two keys of one holder":
        add(rig, releaser("First  Officer", again, id=b"2nd key."))
    elif how == "two holders of one key":
        add(rig, releaser("another name", FIRST, id=b"2nd name"))
    elif how == "carrier":
        add(rig, releaser("controller as a person", CONTROLLER, id=b"carrier."))
    people = (
        (FIRST, again)
        if how == "two keys of one holder"
        else (FIRST, CONTROLLER)
        if how == "carrier"
        else (FIRST, FIRST)
    )
    alert(rig, "twice", *people)
    await rig.clock.advance(4)
    assert not rig.any_sound
    assert refusals(rig) == {R.MANDATE_EXCEEDED if how == "carrier" else R.APPROVAL_MISSING: 1}
    alert(rig, "two", people[1], SECOND) if how != "carrier" else alert(rig, "two", FIRST, SECOND)
    await rig.clock.advance(4)
    assert len(rig.heard("two"))


async def test_a_sole_appointment(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    fallback = key_of("fallback")
    alert(rig, "before", fallback, areas=(PROVINCE,))
    add(rig, releaser("fallback", fallback, sole=True))
    alert(rig, "not sole", FIRST, areas=(PROVINCE,))
    await rig.clock.advance(4)
    assert not rig.any_sound
    assert refusals(rig) == {R.UNTRUSTED_KEY: 1, R.APPROVAL_MISSING: 1}
    alert(rig, "sole", fallback, areas=(PROVINCE,))
    await rig.clock.advance(4)
    assert len(rig.heard("sole"))


async def test_a_forged_start(rig: Rig) -> None:
    """The controller's key alone decides when it starts, but not before what people approved, nor past its end."""
    await rig.up(MemoryStorage())
    now = rig.clock.now_ms()
    window = {"not_before": InstantMs(now + 5000), "expires_at": InstantMs(now + 60_000)}
    alert(rig, "early", PERSON, body=window, in_ms=500, expires_at=InstantMs(now + 60_000))
    alert(rig, "late", PERSON, body=window, in_ms=5000, expires_at=InstantMs(now + 60_001))
    await rig.clock.advance(4)
    assert refusals(rig) == {R.BEYOND_APPROVAL: 2}
    alert(rig, "due", PERSON, body=window, in_ms=1500, expires_at=InstantMs(now + 60_000))
    await rig.clock.advance(4)
    assert list(rig.desk.events(an_id("early"))) == [E.REFUSED]
    assert len(rig.heard("due"))
    assert not len(rig.heard("early"))
    assert not len(rig.heard("late"))


@pytest.mark.parametrize("how", ["area", "until", "ceiling"])
async def test_a_mandate_renewed_beyond_its_appointment(rig: Rig, how: str) -> None:
    """It counts as none, so its holder releases nothing; what the roots appointed, he does."""
    await rig.up(MemoryStorage())
    key, now = key_of("neighbour"), rig.clock.now_ms()
    soon = {"until": InstantMs(now + 60_000)}
    cases: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "area": ({"area": VILLAGE}, {"area": COMMUNE}),
        "until": (soon, {"until": InstantMs(now + 120_000)}),
        "ceiling": ({"ceiling": Precedence.PRIORITY}, {"ceiling": EMERGENCY}),
    }
    changes, wider = cases[how]
    appointment = releaser("neighbour", key, **({"area": COMMUNE} | changes))
    add(rig, appointment)
    target = (VILLAGE,) if how == "area" else (COMMUNE,)
    honest = mandate(appointment, now, **(soon if how == "until" else {}))
    trust(rig, mandate(appointment, now, **wider))
    alert(rig, "beyond", key, areas=target)
    await rig.clock.advance(4)
    assert not rig.any_sound
    assert refusals(rig) == {R.EXPIRED: 1}
    trust(rig, honest)
    alert(rig, "within", key, areas=target)
    await rig.clock.advance(4)
    assert bool(len(rig.heard("within"))) is (how != "ceiling")
    alert(rig, "control", PERSON)
    await rig.clock.advance(4)
    assert len(rig.heard("control"))


async def test_an_expired_mandate_before_and_after_acceptance(rig: Rig) -> None:
    """Mandates are looked at when an alert is accepted; what was accepted runs to its own end."""
    storage = MemoryStorage()
    await rig.up(storage)
    trust(rig, lives_ms=10_000)
    alert(rig, "long", PERSON, repeats=0, in_ms=500, expires_at=InstantMs(rig.clock.now_ms() + 60_000))
    await rig.clock.advance(30)
    assert sounds(rig, "long")
    alert(rig, "after", PERSON)
    await rig.clock.advance(5)
    assert refusals(rig) == {R.EXPIRED: 1}
    assert sounds(rig, "long")
    await rig.pull_the_plug()
    await rig.boot(storage, seed="again")
    await rig.clock.advance(5)
    assert sounds(rig, "long")
    await rig.clock.advance(60)
    assert story(rig, "long")[-1][1] is C.EXPIRED
    assert not len(rig.heard("after"))
    rig.give_trust()
    alert(rig, "renewed", PERSON)
    await rig.clock.advance(4)
    assert len(rig.heard("renewed"))


async def test_a_withheld_revocation_ends_with_the_mandate(rig: Rig) -> None:
    """The broker keeps the document back: the revoked key releases on, but not past its mandate, at most 7 days."""
    await rig.up(MemoryStorage())
    trust(rig, lives_ms=60_000)
    await rig.clock.advance(30)
    alert(rig, "withheld", PERSON)
    await rig.clock.advance(4)
    assert len(rig.heard("withheld"))
    await rig.clock.advance(40)
    alert(rig, "over", PERSON)
    await rig.clock.advance(4)
    assert refusals(rig) == {R.EXPIRED: 1}
    revoke(rig, "person")
    alert(rig, "told", PERSON)
    await rig.clock.advance(4)
    assert not len(rig.heard("over"))
    assert not len(rig.heard("told"))
    assert refusals(rig) == {R.EXPIRED: 1, R.REVOKED: 1}
    alert(rig, "control", FIRST, SECOND)
    await rig.clock.advance(4)
    assert len(rig.heard("control"))
    assert LONGEST_MANDATE_MS == 7 * DAY


async def test_a_restored_backup_does_not_unrevoke(rig: Rig) -> None:
    storage = MemoryStorage()
    await rig.up(storage)
    revoke(rig, "person")
    await rig.clock.advance(1)
    rig.centre.revocations.clear()
    rig.give_trust()
    await rig.clock.advance(1)
    await rig.pull_the_plug()
    await rig.boot(storage, seed="again")
    rig.give_trust()
    await rig.clock.advance(1)
    alert(rig, "revoked", PERSON)
    await rig.clock.advance(4)
    assert not rig.any_sound
    assert refusals(rig) == {R.REVOKED: 1}
    alert(rig, "control", FIRST, SECOND)
    await rig.clock.advance(4)
    assert len(rig.heard("control"))


@pytest.mark.parametrize("holder", ["first officer", "second officer", "controller"])
async def test_revoking_any_of_those_whom_it_rests_on_stops_it(rig: Rig, holder: str) -> None:
    await rig.up(MemoryStorage())
    second = key_of("second controller")
    add(rig, releaser("second controller", second, powers=int(Power.RENEW), ceiling=Precedence.ORDINARY))
    alert(rig, "x", FIRST, SECOND, repeats=0)
    alert(rig, "waits", FIRST, SECOND, in_ms=300_000)
    await rig.clock.advance(4)
    revoke(rig, "person")  # somebody else
    await rig.clock.advance(1)
    assert sounds(rig, "x")
    if holder == "controller":
        gone = rig.centre
        revoke(rig, holder)  # its own document is not believed any more: another's is
        rig.say(DownChannel.CTL, gone.document(version=rig.version(), now_ms=rig.clock.now_ms(), key=second))
    else:
        revoke(rig, holder)
    await rig.clock.advance(1)
    assert rig.node.status().playing is None
    assert story(rig, "x")[-1] == (E.STOPPED, C.REVOKED)
    await rig.clock.advance(302)
    assert not len(rig.heard("waits"))


async def test_a_third_approval_is_no_harm(rig: Rig) -> None:
    """One of three is revoked before it comes: the other two are enough, and it does not rest on the third."""
    await rig.up(MemoryStorage())
    revoke(rig, "first officer")
    add(rig, releaser("third officer", key_of("third")))
    alert(rig, "x", FIRST, SECOND, key_of("third"), repeats=0)
    await rig.clock.advance(4)
    assert sounds(rig, "x")
    assert not refusals(rig)


async def test_a_body_swapped_under_the_same_approvals(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    good = approved(rig.order("good", TALK, in_ms=500, precedence=EMERGENCY), PERSON)
    swaps: tuple[dict[str, Any], ...] = ({"areas": (VILLAGE,)}, {"id": an_id("b")}, {"repeats": 5}, {"siren": 3})
    for changes in swaps:
        order = rig.order("good", TALK, in_ms=500, precedence=EMERGENCY, **changes)
        swapped = approved(order, PERSON)
        rig.give(Order(**{**vars(swapped), "approvals": good.approvals}))
    await rig.clock.advance(4)
    assert not rig.any_sound
    assert refusals(rig) == {R.BAD_SIGNATURE: 4}
    rig.give(good)
    await rig.clock.advance(4)
    assert len(rig.heard("good"))


async def test_flipped_bits_in_body_and_approvals_under_the_controllers_own_signature(rig: Rig) -> None:
    """Whoever has the controller's key cannot change a bit of what people approved."""
    await rig.up(MemoryStorage())
    order = approved(rig.order("x", TALK, in_ms=500, precedence=EMERGENCY), FIRST, SECOND)
    assert order.alert_body is not None
    parts = (order.alert_body, *order.approvals)
    sent = 0
    for which, part in enumerate(parts):
        for bit in range(which, 8 * len(part), 3):
            spoilt = bytearray(part)
            spoilt[bit // 8] ^= 1 << bit % 8
            changed = [*parts[:which], bytes(spoilt), *parts[which + 1 :]]
            forged = Order(**{**vars(order), "alert_body": changed[0], "approvals": tuple(changed[1:])})
            rig.give(forged)
            sent += 1
    await rig.clock.advance(4)
    assert not rig.any_sound
    assert sum(refusals(rig).values()) == sent
    rig.give(order)
    await rig.clock.advance(4)
    assert len(rig.heard("x"))


async def test_the_order_says_nothing_that_people_did_not_approve(rig: Rig) -> None:
    await rig.up(MemoryStorage())
    order = rig.order("x", TALK, in_ms=500, precedence=EMERGENCY)
    body = encode(body_for(order))
    good = approved(order, PERSON)
    assert good.alert_body == body
    beyond: list[dict[str, Any]] = [
        {"areas": (PROVINCE,)},
        {"areas": (COMMUNE, OTHER)},
        {"renditions": (), "siren": 1},
        {"renditions": (TALK.ref, TALK.ref)},
        {"repeats": 2},
        {"gap_ms": 1000},
        {"volume": 1},
        {"replaces": (an_id("another"),)},
        {"id": an_id("fresh")},
        {"action": OrderAction.STOP, "subject": an_id("x"), "renditions": ()},
        {"action": OrderAction.TEST_TONE},
        {"action": OrderAction.VOLUME, "volume": 5},
    ]
    for number, changes in enumerate(beyond):
        rig.give(Order(**{**vars(good), "id": an_id(f"{number}"), **changes}))
        if "id" not in changes and changes.get("action") is None:
            rig.give(Order(**{**vars(good), **changes}))
    await rig.clock.advance(4)
    assert not rig.any_sound
    assert refusals(rig) == {R.BEYOND_APPROVAL: 20}
    assert rig.node.status().volume == 100
    narrower = Order(**{**vars(good), "areas": (VILLAGE,)})
    rig.give(narrower)
    await rig.clock.advance(4)
    assert len(rig.heard("x"))


async def test_a_released_body_sounds_once_whoever_orders_it_again(rig: Rig) -> None:
    """Other bytes around the same body: at once, after a restart, and when the first order's own end is long past."""
    storage = MemoryStorage()
    await rig.up(storage)
    now = rig.clock.now_ms()
    body = {"expires_at": InstantMs(now + 3_600_000), "not_before": now}
    first = open_sealed(alert(rig, "x", FIRST, SECOND, body=body, expires_at=InstantMs(now + 30_000))).message
    assert isinstance(first, Order)
    await rig.clock.advance(60)
    heard = len(rig.heard("x"))
    assert heard

    def again(after_ms: int) -> None:
        at = InstantMs(rig.clock.now_ms() + after_ms)
        rig.give(
            Order(
                **{**vars(first), "issued_at": rig.clock.now_ms(), "start_at": at, "expires_at": InstantMs(at + 60_000)}
            )
        )

    again(500)
    await rig.clock.advance(4)
    await rig.pull_the_plug()
    await rig.boot(storage, seed="again")
    await rig.clock.advance(1)
    again(600)
    await rig.clock.advance(4)
    rig.give(Order(**{**vars(first), "areas": (VILLAGE,), "expires_at": InstantMs(now + 3_000_000)}))
    await rig.clock.advance(30)
    assert len(rig.heard("x")) == heard
    assert refusals(rig) == {R.REPLAY: 2}
    entries = rig.node._records.seen.entries
    assert entries[an_id("x")][1] == body["expires_at"]


def test_a_mandate_is_at_most_seven_days() -> None:
    appointment = releaser("person", PERSON)
    with pytest.raises(Malformed, match="at most 7 days"):
        Mandate(**{**vars(mandate(appointment, 0)), "until": InstantMs(8 * DAY)})
