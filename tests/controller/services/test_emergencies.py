"""Alerts at the centre: what may be released and cancelled, by the rule that the nodes ask, and what is owed then."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlmodel import Session, col, select

from controller.services.alert_bodies import AlertForm, compose_alert, compose_cancel
from controller.services.areas import add_area
from controller.services.broadcasts import recall
from controller.services.context import Changed, Context
from controller.services.emergencies import cancel_alerts, check_enough, release_alert
from controller.services.nodes import enrol_node
from controller.services.settings import settings_of
from controller.services.settings_changes import change_settings, store_siren
from controller.services.trust import renew_trust
from controller.tables import Broadcast, OwedOrder, RecordEntry
from devices.protocol.approval import approve, check_approvals, read_body
from devices.protocol.authority import Authority, accept_trust
from devices.protocol.documents import Siren
from devices.protocol.envelope import open_sealed
from devices.protocol.judge import Standing, judge_order
from devices.protocol.keys import SigningKey
from devices.protocol.orders import Order, OrderAction
from devices.protocol.seen import SeenOrders
from devices.protocol.trust import Revocation
from loa.errors import Refused
from loa.names import AreaPath
from loa.precedence import Kind, Precedence
from loa.units import InstantMs, NodeId
from tests.controller.services.conftest import QN, START, World, node_key
from tests.protocol.world import CONTROLLER, DRILLER, FIRST, PERSON, ROOTS, SECOND, Centre, by_roots, key_of, releaser

CO_TO, HONG_GAI = f"{QN}/co-to", f"{QN}/hong-gai"
MINUTE = 60_000


@pytest.fixture
def office(world: World) -> World:
    """With a trust document: two of the province, one of Cô Tô for each kind."""
    trusted = replace(world, ctx=replace(world.ctx, keys=CONTROLLER))
    issue_trust(trusted, Centre.usual())
    return trusted


def issue_trust(office: World, centre: Centre) -> None:
    office.run(
        lambda session: renew_trust(
            session, office.ctx, appointments=centre.appointments, revocations=centre.revocations
        )
    )


def composed(office: World, area: str = CO_TO, **changes: Any) -> bytes:
    values: dict[str, Any] = {"target_areas": [area], "siren": 1, "repeats": 0} | changes
    form = AlertForm(**values)
    return office.run(lambda session: compose_alert(session, office.ctx, form))


def released(office: World, body: bytes, *people: SigningKey) -> Changed[str]:
    approvals = [approve(body, one) for one in people]
    return office.run(lambda session: release_alert(session, office.ctx, body, approvals, roots=ROOTS))


def cancelled(office: World, alerts: list[str], *people: SigningKey) -> Changed[tuple[str, ...]]:
    def work(session: Session) -> Changed[tuple[str, ...]]:
        body = compose_cancel(session, office.ctx, alerts)
        return cancel_alerts(session, office.ctx, body, [approve(body, one) for one in people], roots=ROOTS)

    return office.run(work)


def refused(code: str, work: Callable[[], object]) -> None:
    with pytest.raises(Refused) as caught:
        work()
    assert caught.value.code == code


def judged_by_nodes(changed: Changed[Any], ctx: Context, office: World) -> list[Order]:
    """What a node in Cô Tô makes of the orders that went out."""
    document = Centre.usual().document(version=ctx.now, now_ms=ctx.now)
    standing = Standing(
        node=NodeId("ct-1"),
        area=AreaPath(f"{CO_TO}/thon-1"),
        authority=accept_trust(document, Authority.pinned(ROOTS), ctx.now),
        now_ms=InstantMs(office.clock.now_ms() + 50),
    )
    return [
        judge_order(out.payload, retained=False, standing=standing, seen=SeenOrders()).order
        for out in changed.outgoing.orders
    ]


def test_one_of_the_commune_or_two_of_the_province(office: World) -> None:
    """Released as the nodes would take it, owed to every node meant, and written down by whom."""
    bulletin = office.bulletin(seconds=10)
    local = released(office, composed(office, bulletins=[bulletin.id], repeats=2, gap_ms=500), PERSON)
    (order,) = judged_by_nodes(local, office.ctx, office)
    assert (order.action, order.id.hex(), order.start_at) == (OrderAction.PLAY, local.value, START + 500)
    assert [ref.digest for ref in order.renditions] == [one.digest for one in bulletin.renditions]
    wide = released(office, composed(office, QN), SECOND, FIRST)
    assert judged_by_nodes(wide, office.ctx, office)[0].areas == (QN,)

    def rows(session: Session) -> tuple[list[str], list[str], Broadcast | None]:
        owed = session.exec(select(OwedOrder.node).where(OwedOrder.order == wide.value).order_by(col(OwedOrder.node)))
        deeds = session.exec(
            select(RecordEntry.detail).where(RecordEntry.verb == "release").order_by(col(RecordEntry.number))
        )
        return list(owed), list(deeds), session.get(Broadcast, local.value)

    owed, deeds, row = office.run(rows)
    assert owed == ["ct-1", "ct-2", "ct-3", "hg-1"]
    assert deeds == ["person", "second officer, first officer"]
    assert row is not None
    assert (row.precedence, row.kind, row.status, row.area, row.duration_ms) == (3, 1, "issued", CO_TO, 21_000)


def test_too_few_or_the_wrong_ones(office: World) -> None:
    local, wide, drill = composed(office), composed(office, QN), composed(office, kind=Kind.DRILL)
    refused("second_person_required", lambda: released(office, local))
    refused("second_person_required", lambda: released(office, local, FIRST))
    refused("second_person_required", lambda: released(office, wide, FIRST, FIRST))
    refused("mandate_exceeded", lambda: released(office, wide, PERSON))
    refused("mandate_exceeded", lambda: released(office, wide, FIRST, PERSON))
    refused("drill_mismatch", lambda: released(office, local, DRILLER))
    refused("drill_mismatch", lambda: released(office, drill, PERSON))
    refused("key_unknown", lambda: released(office, local, key_of("stranger")))
    refused("mandate_exceeded", lambda: released(office, local, CONTROLLER))
    swapped = approve(wide, PERSON)
    refused(
        "bad_approval",
        lambda: office.run(lambda session: release_alert(session, office.ctx, local, [swapped], roots=ROOTS)),
    )
    refused("bad_approval", lambda: released(office, b"junk", PERSON))
    assert office.run(lambda session: session.exec(select(OwedOrder)).all()) == []
    assert office.run(
        lambda session: check_enough(session, office.ctx, local, [approve(local, PERSON)], roots=ROOTS)
    ) == ("person",)
    assert released(office, drill, DRILLER).value == read_body(drill).id.hex()


def test_revoked_and_out_of_date(office: World) -> None:
    body = composed(office, QN, lasts_ms=20 * 86_400_000)
    centre = Centre.usual()
    gone = releaser("second officer", SECOND).id
    centre.revocations.append(by_roots(Revocation(ids=(gone,), at=START)))
    office.clock.at += MINUTE
    issue_trust(office, centre)
    refused("key_revoked", lambda: released(office, body, FIRST, SECOND))
    office.clock.at += 8 * 86_400_000
    refused("mandate_expired", lambda: released(office, body, FIRST))
    issue_trust(office, centre)
    centre.appointments.append(by_roots(releaser("third officer", key_of("third"))))
    office.clock.at += MINUTE
    issue_trust(office, centre)
    assert released(office, body, FIRST, key_of("third"))


def test_a_window_and_one_release(office: World) -> None:
    body = composed(office, lasts_ms=MINUTE)
    released(office, body, PERSON)
    refused("already_exists", lambda: released(office, body, PERSON))
    late = composed(office, lasts_ms=MINUTE)
    office.clock.at += MINUTE
    refused("alert_expired", lambda: released(office, late, PERSON))


def test_a_cancel(office: World) -> None:
    """By one, but by nobody who has less than all of its target; recalled by nobody at all."""
    alert = released(office, composed(office, QN), FIRST, SECOND).value
    refused("second_person_required", lambda: cancelled(office, [alert]))
    refused("mandate_exceeded", lambda: cancelled(office, [alert], PERSON))
    refused("emergency_needs_cancel", lambda: office.run(lambda session: recall(session, office.ctx, id=alert)))
    office.clock.at += 5000
    done = cancelled(office, [alert], SECOND)
    (stop,) = judged_by_nodes(done, office.ctx, office)
    assert (stop.action, stop.subject) == (OrderAction.STOP, bytes.fromhex(alert))
    assert stop.precedence is Precedence.EMERGENCY

    def rows(session: Session) -> tuple[str, set[str]]:
        row = session.get(Broadcast, alert)
        assert row is not None
        return row.status, set(session.exec(select(OwedOrder.order)))

    assert office.run(rows) == ("recalled", {stop.id.hex()})
    assert cancelled(office, [alert], FIRST).outgoing.orders


def test_several_alerts_in_one_cancel(office: World) -> None:
    alerts = [released(office, composed(office, area), FIRST, SECOND).value for area in (CO_TO, HONG_GAI)]
    done = cancelled(office, alerts, FIRST)
    assert list(done.value) == alerts
    assert [out.areas for out in done.outgoing.orders] == [(CO_TO,), (HONG_GAI,)]
    refused("drill_mismatch", lambda: cancelled(office, alerts[:1], DRILLER))
    drill = released(office, composed(office, kind=Kind.DRILL), DRILLER).value
    live = released(office, composed(office), PERSON).value
    refused("drill_mismatch", lambda: cancelled(office, [live, drill], PERSON))


def test_an_update(office: World) -> None:
    alert = released(office, composed(office, QN), FIRST, SECOND).value
    refused("drill_mismatch", lambda: composed(office, kind=Kind.DRILL, references=[alert]))
    refused("not_found", lambda: composed(office, references=["00" * 16]))
    local = composed(office, references=[alert])
    refused("mandate_exceeded", lambda: released(office, local, PERSON))
    office.clock.at += 1000
    update = released(office, composed(office, QN, references=[alert]), FIRST, SECOND)
    (order,) = judged_by_nodes(update, office.ctx, office)
    assert order.replaces == (bytes.fromhex(alert),)

    def rows(session: Session) -> tuple[str, set[str]]:
        row = session.get(Broadcast, alert)
        assert row is not None
        return row.status, set(session.exec(select(OwedOrder.order)))

    assert office.run(rows) == ("recalled", {update.value})


def _stored(office: World, code: int, bulletin: str) -> Changed[Siren]:
    return office.run(lambda session: store_siren(session, office.ctx, area=QN, code=code, bulletin=bulletin))


def test_a_stored_sound(office: World) -> None:
    """For the whole province, also where a commune has settings of its own; the newest of a code counts."""
    old, new = office.bulletin("old"), office.bulletin("Đây là diễn tập")
    office.run(lambda session: change_settings(session, office.ctx, area=CO_TO, ordinary_cap=50))
    for one in (old, new):
        done = _stored(office, 255, one.id)
        assert {str(out.area) for out in done.outgoing.documents} == {QN, CO_TO}

    def stored(session: Session) -> list[tuple[int, bytes]]:
        held = settings_of(session, office.ctx, f"{CO_TO}/thon-1")
        assert held.ordinary_cap == 50
        return [(siren.code, siren.rendition.digest) for siren in held.sirens]

    assert office.run(stored) == [(255, new.renditions[0].digest)]
    draft = office.bulletin("draft", approve=False)
    for code, number, bulletin in (("bad_value", 0, old), ("bad_value", 256, old), ("not_approved", 3, draft)):
        with pytest.raises(Refused, match=code):
            _stored(office, number, bulletin.id)


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("field_required", {"siren": 0}),
        ("bad_value", {"siren": 255}),
        ("bad_value", {"repeats": 256}),
        ("bad_value", {"lasts_ms": 1}),
        ("bad_value", {"lasts_ms": 32 * 86_400_000}),
        ("not_found", {"target_areas": [f"{QN}/nowhere"]}),
        ("empty_target", {"target_areas": []}),
        ("not_found", {"bulletins": ["nothing"]}),
    ],
)
def test_bad_forms(office: World, code: str, changes: dict[str, Any]) -> None:
    refused(code, lambda: composed(office, **changes))


def test_an_update_for_less_leaves_the_rest_in_force(office: World) -> None:
    """Nodes outside the update's target hear nothing of it: what they play, or are still owed, goes on."""
    alert = released(office, composed(office, QN), FIRST, SECOND).value
    update = released(office, composed(office, references=[alert]), FIRST, SECOND).value

    def rows(session: Session) -> tuple[str, str, set[str]]:
        row = session.get_one(Broadcast, alert)
        owed = session.exec(select(OwedOrder.node).where(OwedOrder.order == alert)).all()
        return row.status, row.note, set(owed)

    status, note, owed = office.run(rows)
    assert (status, note) == ("issued", f"updated by {update} in part")
    assert "hg-1" in owed
    assert cancelled(office, [alert], FIRST).outgoing.orders


