"""The record: appended with the deed or not at all, one chain whatever happens at once, guarded, heard where."""

import threading
from dataclasses import replace
from importlib.resources import files

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import column, insert, table
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, col, select, text, update

from controller.audit import verify
from controller.chain import NO_HASH, entry_hash
from controller.recordfile import KnownHead
from controller.services import record
from controller.services.alert_bodies import AlertForm, compose_alert
from controller.services.broadcasts import IssueForm, issue_now
from controller.services.chain import append, entry_of, newest
from controller.services.context import note_deed
from controller.services.due import do_due
from controller.services.emergencies import release_alert
from controller.services.receipts import record_receipts
from controller.services.record_export import entries, export
from controller.services.trust import renew_trust
from controller.store import Database
from controller.tables import (
    Account,
    AccountPost,
    ApiToken,
    Area,
    NodeKey,
    ReceiptRow,
    RecordEntry,
    StateDocument,
)
from devices.protocol.approval import approve
from devices.protocol.envelope import open_sealed
from devices.protocol.record import HeadMark, RecordHead
from devices.protocol.reports import ReceiptEvent
from devices.protocol.trust import Power, Revocation
from loa.precedence import Kind, Precedence
from loa.units import InstantMs
from tests.controller.services.conftest import QN, START, World
from tests.protocol.world import CONTROLLER, NOW, ROOT_KEYS, ROOTS, Centre, appointment, by_roots, key_of

DAY_MS = 86_400_000


def chain(world: World) -> list[RecordEntry]:
    return world.run(lambda s: list(s.exec(select(RecordEntry).order_by(col(RecordEntry.number)))))


def exported(world: World) -> list[str]:
    lines: list[str] = []
    world.run(lambda s: export(s, world.ctx, lines.append))
    return lines


def codes(world: World, *known: KnownHead) -> list[str]:
    """Without a trust document in this small world, the heads' signatures are another test's."""
    found = [one.code for one in verify(exported(world), known).findings]
    return [code for code in found if code not in ("trust_unsound", "head_forged")]


def test_a_deed_says_who_what_when_from_where_and_under_which_key(world: World) -> None:
    ctx = replace(world.ctx, origin="203.0.113.7", key_id=b"personal")
    world.run(lambda s: note_deed(s, ctx, "approve", "bulletin", "b-1", detail="Thông báo"))
    entry = entry_of(chain(world)[-1])
    assert (entry.account, entry.verb, entry.object_kind, entry.object_id, entry.detail) == (
        "lan", "approve", "bulletin", "b-1", "Thông báo",
    )  # fmt: skip
    assert (entry.at, entry.origin, entry.key) == (START, "203.0.113.7", b"personal")


def test_every_entry_names_the_one_before(world: World) -> None:
    rows = chain(world)
    assert len(rows) > 5
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    assert [row.previous for row in rows] == [NO_HASH, *(row.hash for row in rows[:-1])]
    assert [row.hash for row in rows] == [entry_hash(entry_of(row)) for row in rows]
    assert codes(world) == []


def test_what_is_undone_leaves_no_entry(world: World) -> None:
    before = len(chain(world))

    def work(session: Session) -> None:
        note_deed(session, world.ctx, "issue", "broadcast", "x")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        world.run(work)
    assert len(chain(world)) == before


def test_deeds_at_once_make_one_chain(world: World) -> None:
    """Four threads, each with ten deeds: none is lost and no two follow the same entry."""
    before, failures = len(chain(world)), []

    def work(name: str) -> None:
        for number in range(10):
            try:
                world.db.run(lambda s, n=number: note_deed(s, world.ctx, "issue", name, str(n)))  # type: ignore[misc]
            except Exception as error:  # noqa: BLE001 - told by the assertion below
                failures.append(error)

    threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert len(chain(world)) == before + 40
    assert codes(world) == []


@pytest.mark.parametrize("change", ["UPDATE record_entry SET account = 'x'", "DELETE FROM record_entry"])
def test_the_database_refuses_to_change_the_record(world: World, change: str) -> None:
    before = [(row.number, row.account) for row in chain(world)]
    with pytest.raises(DBAPIError, match="only added to"):
        world.run(lambda s: s.connection().execute(text(change)))
    assert [(row.number, row.account) for row in chain(world)] == before


