"""Boards, routes, escalation and local alerts in the tables, on both databases."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event, insert
from sqlmodel import Session, col, select

from controller import ladder
from controller.escalating import StepRule
from controller.sealing import Sealing
from controller.services import boards, escalation
from controller.services.areas import add_area
from controller.services.boards import Board, Wire
from controller.services.escalation import StepForm
from controller.services.local_alerts import take_local
from controller.services.owed import due_orders
from controller.services.receipts import record_receipts
from controller.services.routes import note_routes, routes_of
from controller.tables import (
    Alert,
    AlertBoard,
    AlertEscalation,
    Broadcast,
    BroadcastNode,
    Node,
    NodeState,
    Notice,
    RecordEntry,
)
from controller.wire.routes import Routes
from devices.protocol.local import LocalMark
from devices.protocol.reports import ReceiptCause, ReceiptEvent
from loa.errors import Refused
from loa.names import AreaPath
from loa.precedence import Kind
from loa.units import Id16, InstantMs
from tests.controller.services.conftest import QN, START, World
from tests.controller.services.test_alerts import approved, composed
from tests.controller.services.test_emergencies import issue_trust
from tests.protocol.world import CONTROLLER, FIRST, SECOND, Centre

E = ReceiptEvent


@pytest.fixture
def office(world: World) -> World:
    trusted = replace(world, ctx=replace(world.ctx, keys=CONTROLLER))
    issue_trust(trusted, Centre.usual())
    return trusted


def released(office: World, area: str = QN) -> str:
    alert = composed(office, area)
    for key in (FIRST, SECOND):
        approved(office, alert, key)
    return alert[0]


def looked(office: World, alert: str, wire: Wire | None = None) -> Board:
    def work(session: Session) -> Board:
        board = boards.board_of(session, office.ctx, session.get_one(Alert, alert), wire or Wire(), all_nodes=True)
        session.expunge_all()
        return board

    return office.run(work)


def told(office: World, *receipts: Any) -> None:
    office.run(lambda session: record_receipts(session, receipts, office.clock.now_ms()))


def online(office: World, *nodes: str) -> None:
    def work(session: Session) -> None:
        for name in nodes:
            row = session.get(NodeState, name) or NodeState(node=name)
            row.health_at = row.last_heard_at = office.clock.now_ms()
            session.add(row)

    office.run(work)


def test_a_board_from_receipts_alone(office: World) -> None:
    online(office, "ct-1", "ct-2", "ct-3")
    alert = released(office)
    routes = Routes()
    routes.went(alert, QN, office.clock.now_ms())
    office.run(lambda session: note_routes(session, routes.taken()))
    told(office, office.receipt("ct-1", E.RECEIVED, alert), office.receipt("ct-1", E.STARTED, alert))
    told(office, office.receipt("ct-2", E.REFUSED, alert))
    board = looked(office, alert)
    found = {line.facts.node: (line.rung.name, line.end, line.reason) for line in board.lines}
    assert found == {
        "ct-1": ("STARTED", None, None),
        "ct-2": ("SENT", "unreachable", "refused"),
        "ct-3": ("SENT", None, None),
        "hg-1": ("SENT", "unreachable", "never_heard"),
    }
    assert [place.state for place in board.places] == ["unreached", "unreached", "partly"]
    contested = looked(office, alert, Wire(contested={"ct-3"}))
    assert {str(line.facts.node): line.reason for line in contested.lines}["ct-3"] == "contested"


def test_routes_add_up(office: World) -> None:
    alert = released(office)
    for at in (START + 5000, START + 1000):
        routes = Routes()
        routes.went(alert, QN, InstantMs(at))
        taken = routes.taken()
        routes.back(taken)
        routes.went(alert, QN, InstantMs(at + 1))
        assert routes
        noted = routes.taken()
        office.run(partial(note_routes, went=noted))
    ((area, first, last, times),) = office.run(
        lambda session: [(one.area, one.first_at, one.last_at, one.times) for one in routes_of(session, alert)]
    )
    assert (area, first, last, times) == (QN, START + 1000, START + 5001, 4)
    office.clock.at += 3000
    office.run(lambda session: due_orders(session, office.clock.now_ms()))
    line = looked(office, alert).lines[0]
    assert (line.facts.attempts, line.facts.sent_at) == (1, START + 1000)


def test_it_closes_by_rule_and_keeps_how_it_was(office: World) -> None:
    names = ("ct-1", "ct-2", "ct-3")
    online(office, *names)
    alert = released(office)
    told(office, *(office.receipt(name, E.FINISHED, alert) for name in names))
    board = looked(office, alert)

    def close(by_itself: bool) -> bool:
        def work(session: Session) -> bool:
            return boards.close_board(session, office.ctx, looked_in(session), by_itself=by_itself)

        def looked_in(session: Session) -> Board:
            return boards.board_of(session, office.ctx, session.get_one(Alert, alert), Wire(), all_nodes=True)

        return office.run(work)

    assert (ladder.closes_by_itself(board.totals), ladder.may_be_closed(board.totals)) == (False, True)
    with pytest.raises(Refused) as error:
        close(by_itself=True)
    assert (error.value.code, error.value.values["value"]) == ("board_open", 1)
    assert alert in office.run(boards.open_boards)
    assert close(by_itself=False)
    assert not close(by_itself=False), "once"
    assert alert not in office.run(boards.open_boards)
    # Much later its owed orders are forgotten and the node is back: the end of that day stays.
    office.clock.at += 3 * 86_400_000
    online(office, "hg-1")
    line = {str(one.facts.node): one for one in looked(office, alert).lines}["hg-1"]
    assert (line.end, line.reason) == ("unreachable", "never_heard")
    kept = office.run(lambda session: session.get_one(AlertBoard, alert).totals)
    assert kept["ends"] == {"confirmed": 3, "unreachable": 1}
    verbs = office.run(lambda s: s.exec(select(RecordEntry.verb).where(RecordEntry.object_id == alert)).all())
    assert verbs.count("close_board") == 1


def test_each_step_is_decided_once(office: World) -> None:
    online(office, "ct-1", "ct-2", "ct-3", "hg-1")
    sealing = Sealing(b"k" * 32)

    def prepare(session: Session) -> None:
        row = escalation.add_address(
            session, office.ctx, name="x", url="json://a/b", shown="json://a/…", sealing=sealing
        )
        rules = (StepRule(after_s=60, below_percent=100), StepRule(after_s=90, below_percent=10))
        escalation.set_steps(session, office.ctx, [StepForm(rule, (row.id,)) for rule in rules])

    office.run(prepare)
    alert = released(office)
    told(office, office.receipt("ct-1", E.STARTED, alert))

    def escalate(session: Session) -> int:
        board = boards.board_of(session, office.ctx, session.get_one(Alert, alert), Wire(), all_nodes=True)
        return escalation.escalate(session, office.ctx, board)

    assert office.run(escalate) == 0
    office.clock.at += 95_000
    assert [office.run(escalate) for _ in range(3)] == [1, 0, 0]
    decided = office.run(lambda s: [(one.told, one.reached) for one in s.exec(select(AlertEscalation))])
    assert sorted(decided) == [(False, 1), (True, 1)]
    assert len(office.run(lambda s: s.exec(select(Notice.id)).all())) == 1


def test_notices_are_put_off_and_given_up(office: World) -> None:
    def prepare(session: Session) -> str:
        made = escalation.add_address(
            session, office.ctx, name="x", url="json://a/b", shown="x", sealing=Sealing(b"k" * 32)
        )
        return escalation.queue(session, office.ctx, made.id, "t", "b", alert=alert)

    alert = released(office)
    notice = office.run(prepare)
    waits = []
    for _ in range(20):
        due = office.run(lambda s: escalation.due_notices(s, office.clock.now_ms()))
        if not due:
            break
        office.run(lambda s: escalation.note_delivery(s, office.ctx, notice, "refused"))
        at = office.run(escalation.next_notice_at)
        if at is not None:
            waits.append((at - office.clock.at) // 1000)
            office.clock.at = at
    assert waits == [5, 10, 20, 40, 80, 160, 320, 600, 600, 600, 600]
    verbs = office.run(lambda s: s.exec(select(RecordEntry.verb).where(RecordEntry.object_id == alert)).all())
    assert verbs.count("notice_failed") == 1


def test_a_node_tells_of_its_own_commune_alone(office: World) -> None:
    def mark(area: str) -> LocalMark:
        return LocalMark(
            key=b"k" * 8, mandate=b"m" * 8, holder="Đài", area=AreaPath(area), kind=Kind.LIVE, siren=1, repeats=0,
            expires_at=InstantMs(START + 600_000),
        )  # fmt: skip

    def receipt(node: str, subject: bytes, area: str) -> Any:
        made, sealed = office.receipt(node, E.RECEIVED, Id16(subject))
        return replace(made, local=mark(area)), sealed

    told(office, receipt("ct-1", b"a" * 16, f"{QN}/co-to"), receipt("hg-1", b"b" * 16, f"{QN}/co-to"))
    told(office, receipt("ct-2", b"a" * 16, f"{QN}/co-to"))
    rows = office.run(lambda s: s.exec(select(Alert.id, Alert.composed_by, Alert.status)).all())
    assert [tuple(row) for row in rows] == [((b"a" * 16).hex(), "local:Đài", "released")]
    again = office.run(lambda s: take_local(s, [receipt("ct-1", b"a" * 16, f"{QN}/co-to")[0]], office.clock.now_ms()))
    assert again == (), "a repeat makes nothing new"
    board = looked(office, (b"a" * 16).hex())
    assert {line.facts.node for line in board.lines} == {"ct-1", "ct-2"}


def test_a_node_that_lies_of_local_input_is_no_trouble_for_what_others_tell(office: World) -> None:
    good = LocalMark(
        key=b"k" * 8, mandate=b"m" * 8, holder="Đài", area=AreaPath(f"{QN}/co-to"), kind=Kind.LIVE, siren=1, repeats=0,
        expires_at=InstantMs(START + 600_000),
    )  # fmt: skip

    def receipt(node: str, subject: bytes, **changes: Any) -> Any:
        made, sealed = office.receipt(node, E.RECEIVED, Id16(subject))
        return replace(made, local=replace(good, **changes)), sealed

    alert = released(office)
    told(
        office,
        receipt("ct-1", b"a" * 16),
        receipt("ct-2", b"b" * 16, expires_at=InstantMs(0)),
        receipt("ct-2", b"c" * 16, siren=255),
        receipt("ct-2", b"d" * 16, expires_at=InstantMs(START + 40 * 86_400_000)),
        receipt("hg-1", bytes.fromhex(alert), area=AreaPath(f"{QN}/hong-gai")),
        receipt("hg-1", b"e" * 16, area=AreaPath(f"{QN}/hong-gai"), ends=Id16(b"a" * 16)),
    )

    def rows(session: Session) -> dict[str, str]:
        return {one.id: one.status for one in session.exec(select(Alert))}

    def planned(session: Session) -> None:
        session.add(
            Broadcast(
                id=(b"f" * 16).hex(), scheduled=True, title="x", area=QN, target_areas=[QN], precedence=0, kind=0,
                start_at=START, duration_ms=1, expires_at=START + 1, created_by="x", created_at=START,
            )
        )  # fmt: skip

    office.run(planned)
    told(office, receipt("ct-1", b"f" * 16))
    assert office.run(rows) == {(b"a" * 16).hex(): "released", alert: "released"}


@contextmanager
def counted(office: World) -> Iterator[list[str]]:
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        asked.append(statement)

    event.listen(office.db.engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(office.db.engine, "before_cursor_execute", note)


def test_two_thousand_nodes_are_no_more_questions_than_four(office: World) -> None:
    few = released(office)
    with counted(office) as for_few:
        looked(office, few)

    def many(session: Session) -> None:
        one = session.get_one(Node, "hg-1")
        same = {"public_key": one.public_key, "placement": one.placement, "placement_version": 1, "created_at": 0,
                "volume": 100, "bus_address": 0, "description": ""}  # fmt: skip
        for number in range(200):
            path = f"{QN}/hong-gai/khu-{number}"
            add_area(session, office.ctx, path=path, name=path, population=number)
        rows = [{"id": f"n-{n}", "area": f"{QN}/hong-gai/khu-{n % 200}", **same} for n in range(2000)]
        session.connection().execute(insert(Node), rows)

    office.run(many)
    alert = released(office)
    told(office, *(office.receipt(f"n-{n}", E.STARTED, alert, cause=ReceiptCause.NONE) for n in range(0, 2000, 2)))
    with counted(office) as for_many:
        board = looked(office, alert)
    assert (board.totals.nodes, board.totals.reached) == (2004, 1000)
    assert len(for_many) == len(for_few) <= 12
    assert office.run(lambda s: len(s.exec(select(BroadcastNode).where(col(BroadcastNode.broadcast) == alert)).all()))
    assert [place.population for place in board.places[:3]] == [199, 197, 195]
