"""The record as it leaves the centre: all of it as a file that proves itself, or some of it as rows."""

from collections.abc import Callable, Iterator

from sqlmodel import Session, col, select

from controller.chain import Entry
from controller.recordfile import EntryLine, Header, written
from controller.services.chain import entry_of
from controller.services.context import Context
from controller.services.health import health_in
from controller.services.record import sign_head
from controller.tables import NodeState, RecordEntry, RecordHeadRow, StateDocument
from devices.protocol.record import HeadMark
from devices.protocol.topics import AreaChannel

_AT_ONCE = 1000


def export(session: Session, ctx: Context, put: Callable[[str], object]) -> None:
    """Hand out the lines of the whole record, closed by a head signed now."""
    trust = session.get(StateDocument, (str(ctx.province), str(AreaChannel.TRUST)))
    heads = [row.payload for row in session.exec(select(RecordHeadRow).order_by(col(RecordHeadRow.at)))]
    if session.exec(select(RecordEntry.number).limit(1)).first() is not None:
        heads.append(sign_head(session, ctx))
    for line in written(Header(str(ctx.province), trust.payload if trust else b""), _lines(session), heads):
        put(line)


def _lines(session: Session) -> Iterator[EntryLine]:
    last = 0
    while True:
        query = select(RecordEntry).where(RecordEntry.number > last).order_by(col(RecordEntry.number)).limit(_AT_ONCE)
        rows = session.exec(query).all()
        for row in rows:
            yield EntryLine(entry_of(row), row.hash)
            last = row.number
        session.expunge_all()
        if len(rows) < _AT_ONCE:
            return


def entries(
    session: Session,
    *,
    before: int | None = None,
    verb: str | None = None,
    account: str | None = None,
    object_id: str | None = None,
    limit: int = 50,
) -> list[tuple[Entry, bytes]]:
    """Entries with their hashes, the newest first."""
    query = select(RecordEntry).order_by(col(RecordEntry.number).desc()).limit(limit)
    for column, value in ((RecordEntry.verb, verb), (RecordEntry.account, account), (RecordEntry.object_id, object_id)):
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        query = query.where(RecordEntry.number < before)
    return [(entry_of(row), row.hash) for row in session.exec(query)]


def told_heads(session: Session) -> list[tuple[str, HeadMark]]:
    """The heads of the record that each node says it was told: the newest, and the last of each lost branch."""
    found = []
    for node, payload in session.exec(select(NodeState.node, NodeState.health).order_by(col(NodeState.node))):
        health = health_in(payload)
        if health is not None:
            found += [(node, mark) for mark in health.record]
    return found
