"""What alerts write while the tables are locked goes into copies: every table that they write has one."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlmodel import Session, SQLModel, select

from controller.rehearsal import WRITTEN, hide
from controller.services import alerts
from controller.tables import Alert
from devices.protocol.approval import approve
from loa.units import InstantMs
from tests.controller.services.conftest import QN, World
from tests.controller.services.test_alerts import approved, as_, composed, office  # noqa: F401 - a fixture
from tests.protocol.world import FIRST, ROOTS, SECOND

READ_ALONE = {
    "account", "account_post", "alert_board", "alert_escalation", "alert_level_table", "alert_template", "api_token",
    "area", "area_move", "broker_login", "cap_alert", "cap_link", "cap_source", "enrolment", "enrolment_label",
    "escalation_step", "idempotent_reply", "node", "node_key", "node_state", "notice", "notice_address", "order_route",
    "person_key", "plan_mark", "programme", "receipt", "record_head", "recovery_code", "standing_recording",
    "state_document", "station",
}  # fmt: skip
"""Tables that neither approving nor cancelling an alert writes."""
_CHANGES = re.compile(r"\s*(?:INSERT INTO|UPDATE|DELETE FROM)\s+(\w+)", re.IGNORECASE)


def test_each_table_is_copied_or_is_read_alone() -> None:
    """A new one: does approving or cancelling write it? Then into `rehearsal.WRITTEN` with it, else here."""
    copied = {str(one.__table__.name) for one in WRITTEN}  # type: ignore[attr-defined]
    assert not copied & READ_ALONE
    assert {str(one.name) for one in SQLModel.metadata.tables.values()} == copied | READ_ALONE


@contextmanager
def changes(world: World) -> Iterator[set[str]]:
    """Names of tables that were written meanwhile."""
    found: set[str] = set()

    def look(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        match = _CHANGES.match(statement)
        if match is not None:
            found.add(match[1])

    event.listen(world.db.engine, "before_cursor_execute", look)
    try:
        yield found
    finally:
        event.remove(world.db.engine, "before_cursor_execute", look)


def test_what_is_written_by_approving_updating_and_cancelling_is_copied(office: World) -> None:  # noqa: F811
    """With words of its own, a chain of updates and both ways to an end: whatever else is written is found here."""
    digest = office.bulletin("Về bờ ngay").id
    first = composed(office, bulletins=[digest])
    last = first
    with changes(office) as written:
        for key in (FIRST, SECOND):
            approved(office, first, key)
    for _ in range(2):
        last = composed(office, QN, references=[last[0]], bulletins=[digest])
        with changes(office) as more:
            for key in (FIRST, SECOND):
                approved(office, last, key)
        written |= more
    ctx = as_(office, FIRST)

    def ended(session: Session) -> None:
        _kind, data = alerts.cancel_to_sign(session, ctx, last[0])
        alerts.cancel(session, ctx, last[0], data, approve(data, FIRST), roots=ROOTS)

    with changes(office) as more:
        office.run(ended)
    written |= more
    copied = {str(one.__table__.name) for one in WRITTEN}  # type: ignore[attr-defined]
    assert {"alert", "alert_approval", "broadcast", "owed_order", "record_entry"} <= written
    assert written <= copied


def test_what_is_hidden_is_untouched(office: World) -> None:  # noqa: F811
    alert = composed(office)
    rehearsing = office.db

    def work(session: Session) -> int:
        hide(session, InstantMs(0), ())
        for row in session.exec(select(Alert)):
            session.delete(row)
        session.flush()
        return len(session.exec(select(Alert)).all())

    assert rehearsing.rehearse(work) == 0
    assert office.run(lambda session: session.get(Alert, alert[0])) is not None
