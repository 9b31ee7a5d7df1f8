"""What is due: broadcasts that begin and end, the plan's horizon, repeats of orders, streams."""

from dataclasses import dataclass

from sqlalchemy import delete, update
from sqlmodel import Session, col, select

from controller.services.broadcasts import expect_nodes, targets_of
from controller.services.context import Context, Outgoing
from controller.services.owed import OwedSend, due_orders, next_owed_at
from controller.services.planning import plan_due, plan_week
from controller.services.streams import DueStream, due_streams, next_stream_at
from controller.tables import Broadcast, OwedOrder
from loa.units import InstantMs

KEPT_AFTER_EXPIRY_MS = 86_400_000


@dataclass(frozen=True)
class Due:
    """What has come due: published after the commit. `streams` are those that should be going out now."""

    outgoing: Outgoing
    orders: tuple[OwedSend, ...]
    streams: tuple[DueStream, ...]
    began: tuple[str, ...]
    ended: tuple[str, ...]
    """Ids of broadcasts."""


def work_due(session: Session, ctx: Context) -> Due:
    """Do everything whose instant has come. Doing it twice, or late, or again after a stop, gives the same."""
    began, ended = open_broadcasts(session, ctx), close_broadcasts(session, ctx)
    outgoing = plan_week(session, ctx) if plan_due(session, ctx) <= ctx.now else Outgoing()
    return Due(outgoing, due_orders(session, ctx.now), due_streams(session, ctx.now), began, ended)


def next_due(session: Session, ctx: Context) -> InstantMs | None:
    """The next instant at which there is something for `work_due` (now where it is overdue)."""
    now = ctx.now
    start = select(Broadcast.start_at).where(Broadcast.status == "planned").order_by(col(Broadcast.start_at)).limit(1)
    end = select(Broadcast.expires_at).where(Broadcast.status == "issued").order_by(col(Broadcast.expires_at)).limit(1)
    instants = [
        session.exec(start).first(),
        session.exec(end).first(),
        plan_due(session, ctx),
        next_owed_at(session, now),
        next_stream_at(session, now),
    ]
    known = [one for one in instants if one is not None]
    return InstantMs(max(now, min(known))) if known else None


def open_broadcasts(session: Session, ctx: Context) -> tuple[str, ...]:
    """Scheduled broadcasts whose start has come: from now on they are issued, and their nodes expected."""
    query = select(Broadcast).where(Broadcast.status == "planned", Broadcast.start_at <= ctx.now)
    rows = session.exec(query.order_by(col(Broadcast.start_at))).all()
    for row in rows:
        row.status = "issued"
        session.add(row)
        expect_nodes(session, row.id, targets_of(row))
    session.flush()
    return tuple(row.id for row in rows)


def close_broadcasts(session: Session, ctx: Context) -> tuple[str, ...]:
    """Broadcasts whose end and grace are past. Their coverage may still grow, as late receipts come in.

    Orders that expired a day ago are forgotten with them, so that looking for what is owed stays quick.
    """
    session.execute(delete(OwedOrder).where(col(OwedOrder.expires_at) < ctx.now - KEPT_AFTER_EXPIRY_MS))
    over = (col(Broadcast.status) == "issued", col(Broadcast.expires_at) <= ctx.now)
    ids = tuple(session.exec(select(Broadcast.id).where(*over)))
    if ids:
        session.execute(update(Broadcast).where(*over).values(status="ended"))
    return ids