def test_nobody_approves_what_cannot_be_released(office: World) -> None:
    """Bodies that nodes could not read are refused when they are composed, not when people have signed them."""
    names = [f"{number:02d}-{'x' * 29}" for number in range(64)]
    villages = [f"{CO_TO}/{name}" for name in names]
    homes = [villages[0], villages[-1], *[HONG_GAI] * 30]

    def settle(session: Session) -> None:
        for name, path in zip(names, villages, strict=True):
            add_area(session, office.ctx, path=path, name=name)
        for name, home in zip(names, homes, strict=False):
            enrol_node(session, office.ctx, id=name, area=home, public_key=node_key(name).public_key)

    office.run(settle)
    refused("too_many", lambda: composed(office, target_areas=villages, target_nodes=names[2:32]))
    targets: list[dict[str, Any]] = [
        {"target_areas": villages[:33]}, {"target_areas": villages[33:]},
        {"target_areas": [], "target_nodes": names[2:32]},
    ]  # fmt: skip
    alerts = [released(office, composed(office, **one), FIRST, SECOND).value for one in targets]
    refused("too_many", lambda: cancelled(office, alerts, FIRST))
    assert len(cancelled(office, alerts[:2], FIRST).outgoing.orders) == 2


def test_more_people_than_an_order_has_room_for(office: World) -> None:
    """The fifth one's good will must not stop it; those who are enough are among those that go out."""
    centre = Centre.usual()
    others = [key_of(f"officer {number}") for number in range(3, 7)]
    centre.appointments += [by_roots(releaser(f"officer {n}", key)) for n, key in enumerate(others, 3)]
    office.clock.at += MINUTE
    issue_trust(office, centre)
    done = released(office, composed(office, QN), PERSON, *others, FIRST)
    sealed = open_sealed(done.outgoing.orders[0].payload).message
    assert isinstance(sealed, Order)
    assert len(sealed.approvals) == 4
    document = centre.document(version=office.clock.at, now_ms=office.clock.now_ms())
    authority = accept_trust(document, Authority.pinned(ROOTS), office.clock.now_ms())
    assert sealed.alert_body is not None
    now = office.clock.now_ms()
    assert (
        len(check_approvals(sealed.alert_body, sealed.approvals[:2], authority, whole=[AreaPath(QN)], now_ms=now)) == 2
    )