def test_old_deeds_are_carried_into_the_chain(database: Database) -> None:
    config = Config()
    config.set_main_option("script_location", str(files("controller") / "migrations"))
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
        for number in range(3):
            connection.execute(
                text(
                    "INSERT INTO deed (at, account, verb, object_kind, object_id, detail) "
                    f"VALUES ({START + number}, 'lan', 'issue', 'broadcast', 'b{number}', 'tin {number}')"
                )
            )
        command.upgrade(config, "head")
    rows = database.run(lambda s: list(s.exec(select(RecordEntry).order_by(col(RecordEntry.number)))))
    assert [(row.number, row.object_id, row.at) for row in rows] == [(n + 1, f"b{n}", START + n) for n in range(3)]
    assert [row.previous for row in rows] == [NO_HASH, *(row.hash for row in rows[:-1])]
    assert [row.hash for row in rows] == [entry_hash(entry_of(row)) for row in rows]


_KEY = b"k" * 32
_BEFORE: tuple[tuple[str, dict[str, object]], ...] = (
    ("account", {"name": "lan", "full_name": "Lan", "password_hash": "$", "one_time": False, "created_at": 1}),
    ("area", {"path": "qn", "parent": None, "name": "QN", "kind": "province", "created_at": 1}),
    ("area", {"path": "qn/a", "parent": "qn", "name": "A", "kind": "commune", "created_at": 1}),
    ("api_token", {"token_hash": "h", "account": "lan", "name": "", "session": True, "created_at": 1, "expires_at": 9}),
    ("node", {"id": "n-1", "area": "qn/a", "public_key": _KEY, "description": "", "bus_address": 0, "volume": 100,
              "placement_version": 1, "placement": b"", "created_at": 5}),
    ("state_document", {"area": "qn", "channel": "trust", "version": 7, "issued_at": 7, "payload": b"",
                        "body_hash": "x"}),
)  # fmt: skip


def test_what_a_running_centre_held_is_there_after_an_upgrade(database: Database) -> None:
    """Rows that refer to each other, in tables that later versions change; whoever could do everything still can."""
    config = Config()
    config.set_main_option("script_location", str(files("controller") / "migrations"))
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
        for name, values in _BEFORE:
            connection.execute(insert(table(name, *map(column, values))), values)
    database.upgrade()

    def held(session: Session) -> None:
        account, area = session.get_one(Account, "lan"), session.get_one(Area, "qn")
        assert (account.password_hash, account.disabled_at, account.code_step) == ("$", None, 0)
        assert (area.population, area.languages, area.geometry) == (None, [], None)
        posts = {(one.role, one.area) for one in session.exec(select(AccountPost))}
        assert posts == {("province_admin", "qn"), ("duty_officer", "qn")}
        assert session.exec(select(ApiToken)).all() == []
        assert session.get_one(NodeKey, ("n-1", _KEY)).since == 5
        assert session.get_one(StateDocument, ("qn", "trust")).version == 7

    database.run(held)


def issued(world: World) -> str:
    bulletin = world.bulletin().id
    form = IssueForm(bulletins=[bulletin], target_areas=[f"{QN}/co-to"])
    return world.run(lambda s: issue_now(s, world.ctx, form)).broadcast_id.hex()


def receipts(world: World, *which: tuple[str, ReceiptEvent, str]) -> None:
    batch = [world.receipt(*one) for one in which]
    world.run(lambda s: record_receipts(s, batch, world.ctx.now))


def look(world: World, *, late_since: InstantMs | None = None, since: int = START) -> tuple[record.Told, ...]:
    told = world.run(lambda s: record.untold(s, world.ctx.now, InstantMs(since), late_since=late_since))
    world.run(lambda s: record.write_told(s, world.ctx, told))
    return told


def test_a_broadcast_that_is_over_is_recorded_with_its_receipts(world: World) -> None:
    broadcast = issued(world)
    receipts(world, ("ct-1", ReceiptEvent.FINISHED, broadcast), ("ct-2", ReceiptEvent.STOPPED, broadcast))
    assert look(world) == ()  # it is not over
    world.clock.at += DAY_MS // 2
    world.run(lambda s: do_due(s, world.ctx, InstantMs(START)))
    (told,) = look(world)
    assert told.broadcast == broadcast
    assert {one.outcome: one.nodes for one in told.heard.outcomes} == {"finished": 1, "stopped": 1, "waiting": 1}
    assert told.heard.receipts == 2
    assert look(world) == ()  # said once
    entry = entry_of(chain(world)[-1])
    assert (entry.verb, entry.object_id, entry.heard) == ("heard", broadcast, told.heard)


def test_the_record_commits_to_each_receipt(world: World) -> None:
    broadcast = issued(world)
    receipts(world, ("ct-1", ReceiptEvent.FINISHED, broadcast))
    before = world.run(lambda s: record.heard_of(s, broadcast))
    world.run(lambda s: s.connection().execute(update(ReceiptRow).values(payload=b"other")))
    after = world.run(lambda s: record.heard_of(s, broadcast))
    assert before.receipts == after.receipts
    assert before.digest != after.digest


