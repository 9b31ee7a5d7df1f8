"""What the record says beyond single deeds: where broadcasts were heard, its signed head, restores.

All of it is appended like any deed. Nothing here is on the path of an order.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, exists, func, select

from controller.chain import Heard, OutcomeCount, receipts_digest
from controller.services.chain import append, entry_of, newest
from controller.services.context import Context, OutDocument, Outgoing
from controller.services.coverage import NodeCoverage, advance
from controller.services.documents import issue_document
from controller.tables import Broadcast, BroadcastNode, ReceiptRow, RecordEntry, RecordHeadRow
from devices.protocol.envelope import open_sealed, seal
from devices.protocol.record import MARK_BYTES, HeadMark, RecordHead
from devices.protocol.refusal import WireRefusal
from devices.protocol.reports import Receipt, ReceiptEvent
from devices.protocol.topics import AreaChannel
from loa.units import InstantMs, NodeId

DAY_MS = 86_400_000
HEARD_WITHIN_MS = 3 * DAY_MS
"""What began longer ago than this without being told of is left alone: it is of before there was a record."""
SETTLE_MS = 5 * 60_000
"""So long receipts of a broadcast that nobody knows are gathered before it is told."""
MOST_AT_ONCE = 100
QUIET_MS, PATIENCE_MS = 30_000, 600_000
"""A head is signed once nothing was recorded for the one, at the latest after the other."""
_OVER = ("ended", "recalled")
_SOUND = tuple(
    int(one)
    for one in (
        ReceiptEvent.STARTED, ReceiptEvent.FINISHED, ReceiptEvent.STOPPED, ReceiptEvent.UNCONFIRMED,
        ReceiptEvent.SOUNDED, ReceiptEvent.INTERRUPTED, ReceiptEvent.RESUMED,
    )
)  # fmt: skip
MOST_FORKS_AHEAD = 64
"""Of a head that a node tells: so many restores might have been forgotten at once. One that says more is not ours."""
HEARD, UNKNOWN, LOST, RESTORE, FORK = "heard", "unknown", "lost", "restore", "fork"


@dataclass(frozen=True)
class Told:
    """An entry to be appended about what was heard."""

    verb: str
    broadcast: str
    heard: Heard
    detail: str = ""


def untold(
    session: Session, now: InstantMs, since: InstantMs, *, late_since: InstantMs | None = None
) -> tuple[Told, ...]:
    """What was heard and is not recorded yet: for reading, beside whoever writes.

    Broadcasts that are over; those that no table knows and nodes have receipts of (`unknown`: issued by what a
    restored backup has forgotten, or by another controller under our key); and with `late_since` those of which
    receipts came in later than that and after they were recorded. `since`: receipts that came before were looked at.
    """
    told = [Told(HEARD, broadcast, heard_of(session, broadcast), title) for broadcast, title in _over(session, now)]
    told += [Told(UNKNOWN, subject, heard_of(session, subject)) for subject in _strangers(session, now, since)]
    if late_since is not None:
        told += _grown(session, InstantMs(late_since - SETTLE_MS), {one.broadcast for one in told})
    return tuple(told[:MOST_AT_ONCE])


def _over(session: Session, now: InstantMs) -> list[tuple[str, str]]:
    recorded = exists().where(col(RecordEntry.object_id) == col(Broadcast.id), col(RecordEntry.verb) == HEARD)
    rows = session.exec(
        select(Broadcast.id, Broadcast.title)
        .where(
            col(Broadcast.status).in_(_OVER),
            col(Broadcast.start_at) > now - HEARD_WITHIN_MS,
            col(Broadcast.expires_at) <= now,
            ~recorded,
        )
        .order_by(col(Broadcast.start_at), col(Broadcast.id))
        .limit(MOST_AT_ONCE)
    )
    return [(broadcast, title) for broadcast, title in rows]


def _strangers(session: Session, now: InstantMs, since: InstantMs) -> list[str]:
    rows = session.exec(
        select(ReceiptRow.subject)
        .where(
            col(ReceiptRow.received_at) > since - SETTLE_MS,
            col(ReceiptRow.received_at) <= now - SETTLE_MS,
            col(ReceiptRow.event).in_(_SOUND),
            col(ReceiptRow.subject).is_not(None),
            ~exists().where(col(Broadcast.id) == col(ReceiptRow.subject)),
            ~exists().where(col(RecordEntry.object_id) == col(ReceiptRow.subject)),
        )
        .distinct()
        .limit(MOST_AT_ONCE)
    )
    return sorted(subject for subject in rows if subject is not None)


def _grown(session: Session, since: InstantMs, besides: Collection[str]) -> list[Told]:
    """Recorded broadcasts whose receipts are others now than when they were recorded."""
    subjects = session.exec(
        select(ReceiptRow.subject)
        .where(col(ReceiptRow.received_at) > since, col(ReceiptRow.subject).is_not(None))
        .distinct()
    )
    found = []
    for subject in sorted(one for one in subjects if one is not None and one not in besides):
        told = session.exec(
            select(RecordEntry)
            .where(RecordEntry.object_id == subject, col(RecordEntry.verb).in_((HEARD, UNKNOWN)))
            .order_by(col(RecordEntry.number).desc())
            .limit(1)
        ).first()
        held = None if told is None else entry_of(told).heard
        if told is None or held is None:
            continue
        heard = heard_of(session, subject)
        if heard.digest != held.digest:
            found.append(Told(told.verb, subject, heard, "receipts that came later"))
    return found


def heard_of(session: Session, broadcast: str) -> Heard:
    """Counts by outcome, and a hash over every receipt about it."""
    columns = select(ReceiptRow.node, ReceiptRow.epoch, ReceiptRow.number, ReceiptRow.payload)
    found = session.exec(columns.where(ReceiptRow.subject == broadcast))
    rows = [(node, epoch, number, payload) for node, epoch, number, payload in found]
    outcomes = session.exec(select(BroadcastNode.outcome).where(BroadcastNode.broadcast == broadcast)).all()
    counts = Counter(outcomes or _outcomes(rows))
    return Heard(
        outcomes=tuple(OutcomeCount(outcome=name, nodes=count) for name, count in sorted(counts.items())),
        receipts=len(rows),
        digest=receipts_digest(rows),
    )


def _outcomes(rows: Iterable[tuple[str, str, int, bytes]]) -> list[str]:
    """Of a broadcast that no table knows: by node, from its receipts alone."""
    lines: dict[str, NodeCoverage] = {}
    for node, _, _, payload in sorted(rows):
        try:
            receipt = open_sealed(payload).message
        except WireRefusal:
            continue
        if isinstance(receipt, Receipt):
            lines[node] = advance(lines.get(node) or NodeCoverage(NodeId(node)), receipt)
    return [line.outcome for line in lines.values()]


def write_told(session: Session, ctx: Context, told: Sequence[Told]) -> None:
    """Append what was heard."""
    for one in told:
        _append(session, ctx, one.verb, "broadcast", one.broadcast, detail=one.detail, heard=one.heard)


def _append(
    session: Session, ctx: Context, verb: str, object_kind: str, object_id: str, *, detail: str = "",
    heard: Heard | None = None, known: HeadMark | None = None,
) -> None:  # fmt: skip
    append(
        session, at=ctx.now, account=ctx.account, verb=verb, object_kind=object_kind, object_id=object_id,
        detail=detail, origin=ctx.origin, key=ctx.key_id or ctx.keys.key_id, heard=heard, known=known,
    )  # fmt: skip


# The head.


def head_due(session: Session, ctx: Context) -> InstantMs | None:
    """When the head should be signed next: soon after the record grew, and daily. None where nothing is recorded.

    Not on the heels of a deed: what an order puts on the wire goes first, and many deeds are one head.
    """
    if newest(session) is None:
        return None
    last = session.exec(select(RecordHeadRow).order_by(col(RecordHeadRow.at).desc()).limit(1)).first()
    if last is None:
        return ctx.now
    since = select(func.min(RecordEntry.at), func.max(RecordEntry.at)).where(col(RecordEntry.number) > last.number)
    first_at, newest_at = session.exec(since).one()
    if first_at is None or newest_at is None:
        return InstantMs(last.at + DAY_MS)
    return InstantMs(max(last.at + QUIET_MS, min(newest_at + QUIET_MS, first_at + PATIENCE_MS)))


def sign_head(session: Session, ctx: Context) -> bytes:
    """The end of the record, signed now. Raises LookupError where nothing is recorded."""
    last = session.exec(select(RecordEntry).order_by(col(RecordEntry.number).desc()).limit(1)).first()
    if last is None:
        raise LookupError("nothing is recorded")
    head = RecordHead(
        area=ctx.province, number=last.number, hash=last.hash, at=ctx.now, forks=last.forks,
        after=_published_before(session, ctx.now),
    )  # fmt: skip
    return seal(head, ctx.keys)


def _published_before(session: Session, now: InstantMs) -> tuple[HeadMark, ...]:
    """The last two heads, the last of yesterday and the last of a week ago, as the record has those entries now."""
    heads = select(RecordHeadRow.number, RecordHeadRow.forks).order_by(col(RecordHeadRow.at).desc())
    places = dict.fromkeys(session.exec(heads.limit(2)))
    for days in (1, 7):
        places |= dict.fromkeys(session.exec(heads.where(col(RecordHeadRow.at) <= now - days * DAY_MS).limit(1)))
    rows = {number: session.get(RecordEntry, number) for number, _ in places}
    return tuple(
        HeadMark(number=number, mark=row.hash[:MARK_BYTES], forks=forks)
        for number, forks in places
        if (row := rows[number]) is not None and row.forks == forks
    )


def issue_head(session: Session, ctx: Context) -> Outgoing:
    """The head for every node, where it is another one than was told, or a day old."""
    mark, due = newest(session), head_due(session, ctx)
    if mark is None:
        return Outgoing()
    payload = sign_head(session, ctx)
    document: OutDocument | None = issue_document(
        session, ctx, ctx.province, AreaChannel.RECORD, mark.mark, signed=lambda _version: payload,
        force=due is not None and due <= ctx.now,
    )  # fmt: skip
    if document is None:
        return Outgoing()
    if session.get(RecordHeadRow, ctx.now) is None:
        session.add(RecordHeadRow(at=ctx.now, number=mark.number, forks=mark.forks, payload=payload))
    return Outgoing(documents=(document,))


# After a restore.


def write_restore(session: Session, ctx: Context, *, backup: str, detail: str) -> bool:
    """The record goes on from a backup: said before anything else is. False where it was said already."""
    last = session.exec(select(RecordEntry).order_by(col(RecordEntry.number).desc()).limit(1)).first()
    said = select(RecordEntry.number).where(RecordEntry.verb == RESTORE, RecordEntry.object_id == backup)
    if last is None or session.exec(said).first() is not None:
        return False
    _append(session, ctx, RESTORE, "backup", backup, detail=detail)
    return True


def is_ours(session: Session, mark: HeadMark) -> bool:
    """Whether the record still holds the entry that a node was told is its head."""
    row = session.get(RecordEntry, mark.number)
    return row is not None and row.forks == mark.forks and row.hash[:MARK_BYTES] == mark.mark


def write_lost(session: Session, ctx: Context, marks: Iterable[tuple[HeadMark, str]]) -> Outgoing:
    """Nodes were told heads that the record does not hold: it was restored, or somebody rewrote it.

    One entry names the furthest of each branch, and the node that told it; where no restore was said before, the
    entry begins another branch. What is named already is passed over, and so is a node that was named within the last
    day: what a node says of itself is not proven, and one that lies must not fill the record.
    """
    start = newest(session)
    silenced = _named_since(session, InstantMs(ctx.now - DAY_MS))
    marks = [
        (mark, node)
        for mark, node in marks
        if start is not None and mark.forks <= start.forks + MOST_FORKS_AHEAD and node not in silenced
    ]
    furthest: dict[int, tuple[HeadMark, str]] = {}
    for mark, node in marks:
        if mark.forks not in furthest or mark.number > furthest[mark.forks][0].number:
            furthest[mark.forks] = (mark, node)
    wrote = False
    for forks in sorted(furthest):
        mark, node = furthest[forks]
        last = newest(session)
        if last is None or is_ours(session, mark) or _is_named(session, mark):
            continue
        verb = LOST if mark.forks < last.forks else FORK
        detail = f"entry {mark.number} of branch {mark.forks} is not in this record any more"
        _append(session, ctx, verb, "node", node, detail=detail, known=mark)
        wrote = True
    return issue_head(session, ctx) if wrote else Outgoing()


def _named_since(session: Session, since: InstantMs) -> frozenset[str]:
    query = select(RecordEntry.object_id).where(col(RecordEntry.verb).in_((LOST, FORK)), RecordEntry.at > since)
    return frozenset(session.exec(query))


def _is_named(session: Session, mark: HeadMark) -> bool:
    query = select(RecordEntry).where(col(RecordEntry.known).is_not(None), col(RecordEntry.verb).in_((LOST, FORK)))
    named = [entry_of(row).known for row in session.exec(query)]
    return any(one is not None and one.forks == mark.forks and one.number >= mark.number for one in named)
