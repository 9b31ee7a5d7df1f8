"""Alerts between people in the tables: who approves, two at the same moment, rows that somebody edited."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlmodel import Session, col, select

from controller.services import alerts, deeds
from controller.services.alert_bodies import AlertForm
from controller.services.alert_release import Approved
from controller.services.alert_views import alert_view, status_of
from controller.services.alerts import Seen
from controller.services.context import Context
from controller.services.deeds import Deed, SentOrder
from controller.tables import Alert, AlertApproval, Broadcast, OwedOrder, RecordEntry
from devices.protocol.alerts import AlertAction
from devices.protocol.approval import approve, read_body
from devices.protocol.keys import SigningKey
from loa.errors import Refused
from loa.precedence import Kind
from loa.problems import explain
from tests.controller.services.conftest import QN, World
from tests.controller.services.test_emergencies import issue_trust, refused
from tests.protocol.world import CONTROLLER, DRILLER, FIRST, PERSON, ROOTS, SECOND, Centre

CO_TO = f"{QN}/co-to"
NAMES = {FIRST: "first officer", SECOND: "second officer", PERSON: "person", DRILLER: "driller"}


@pytest.fixture
def office(world: World) -> World:
    trusted = replace(world, ctx=replace(world.ctx, keys=CONTROLLER))
    issue_trust(trusted, Centre.usual())
    return trusted


def as_(office: World, key: SigningKey) -> Context:
    return replace(office.ctx, account=NAMES[key])


def composed(office: World, area: str = QN, **changes: Any) -> tuple[str, bytes]:
    values: dict[str, Any] = {"target_areas": [area], "siren": 1, "repeats": 0} | changes
    form = AlertForm(**values)

    def work(session: Session) -> tuple[str, bytes]:
        name = alerts.compose(session, office.ctx, form, title="Bão")
        return name, session.get_one(Alert, name).body

    return office.run(work)


def approved(office: World, alert: tuple[str, bytes], key: SigningKey) -> Approved:
    name, body = alert
    seen, ctx = Seen(read_body(body).kind, alerts.digest_of_body(body)), as_(office, key)
    approval = approve(body, key)
    return office.run(lambda session: alerts.approve(session, ctx, name, seen, approval, roots=ROOTS).value)


def rows(office: World, table: Any) -> int:
    return len(office.run(lambda session: session.exec(select(table)).all()))


def test_enough_puts_it_out_once(office: World) -> None:
    alert = composed(office)
    assert not approved(office, alert, FIRST).released
    assert not approved(office, alert, FIRST).released
    assert rows(office, AlertApproval) == 1
    refused("mandate_exceeded", lambda: approved(office, alert, PERSON))
    refused("drill_mismatch", lambda: approved(office, composed(office, CO_TO), DRILLER))
    done = approved(office, alert, SECOND)
    assert (done.released, done.now) == (True, True)
    late = approved(office, alert, SECOND)
    assert (late.released, late.now) == (True, False)
    assert rows(office, Broadcast) == 1
    assert approved(office, composed(office, CO_TO), PERSON).now


def test_two_at_the_same_moment(office: World) -> None:
    """Whichever is second sees the first: never neither, never two orders."""
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            alert = composed(office)
            running = [pool.submit(approved, office, alert, key) for key in (FIRST, SECOND, FIRST, SECOND)]
            assert sum(one.result().now for one in running) == 1
    released = office.run(
        lambda session: session.exec(select(RecordEntry.detail).where(RecordEntry.verb == "release")).all()
    )
    assert (len(released), rows(office, Broadcast)) == (5, 5)
    assert len(office.run(lambda session: set(session.exec(select(OwedOrder.order))))) == 5


def test_who_has_no_key_is_told_what_to_do(office: World) -> None:
    ctx = as_(office, FIRST)
    with pytest.raises(Refused) as caught:
        office.run(lambda session: alerts.key_to_use(session, ctx, Kind.LIVE, ROOTS))
    assert caught.value.code == "no_release_key"
    assert "live" in explain(caught.value, "en").title


def test_somebody_elses_key_is_not_ones_own(office: World) -> None:
    name, body = composed(office)
    seen, approval = Seen(Kind.LIVE, alerts.digest_of_body(body)), approve(body, FIRST)

    def work() -> object:
        ctx = as_(office, SECOND)
        return office.run(lambda session: alerts.approve(session, ctx, name, seen, approval, roots=ROOTS))

    refused("not_your_key", work)
    assert rows(office, AlertApproval) == 0


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("kind", lambda row: setattr(row, "kind", 1)),
        ("target", lambda row: setattr(row, "target_areas", [QN])),
        ("expires_at", lambda row: setattr(row, "expires_at", row.expires_at + 1)),
        ("updates", lambda row: setattr(row, "updates", ["00" * 16])),
        ("body", lambda row: setattr(row, "title", "Chỉ thử")),
        ("body", lambda row: setattr(row, "body", row.body[:-1])),
        ("status", lambda row: setattr(row, "status", "released")),
    ],
)
def test_an_edited_row_is_found_out(office: World, field: str, change: Callable[[Alert], None]) -> None:
    alert = composed(office, CO_TO, kind=Kind.DRILL)

    def edit(session: Session) -> None:
        row = session.get_one(Alert, alert[0])
        change(row)
        session.add(row)

    office.run(edit)
    with pytest.raises(Refused) as caught:
        approved(office, alert, DRILLER)
    assert (caught.value.code, caught.value.field) == ("alert_altered", field)
    shown = office.run(lambda session: status_of(session, session.get_one(Alert, alert[0]), office.ctx.now))
    assert shown == "altered"
    assert rows(office, OwedOrder) == 0


def test_a_spoiled_cancel_is_made_anew(office: World) -> None:
    name, _ = alert = composed(office, CO_TO)
    approved(office, alert, PERSON)
    prepared = office.run(lambda session: session.get_one(Alert, name).cancel_body)
    assert office.run(lambda session: alerts.cancel_to_sign(session, office.ctx, name)) == (Kind.LIVE, prepared)
    _, foreign = composed(office, CO_TO, kind=Kind.DRILL)

    def spoil(session: Session) -> None:
        row = session.get_one(Alert, name)
        row.cancel_body = foreign
        session.add(row)

    office.run(spoil)
    _, data = office.run(lambda session: alerts.cancel_to_sign(session, office.ctx, name))
    assert [one.hex() for one in read_body(data).references] == [name]
    ctx = as_(office, PERSON)
    office.run(lambda session: alerts.cancel(session, ctx, name, data, approve(data, PERSON), roots=ROOTS))
    assert office.run(lambda session: session.get_one(Broadcast, name).status) == "recalled"
    verbs = office.run(lambda session: session.exec(select(RecordEntry.verb).order_by(col(RecordEntry.number))).all())
    assert list(verbs)[-1] == "cancel"


def updated(office: World, before: str, area: str) -> str:
    alert = composed(office, area, references=[before])
    assert not approved(office, alert, FIRST).released
    assert approved(office, alert, SECOND).now
    return alert[0]


def test_what_goes_on_beside_an_update_can_be_ended(office: World) -> None:
    """An update for one commune leaves the rest of the province sounding, and people must be able to stop that."""
    alert = composed(office)
    approved(office, alert, FIRST)
    assert approved(office, alert, SECOND).now
    updated(office, alert[0], CO_TO)
    assert office.run(lambda session: session.get_one(Broadcast, alert[0]).status) == "issued"
    assert office.run(lambda session: session.get_one(Alert, alert[0]).status) == "released"
    ended(office, alert[0])


def test_what_an_update_replaced_can_be_ended(office: World) -> None:
    """A node that was cut off while the update went out, and came back after its cancel, still has what was before."""
    alert = composed(office)
    approved(office, alert, FIRST)
    assert approved(office, alert, SECOND).now
    update = updated(office, alert[0], QN)
    assert office.run(lambda session: session.get_one(Alert, alert[0]).status) == "updated"
    last = updated(office, update, QN)
    for one in (alert[0], update):  # what sounds now is the last one
        refused("alert_over", partial(ended, office, one))
    for one in (last, update, alert[0]):
        ended(office, one)


def ended(office: World, name: str) -> None:
    ctx = as_(office, FIRST)
    _, data = office.run(lambda session: alerts.cancel_to_sign(session, ctx, name))
    office.run(lambda session: alerts.cancel(session, ctx, name, data, approve(data, FIRST), roots=ROOTS))
    stops = select(OwedOrder.node).where(OwedOrder.subject == name)
    assert len(set(office.run(lambda session: session.exec(stops).all()))) == 4
    assert office.run(lambda session: session.get_one(Alert, name).status) == "cancelled"


def test_what_a_view_says(office: World) -> None:
    alert = composed(office)
    approved(office, alert, SECOND)

    def look(session: Session) -> Any:
        return alert_view(session, office.ctx, session.get_one(Alert, alert[0]), roots=ROOTS)

    view = office.run(look)
    assert (view.status, view.people_needed, view.reach.nodes, view.reach.people) == ("composed", 1, 4, None)
    assert [(one.holder, one.alone, one.has_approved) for one in view.could_approve] == [
        ("first officer", False, False), ("second officer", False, True),
    ]  # fmt: skip
    assert view.words["vi"][:3] == ("CẢNH BÁO THẬT", "Nơi phát: Quảng Ninh (quang-ninh)", "Còi số 1")


def test_a_deed_that_the_tables_would_not_have_is_owed_once_however_often_it_is_read(office: World) -> None:
    """A restored backup knows nothing of the alert: what went out goes on, and nothing else is held up by it."""
    alert = composed(office)
    for key in (FIRST, SECOND):
        approved(office, alert, key)
    (owed, *_more) = office.run(lambda session: session.exec(select(OwedOrder)).all())
    sent = SentOrder(payload=owed.payload, areas=(QN,), id=owed.order)

    def forget(session: Session) -> None:
        for row in session.exec(select(OwedOrder)):
            session.delete(row)

    office.run(forget)
    deed = Deed(
        action=AlertAction.RELEASE, alert="f" * 32, kind=Kind.LIVE, body=alert[1], approval=approve(alert[1], FIRST),
        account=NAMES[FIRST], at=office.ctx.now, seed=bytes(32), orders=(sent,),
    )  # fmt: skip
    counts = []
    for _ in range(2):
        office.run(lambda session: deeds.write(session, office.ctx, deed, roots=ROOTS))
        counts.append(rows(office, OwedOrder))
    assert counts[0] == counts[1] > 0


def test_what_was_updated_for_a_part_of_it_can_be_ended(office: World) -> None:
    """In all the rest it sounds on. What was updated everywhere is over: its update is what is to be ended."""

    def out(area: str, **changes: Any) -> str:
        alert = composed(office, area, **changes)
        for key in (FIRST, SECOND):
            approved(office, alert, key)
        return alert[0]

    def ended(name: str) -> set[str]:
        def work(session: Session) -> set[str]:
            ctx = as_(office, FIRST)
            _kind, data = alerts.cancel_to_sign(session, ctx, name)
            alerts.cancel(session, ctx, name, data, approve(data, FIRST), roots=ROOTS)
            return set(session.exec(select(OwedOrder.node).where(OwedOrder.subject == name)).all())

        return office.run(work)

    wide = out(QN)
    narrow = out(CO_TO, references=[wide])
    assert "hg-1" in ended(wide)
    assert "ct-1" in ended(narrow)
    whole = out(QN)
    out(QN, references=[whole])
    refused("alert_over", lambda: ended(whole))