def test_receipts_that_come_later_are_recorded_with_the_next_head(world: World) -> None:
    broadcast = issued(world)
    world.clock.at += DAY_MS // 2
    world.run(lambda s: do_due(s, world.ctx, InstantMs(START)))
    assert len(look(world)) == 1
    receipts(world, ("ct-3", ReceiptEvent.FINISHED, broadcast))
    assert look(world) == ()
    looked_later = InstantMs(world.ctx.now + record.SETTLE_MS + 1)
    assert look(world, late_since=looked_later) == ()  # it came before that, and was looked at then
    (told,) = look(world, late_since=world.ctx.now)
    assert (told.verb, told.heard.receipts) == ("heard", 1)
    assert look(world, late_since=world.ctx.now) == ()


def test_a_broadcast_that_nobody_here_issued_is_recorded_as_unknown(world: World) -> None:
    stranger = bytes(range(16)).hex()
    receipts(world, ("ct-1", ReceiptEvent.STARTED, stranger), ("hg-1", ReceiptEvent.RECEIVED, "ab" * 16))
    assert look(world) == ()  # perhaps more of it is on its way
    world.clock.at += record.SETTLE_MS
    (told,) = look(world)
    assert (told.verb, told.broadcast, told.heard.receipts) == ("unknown", stranger, 1)
    assert look(world) == ()


def test_the_head_goes_out_when_the_record_grew_and_once_a_day(world: World) -> None:
    (document,) = world.run(lambda s: record.issue_head(s, world.ctx)).documents
    head = open_sealed(document.payload).message
    last = chain(world)[-1]
    assert isinstance(head, RecordHead)
    assert (document.area, head.number, head.hash, head.forks) == (QN, last.number, last.hash, 0)
    assert not world.run(lambda s: record.issue_head(s, world.ctx))
    assert world.run(lambda s: record.head_due(s, world.ctx)) == world.ctx.now + DAY_MS
    world.clock.at += DAY_MS
    assert world.run(lambda s: record.head_due(s, world.ctx)) == world.ctx.now
    (again,) = world.run(lambda s: record.issue_head(s, world.ctx)).documents
    assert open_sealed(again.payload).message == replace(head, at=world.ctx.now, after=(head.mark,))
    version = world.run(lambda s: s.get_one(StateDocument, (QN, "record")).version)
    assert version == world.ctx.now


def test_many_deeds_are_one_head_once_it_is_quiet(world: World) -> None:
    world.run(lambda s: record.issue_head(s, world.ctx))
    first = world.clock.at + 50_000
    for _ in range(12):
        world.clock.at += 50_000
        world.run(lambda s: note_deed(s, world.ctx, "issue", "broadcast", "x"))
        due = min(world.clock.at + record.QUIET_MS, first + record.PATIENCE_MS)
        assert world.run(lambda s: record.head_due(s, world.ctx)) == due


def test_a_head_that_the_record_does_not_hold_begins_a_branch(world: World) -> None:
    mark = world.run(newest)
    assert mark is not None
    world.run(lambda s: record.write_lost(s, world.ctx, [(mark, "ct-1")]))
    assert world.run(newest) == mark  # it is ours: nothing to say
    ahead = HeadMark(number=mark.number + 40, mark=b"f" * 16)
    further = HeadMark(number=mark.number + 50, mark=b"g" * 16)
    assert world.run(lambda s: record.write_lost(s, world.ctx, [(ahead, "ct-1"), (further, "ct-2")]))
    entry = entry_of(chain(world)[-1])
    assert (entry.verb, entry.forks, entry.known, entry.object_id) == ("fork", 1, further, "ct-2")
    assert not world.run(lambda s: record.write_lost(s, world.ctx, [(ahead, "ct-3")]))  # named with the further one
    told = KnownHead(ahead.number, ahead.mark)
    assert codes(world, told) == []
    assert any("was lost by a restore" in one for one in verify(exported(world), [told]).notices)


