"""The centre is destroyed and comes back from yesterday's backup, in a province that has gone on without it."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from sqlmodel import Session, col, delete, insert, select

from controller.audit import Verdict, verify
from controller.backup.making import make_backup, restore
from controller.backup.sealing import new_key
from controller.chain import NO_HASH, Entry, entry_hash
from controller.recordfile import KnownHead
from controller.services.chain import entry_of, row_of
from controller.services.context import Context
from controller.services.record_export import export
from controller.store import Database
from controller.tables import OwedOrder, ReceiptRow, RecordEntry
from devices.protocol.record import HeadMark
from devices.protocol.refusal import RefusalReason
from devices.protocol.reports import ReceiptEvent
from loa.cli.simulation.province import PERSON, PROVINCE
from loa.cli.simulation.scenarios import scenario
from loa.cli.simulation.world import DAY_S, HOUR_S, MINUTE_S, World
from loa.names import AreaPath
from loa.precedence import Precedence
from simulators.world.box import Box

AREA = "quang-ninh/co-to"


def back_up(world: World, folder: Path) -> Path:
    """As `loa backup` does it, beside the running centre."""
    province, key = world.province, folder / "backup.key"
    public = new_key(key)
    made = make_backup(
        data=province.folder,
        database_url=f"sqlite:///{province.folder / 'loa.db'}",
        province=PROVINCE,
        to=folder / "loa.age",
        recipients=[public],
        now_ms=world.now(),
        entropy=province.chance.named("backup").entropy(),
    )
    province.story.tell("centre", "is backed up")
    return made.path


async def destroy_and_restore(world: World, folder: Path, *, away_s: float) -> None:
    """Its disk is gone; after a while the backup is put into a new folder and started."""
    province = world.province
    province.kill_centre()
    province.trouble("centre", "has lost its disk")
    shutil.rmtree(province.folder)
    await world.passes(away_s)
    restore(folder / "loa.age", key=folder / "backup.key", data=province.folder)
    db = Database(f"sqlite:///{province.folder / 'loa.db'}", inline=True)
    owed = db.read(
        lambda session: session.exec(select(OwedOrder.order).where(col(OwedOrder.confirmed_at).is_(None))).all()
    )
    db.close()
    world.must("control", "centre", bool(owed), "nothing was owed when it was backed up")
    province.story.tell("centre", "is restored from yesterday's backup")
    await province.start_centre()


@scenario(boxes=12, days=3)
async def restored_from_yesterday(world: World) -> None:
    """A day-old backup in a province that went on: obeyed, its receipts back, nothing twice, the fork plain to see."""
    with tempfile.TemporaryDirectory() as name:
        await _restored(world, Path(name))


async def _restored(world: World, folder: Path) -> None:
    province = world.province
    boxes = await world.commune()
    officers = await world.officers()
    operator = officers.communes[AreaPath(AREA)]
    news, warning = await world.bulletin("news", 30), await world.bulletin("warning", 20)
    await province.programme(AREA, news, hours="5,17")
    await world.passes(HOUR_S)
    first = await world.say(news)
    await world.passes(DAY_S - 2 * HOUR_S)
    boxes[0].power_cut()
    owed = await officers.release(AREA, warning, lasts_s=3 * DAY_S, repeats=1)
    assert owed is not None
    await world.passes(10 * MINUTE_S)
    back_up(world, folder)

    # The day that will be lost.
    await boxes[0].power_on()
    await world.passes(HOUR_S)
    for box in boxes:
        world.must("control", box.name, len(world.heard(box, owed)) == 1, "did not sound what was owed, once")
    late = await world.bulletin("of the lost day", 25)
    lost = [await world.say(late)]
    await world.passes(10 * MINUTE_S)
    lost.append(await world.say(news, Precedence.PRIORITY))
    await world.passes(12 * HOUR_S)
    lost.append(await world.say(news))
    await world.passes(2 * HOUR_S)
    await officers.revoke(operator)
    await world.passes(8 * HOUR_S)
    for broadcast in lost:
        world.all_heard(boxes, broadcast)
    told = [head for head in (newest_told(box) for box in boxes) if head is not None]
    world.must("control", "centre", len(told) == len(boxes), "some box was told of no head")
    forget(world, lost, late.id)
    before = {box.name: {one.label for one in box.soundings} for box in boxes}
    restored_at = world.now()
    await destroy_and_restore(world, folder, away_s=HOUR_S)
    await world.passes(3 * HOUR_S)

    # What came of it.
    for box in boxes:
        again = [one.label for one in box.soundings if one.began_ms > restored_at and one.label in before[box.name]]
        world.must("I3", box.name, not again, f"sounded {again} again after the restore")
    receipts_are_back(world, boxes, lost)
    the_fork_is_plain(world, boxes, lost, told)
    await a_revoked_key_stays_revoked(world, boxes, officers.release(AREA, warning))
    after = await world.say(news)
    await world.passes(HOUR_S)
    world.all_heard(boxes, after)
    world.all_heard(boxes, first)
    await world.passes(world.days * DAY_S - 54 * HOUR_S)
    due = [one for one in world.planned() if one.start_at < world.now() - HOUR_S * 1000]
    world.must("control", "centre", len(due) >= 4, f"{len(due)} broadcasts of the programme")
    for one in due:
        world.all_heard(boxes, one.id)
        for box in boxes:
            outcome = world.outcome(one.id, box)
            world.must("I7", box.name, outcome == "finished", f"{one.id[:8]} of the programme is {outcome}")


def newest_told(box: Box) -> HeadMark | None:
    """What an auditor with this box in hand would find."""
    heads = () if box.node is None else box.node._records.heads
    return heads[-1].mark if heads else None


def forget(world: World, broadcasts: list[str], bulletin: str) -> None:
    """What a backup of before cannot know: promised, and lost with the disk. That it sounded was right."""
    ledger = world.province.ledger
    for one in broadcasts:
        del ledger.issued[one]
        ledger.forgotten.add(one)
    ledger.bulletins = [one for one in ledger.bulletins if one.id != bulletin]


def _entries(world: World) -> list[Entry]:
    centre = world.province.centre
    assert centre is not None
    return centre.db.read(
        lambda session: [entry_of(row) for row in session.exec(select(RecordEntry).order_by(col(RecordEntry.number)))]
    )


def receipts_are_back(world: World, boxes: list[Box], lost: list[str]) -> None:
    """Of the lost day, from the journals; and what they are about is told as unknown, not hidden."""
    centre = world.province.centre
    assert centre is not None

    def finished(session: Session) -> set[tuple[str, str]]:
        rows = session.exec(select(ReceiptRow).where(ReceiptRow.event == int(ReceiptEvent.FINISHED)))
        return {(row.node, row.subject or "") for row in rows}

    held = centre.db.read(finished)
    told = {one.object_id: one.heard for one in _entries(world) if one.verb == "unknown"}
    for broadcast in lost:
        for box in boxes:
            world.must("I6", box.name, (box.name, broadcast) in held, f"its receipts of {broadcast[:8]} are not back")
        heard = told.get(broadcast)
        counts = {} if heard is None else {one.outcome: one.nodes for one in heard.outcomes}
        right = counts == {"finished": len(boxes)}
        world.must("record", "centre", right, f"what sounded as {broadcast[:8]} is not told as unknown: {counts}")


def the_fork_is_plain(world: World, boxes: list[Box], lost: list[str], told: list[HeadMark]) -> None:
    """In the record, in what the nodes were told since, and to whoever proves an export with an older head."""
    furthest = max(told, key=lambda one: one.number)
    entries = _entries(world)
    restored = [one for one in entries if one.verb == "restore"]
    named = [one.known for one in entries if one.verb in ("lost", "fork")]
    world.must("record", "centre", len(restored) == 1, f"{len(restored)} entries say that it was restored")
    world.must("record", "centre", furthest in named, f"no entry names the head that nodes hold: {named}")
    world.must("record", "centre", not {one.object_id for one in entries if one.verb == "issue"} & set(lost), "control")
    for box in boxes:
        head = newest_told(box)
        world.must("record", box.name, head is not None and head.forks == 1, f"was not told of the branch: {head}")
    verdict = proved(world, [KnownHead(one.number, one.mark, one.forks) for one in told])
    world.must("record", "centre", verdict.ok, f"the export is not true: {[str(one) for one in verdict.findings]}")
    said = [one for one in verdict.notices if "was lost by a restore" in one]
    world.must("record", "centre", len(said) >= len(told), f"the export does not say what was lost: {verdict.notices}")
    other = KnownHead(furthest.number, bytes(16), furthest.forks)
    world.must("control", "centre", not proved(world, [other]).ok, "the export proves a head that never was")


def proved(world: World, known: list[KnownHead]) -> Verdict:
    """An export now, against these heads and the roots."""
    centre = world.province.centre
    assert centre is not None
    context: Context = centre.context(PERSON)
    lines: list[str] = []
    centre.db.read(lambda session: export(session, context, lines.append))
    return verify(lines, known, centre.keys.roots)


async def a_revoked_key_stays_revoked(world: World, boxes: list[Box], release: object) -> None:
    """The backup does not know of the revocation. The nodes do."""
    forged = await release  # type: ignore[misc]
    world.must("control", "centre", forged is not None, "the restored centre did not even take it")
    world.province.ledger.emergencies.pop(forged, None)
    world.province.ledger.revoked.add(forged)
    await world.passes(10 * MINUTE_S)
    for box in boxes:
        world.must("I1", box.name, not world.heard(box, forged), "obeyed a key that was revoked before the restore")


@scenario(boxes=3)
async def restored_by_hand(world: World) -> None:
    """Files copied back by hand, and nobody told the centre: what the nodes were told gives it away."""
    province = world.province
    boxes = await world.commune()
    news = await world.bulletin("news", 20)
    await world.passes(HOUR_S)
    copy = province.folder.with_name(province.folder.name + "-copy")
    province.kill_centre()
    shutil.copytree(province.folder, copy)
    await province.start_centre()
    lost = [await world.say(news)]
    await world.passes(HOUR_S)
    told = [newest_told(box) for box in boxes]
    for broadcast in lost:
        world.all_heard(boxes, broadcast)
        del province.ledger.issued[broadcast]
        province.ledger.forgotten.add(broadcast)
    province.kill_centre()
    province.trouble("centre", "is put back to an hour ago, by hand")
    shutil.rmtree(province.folder)
    copy.rename(province.folder)
    await province.start_centre()
    await world.passes(2 * HOUR_S)
    forked = [one for one in _entries(world) if one.verb == "fork"]
    world.must("record", "centre", [one.known for one in forked] == [told[0]], f"no fork is written down: {forked}")
    verdict = proved(world, [KnownHead(one.number, one.mark, one.forks) for one in told if one is not None])
    world.must("record", "centre", verdict.ok, f"the export is not true: {[str(one) for one in verdict.findings]}")
    for box in boxes:
        head = newest_told(box)
        world.must("record", box.name, head is not None and head.forks == 1, f"was not told of the branch: {head}")
    after = await world.say(news)
    await world.passes(HOUR_S)
    world.all_heard(boxes, after)


@scenario(boxes=3)
async def record_written_anew(world: World) -> None:
    """Somebody with the whole server rewrites an old entry and all hashes after it: every node refuses that record."""
    province = world.province
    boxes = await world.commune()
    news = await world.bulletin("news", 20)
    await world.passes(HOUR_S)
    blamed = await world.say(news)
    await world.passes(HOUR_S)
    told = [head for head in (newest_told(box) for box in boxes) if head is not None]
    known = [KnownHead(one.number, one.mark, one.forks) for one in told]
    world.must("control", "centre", proved(world, known).ok, "the record was not true before")
    province.kill_centre()
    province.trouble("centre", "has its record written anew by whoever owns the server")
    write_anew(province.folder / "loa.db", blamed)
    await province.start_centre()
    await world.say(news)
    await world.passes(30 * MINUTE_S)
    entries = _entries(world)
    accounts = [one.account for one in entries if one.object_id == blamed and one.verb == "issue"]
    world.must("control", "centre", accounts == ["somebody-else"], f"it was not rewritten: {accounts}")
    for box in boxes:
        counts = {} if box.node is None else box.node.status().refusals
        world.must(
            "record", box.name, counts.get(RefusalReason.RECORD_FORK, 0) > 0, "took the record that was written anew"
        )
    named = [one.known for one in entries if one.verb == "fork"]
    world.must("record", "centre", told[0] in named, f"the centre does not say that nodes were told otherwise: {named}")
    honest = [one for one in proved(world, known).findings if one.code == "record_rechained"]
    world.must("record", "centre", bool(honest), "an auditor with a node's head does not find it")
    await world.passes(HOUR_S)


def write_anew(database: Path, broadcast: str) -> None:
    """Another name on one deed, and every hash made to fit: with the triggers gone, nothing in the file shows it."""
    db = Database(f"sqlite:///{database}", inline=True)

    def work(session: Session) -> None:
        rows = session.exec(select(RecordEntry).order_by(col(RecordEntry.number))).all()
        entries = [entry_of(row) for row in rows]
        connection = session.connection()
        for what in ("update", "delete"):
            connection.exec_driver_sql(f"DROP TRIGGER record_entry_no_{what}")
        connection.execute(delete(RecordEntry))
        session.expunge_all()
        previous = NO_HASH
        for entry in entries:
            of_it = entry.object_id == broadcast and entry.verb == "issue"
            fresh = replace(entry, previous=previous, account="somebody-else" if of_it else entry.account)
            connection.execute(insert(RecordEntry), row_of(fresh))
            previous = entry_hash(fresh)

    db.run(work)
    db.close()
