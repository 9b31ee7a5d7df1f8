"""Receipts: kept as they came, in groups; acknowledged after their commit; coverage follows from them alone."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Table, TextClause, bindparam, text
from sqlalchemy import select as sa_select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlmodel import Session, SQLModel, col, select

from controller.services.coverage import NodeCoverage, advance, read
from controller.services.journal import Journal, held_numbers, noted_numbers
from controller.services.local_alerts import take_local
from controller.services.owed import confirm
from controller.tables import Broadcast, BroadcastNode, ReceiptRow
from devices.protocol.reports import Receipt
from loa.units import InstantMs, NodeId

_AT_ONCE = 400
_COVERAGE = sa_select(BroadcastNode.__table__).where(  # type: ignore[attr-defined]
    col(BroadcastNode.broadcast).in_(bindparam("subjects", expanding=True)),
    col(BroadcastNode.node).in_(bindparam("nodes", expanding=True)),
)
"""Columns alone: no row of it is changed through the session."""
_BROADCASTS = sa_select(col(Broadcast.id)).where(col(Broadcast.id).in_(bindparam("subjects", expanding=True)))


@dataclass(frozen=True)
class Held:
    """Everything of this epoch up to `number` is held: to be acknowledged now that it is committed."""

    node: NodeId
    epoch: bytes
    number: int


def record_receipts(session: Session, batch: Sequence[tuple[Receipt, bytes]], now: InstantMs) -> tuple[Held, ...]:
    """Keep receipts whose signatures were checked, with their signed bytes; say what may be acknowledged.

    Repeats are harmless, and any order gives the same. Acknowledge only after the commit.
    """
    if not batch:
        return ()
    _insert_ignoring(session, ReceiptRow, [_row(receipt, payload, now) for receipt, payload in batch])
    receipts = [receipt for receipt, _ in batch]
    if any(receipt.local is not None for receipt in receipts):
        take_local(session, receipts, now)
    _project(session, receipts)
    confirm(session, receipts, now)
    journals = sorted({(receipt.node, receipt.epoch) for receipt in receipts})
    return _advance_held(session, journals, now)


def receipts_of(
    session: Session, *, subject: str | None = None, node: str | None = None, limit: int = 500
) -> tuple[ReceiptRow, ...]:
    """Receipts as rows, the newest first; for reading only."""
    query = select(ReceiptRow).order_by(col(ReceiptRow.at).desc(), col(ReceiptRow.number).desc()).limit(limit)
    if subject is not None:
        query = query.where(ReceiptRow.subject == subject)
    if node is not None:
        query = query.where(ReceiptRow.node == node)
    return tuple(session.exec(query))


def _row(receipt: Receipt, payload: bytes, now: InstantMs) -> dict[str, Any]:
    return {
        "node": receipt.node,
        "epoch": receipt.epoch.hex(),
        "number": receipt.number,
        "at": receipt.at,
        "event": int(receipt.event),
        "subject": receipt.subject.hex() if receipt.subject else None,
        "cause": int(receipt.cause),
        "refusal": None if receipt.refusal is None else int(receipt.refusal),
        "position_ms": receipt.position_ms,
        "late_ms": receipt.late_ms,
        "precedence": None if receipt.precedence is None else int(receipt.precedence),
        "time_error_ms": receipt.time_error_ms,
        "payload": payload,
        "received_at": now,
    }


def _project(session: Session, receipts: Sequence[Receipt]) -> None:
    """Bring coverage up to date with these receipts."""
    by_pair: dict[tuple[str, str], list[Receipt]] = defaultdict(list)
    for receipt in receipts:
        if receipt.subject is not None:
            by_pair[receipt.subject.hex(), receipt.node].append(receipt)
    subjects = sorted({subject for subject, _ in by_pair})
    known: set[str] = set()
    held: dict[tuple[str, str], NodeCoverage] = {}
    for at in range(0, len(subjects), _AT_ONCE):
        some = subjects[at : at + _AT_ONCE]
        known.update(session.connection().execute(_BROADCASTS, {"subjects": some}).scalars())
        nodes = sorted({node for subject, node in by_pair if subject in some})
        held |= _held_coverage(session, some, nodes)
    fresh: list[dict[str, Any]] = []
    for (subject, node), group in by_pair.items():
        if subject not in known:
            continue
        before = held.get((subject, node))
        line = before or NodeCoverage(NodeId(node))
        for receipt in group:
            line = advance(line, receipt)
        if line != before:
            fresh.append({**vars(line), "broadcast": subject, "cause": int(line.cause)})
    if fresh:
        _upsert(session, BroadcastNode, fresh)


def _held_coverage(
    session: Session, subjects: Sequence[str], nodes: Sequence[str]
) -> Mapping[tuple[str, str], NodeCoverage]:
    found: dict[tuple[str, str], NodeCoverage] = {}
    for at in range(0, len(nodes), _AT_ONCE):
        values = {"subjects": subjects, "nodes": nodes[at : at + _AT_ONCE]}
        found |= {(row.broadcast, row.node): read(row) for row in session.connection().execute(_COVERAGE, values)}
    return found


def _advance_held(session: Session, journals: Sequence[Journal], now: InstantMs) -> tuple[Held, ...]:
    noted = noted_numbers(session, journals)
    held = held_numbers(session, journals, now, noted)
    fresh = [(node, epoch, number) for (node, epoch), number in held.items() if noted[node, epoch] != number]
    for at in range(0, len(fresh), _AT_ONCE):
        some = fresh[at : at + _AT_ONCE]
        values: dict[str, Any] = {}
        for n, (node, epoch, number) in enumerate(some):
            values |= {f"node{n}": node, f"epoch{n}": epoch, f"number{n}": number}
        session.connection().execute(_note_held(len(some)), values)
    session.expire_all()
    return tuple(Held(node, epoch, number) for (node, epoch), number in held.items())


@lru_cache(maxsize=_AT_ONCE + 1)
def _note_held(count: int) -> TextClause:
    """For so many journals: one statement, where one for each would be as many journeys to a server."""
    rows = ", ".join(f"(CAST(:node{n} AS VARCHAR), :epoch{n}, CAST(:number{n} AS BIGINT))" for n in range(count))
    return text(
        f"WITH fresh (node, epoch, number) AS (VALUES {rows}) "  # noqa: S608 - names of parameters alone
        "UPDATE node_state SET epoch = fresh.epoch, held_number = fresh.number "
        "FROM fresh WHERE node_state.node = fresh.node"
    )


def _insert_ignoring(session: Session, table: type[SQLModel], rows: Sequence[Mapping[str, Any]]) -> None:
    connection = session.connection()
    connection.execute(_ignoring(connection.dialect.name, table), rows)


def _upsert(session: Session, table: type[SQLModel], rows: Sequence[Mapping[str, Any]]) -> None:
    connection = session.connection()
    connection.execute(_upserting(connection.dialect.name, table, tuple(rows[0])), rows)
    session.expire_all()


@lru_cache
def _ignoring(dialect: str, table: type[SQLModel]) -> Any:
    return _insert(dialect, table).on_conflict_do_nothing()


@lru_cache
def _upserting(dialect: str, table: type[SQLModel], columns: tuple[str, ...]) -> Any:
    """Made once, as all of these: putting a statement together takes longer than the database does."""
    statement = _insert(dialect, table)
    core: Table = table.__table__  # type: ignore[attr-defined]
    keys = [column.name for column in core.primary_key]
    values = {name: statement.excluded[name] for name in columns if name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=values)


def _insert(dialect: str, table: type[SQLModel]) -> Any:
    core: Table = table.__table__  # type: ignore[attr-defined]
    return postgresql_insert(core) if dialect == "postgresql" else sqlite_insert(core)