def test_a_node_that_lies_forks_the_record_once_a_day_and_no_further(world: World) -> None:
    """A stolen box says what it likes in its health; the heads must stay such that nodes take them."""
    started = len(chain(world))
    for n in range(5):
        lie = HeadMark(number=10_000 + n, mark=bytes([n]) * 16, forks=n * 3)
        world.run(lambda s, lie=lie: record.write_lost(s, world.ctx, [(lie, "ct-1")]))  # type: ignore[misc]
        world.clock.at += 60_000
    assert len(chain(world)) == started + 1
    wild = [(HeadMark(number=1, mark=b"w" * 16, forks=forks), "ct-2") for forks in ((1 << 32) - 1, 1 << 31, 500)]
    assert not world.run(lambda s: record.write_lost(s, world.ctx, wild))
    head = HeadMark(number=9000, mark=b"h" * 16, forks=2)  # an honest one is heard all the same, with several branches
    older = HeadMark(number=8000, mark=b"o" * 16, forks=1)
    assert world.run(lambda s: record.write_lost(s, world.ctx, [(older, "ct-3"), (head, "ct-3"), *wild]))
    assert [entry_of(row).object_id for row in chain(world)[started:]] == ["ct-1", "ct-3", "ct-3"]
    world.clock.at += DAY_MS
    again = HeadMark(number=20_000, mark=b"a" * 16, forks=3)
    assert world.run(lambda s: record.write_lost(s, world.ctx, [(again, "ct-1")]))


def test_a_restore_is_said_once_and_first(world: World) -> None:
    assert world.run(lambda s: record.write_restore(s, world.ctx, backup="b-1", detail="of yesterday"))
    assert not world.run(lambda s: record.write_restore(s, world.ctx, backup="b-1", detail="of yesterday"))
    mark = HeadMark(number=900, mark=b"f" * 16)
    world.run(lambda s: record.write_lost(s, world.ctx, [(mark, "ct-1")]))
    said = [entry_of(row) for row in chain(world)[-2:]]
    assert [(one.verb, one.forks) for one in said] == [("restore", 1), ("lost", 1)]
    second = HeadMark(number=950, mark=b"h" * 16, forks=1)  # restored again from the same backup
    world.run(lambda s: record.write_lost(s, world.ctx, [(second, "ct-2")]))
    assert entry_of(chain(world)[-1]).forks == 2


def test_entries_are_listed_newest_first_and_filtered(world: World) -> None:
    world.run(lambda s: append(s, at=world.ctx.now, account="hoa", verb="issue", object_kind="x", object_id="y"))
    (found,) = world.run(lambda s: entries(s, account="hoa"))
    assert found[0].object_id == "y"
    numbers = [one.number for one, _ in world.run(lambda s: entries(s, limit=3))]
    assert numbers == [found[0].number - n for n in range(3)]
    assert [one.number for one, _ in world.run(lambda s: entries(s, before=numbers[-1], limit=1))] == [numbers[-1] - 1]


def test_what_the_roots_signed_is_recorded_under_their_keys(world: World) -> None:
    ctx = replace(world.ctx, keys=CONTROLLER, account="loa")
    appointments = Centre.usual().appointments
    world.run(lambda s: renew_trust(s, ctx, appointments=appointments))
    appointed = [one for one, _ in world.run(lambda s: entries(s, verb="appoint"))]
    assert len(appointed) == len(appointments)
    keys = b"".join(key.key_id for key in ROOT_KEYS[:2])
    assert {(one.account, one.key) for one in appointed} == {("roots", keys)}
    gone = by_roots(Revocation(ids=(b"12345678",), at=NOW, reason="left"), 0, 2)
    world.run(lambda s: renew_trust(s, ctx, appointments=appointments, revocations=[gone]))
    ((revoked, _),) = world.run(lambda s: entries(s, verb="revoke"))
    assert (revoked.account, revoked.detail, revoked.object_id) == ("roots", "left", b"12345678".hex())
    assert revoked.key == ROOT_KEYS[0].key_id + ROOT_KEYS[2].key_id


def test_an_emergency_is_recorded_under_the_keys_of_those_who_approved_it(world: World) -> None:
    first, second = key_of("first"), key_of("second")
    rights = {"ceiling": Precedence.EMERGENCY, "powers": int(Power.APPROVE)}
    centre = Centre([by_roots(appointment("controller", CONTROLLER))])
    centre.appointments += [by_roots(appointment(name, key_of(name), **rights)) for name in ("first", "second")]
    ctx = replace(world.ctx, keys=CONTROLLER)
    world.run(lambda s: renew_trust(s, ctx, appointments=centre.appointments))
    bulletin = world.bulletin("Bão").id
    form = AlertForm(target_areas=[QN], bulletins=[bulletin], repeats=1, lasts_ms=600_000, kind=Kind.LIVE)
    body = world.run(lambda s: compose_alert(s, ctx, form))
    approvals = [approve(body, key) for key in (first, second)]
    released = world.run(lambda s: release_alert(s, ctx, body, approvals, roots=ROOTS)).value
    ((entry, _),) = world.run(lambda s: entries(s, verb="release"))
    assert (entry.object_id, entry.account, entry.key) == (released, "lan", first.key_id + second.key_id)
    assert codes(world) == []
