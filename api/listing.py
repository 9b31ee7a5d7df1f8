"""Pages of ids, newest first: which rows a page shows, of those that are there for whoever asks.

What they look like is the services' business.
"""

from typing import Any

from sqlalchemy import tuple_
from sqlmodel import Session, col, select

from api.shapes import to_cursor
from controller.services import sight
from controller.services.areas import lies_in
from controller.services.context import Context
from controller.services.emergencies import START_AFTER_MS
from controller.tables import Alert, Broadcast, Bulletin, CapAlert, Programme, ReceiptRow

Ids = tuple[list[str], str | None]


def bulletin_ids(session: Session, ctx: Context, area: str | None, after: tuple[int, str] | None, limit: int) -> Ids:
    """Bulletins by when they were made."""
    query: Any = select(Bulletin.created_at, Bulletin.id).where(sight.bulletins_seen(ctx))
    if area is not None:
        query = query.where(lies_in(Bulletin.area, [area]))
    return _page(session, query, (col(Bulletin.created_at), col(Bulletin.id)), after, limit)


def programme_ids(
    session: Session, ctx: Context, area: str | None, *, stopped: bool, after: tuple[int, str] | None, limit: int
) -> Ids:
    """Programmes by when they were made."""
    query: Any = select(Programme.created_at, Programme.id).where(sight.programmes_seen(ctx))
    if area is not None:
        query = query.where(lies_in(Programme.area, [area]))
    if not stopped:
        query = query.where(col(Programme.stopped_at).is_(None))
    return _page(session, query, (col(Programme.created_at), col(Programme.id)), after, limit)


def broadcast_ids(
    session: Session,
    ctx: Context,
    *,
    area: str | None,
    status: str | None,
    until: int | None,
    after: tuple[int, str] | None,
    limit: int,
) -> Ids:
    """Broadcasts by their start, those that were withdrawn left out unless asked for."""
    query: Any = select(Broadcast.start_at, Broadcast.id).where(sight.broadcasts_seen(ctx))
    if area is not None:
        query = query.where(lies_in(Broadcast.area, [area]))
    query = query.where(Broadcast.status == status) if status else query.where(Broadcast.status != "withdrawn")
    if until is not None:
        query = query.where(Broadcast.start_at <= until)
    return _page(session, query, (col(Broadcast.start_at), col(Broadcast.id)), after, limit)


def alert_ids(
    session: Session, ctx: Context, *, area: str | None, status: str | None, after: tuple[int, str] | None, limit: int
) -> Ids:
    """Alerts by when they were composed."""
    query: Any = select(Alert.composed_at, Alert.id).where(sight.alerts_seen(ctx))
    if area is not None:
        query = query.where(lies_in(Alert.area, [area]))
    waits = col(Alert.expires_at) > ctx.now + START_AFTER_MS
    if status == "expired":
        query = query.where(col(Alert.status).in_(["composed", "armed"]), ~waits)
    elif status in ("composed", "armed"):
        query = query.where(Alert.status == status, waits)
    elif status is not None:
        query = query.where(Alert.status == status)
    return _page(session, query, (col(Alert.composed_at), col(Alert.id)), after, limit)


def cap_rows(
    session: Session,
    *,
    state: str | None,
    source: str | None,
    refused: bool | None,
    after: tuple[int, str] | None,
    limit: int,
) -> tuple[list[CapAlert], str | None]:
    """Alerts of others by when they came."""
    key = (col(CapAlert.received_at), col(CapAlert.id))
    query: Any = select(CapAlert)
    if state is not None:
        query = query.where(CapAlert.state == state)
    if source is not None:
        query = query.where(CapAlert.source == source)
    if refused is not None:
        query = query.where(col(CapAlert.is_refused) == refused)
    if after is not None:
        query = query.where(tuple_(*key) < after)
    rows: list[CapAlert] = list(session.exec(query.order_by(*(part.desc() for part in key)).limit(limit + 1)))
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], to_cursor(rows[limit - 1].received_at, rows[limit - 1].id)


def receipt_rows(
    session: Session,
    ctx: Context,
    *,
    node: str | None,
    broadcast: str | None,
    after: tuple[int, str, str, int] | None,
    limit: int,
) -> tuple[list[ReceiptRow], str | None]:
    """Receipts by when they came in."""
    key = (col(ReceiptRow.received_at), col(ReceiptRow.node), col(ReceiptRow.epoch), col(ReceiptRow.number))
    query: Any = select(ReceiptRow).where(sight.receipts_seen(ctx))
    if node is not None:
        query = query.where(ReceiptRow.node == node)
    if broadcast is not None:
        query = query.where(ReceiptRow.subject == broadcast)
    if after is not None:
        query = query.where(tuple_(*key) < after)
    rows: list[ReceiptRow] = list(session.exec(query.order_by(*(part.desc() for part in key)).limit(limit + 1)))
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], to_cursor(last.received_at, last.node, last.epoch, last.number)


def _page(session: Session, query: Any, key: tuple[Any, Any], after: tuple[int, str] | None, limit: int) -> Ids:
    if after is not None:
        query = query.where(tuple_(*key) < after)
    rows = session.exec(query.order_by(key[0].desc(), key[1].desc()).limit(limit + 1)).all()
    ids = [row[1] for row in rows[:limit]]
    return ids, to_cursor(rows[limit - 1][0], rows[limit - 1][1]) if len(rows) > limit else None
