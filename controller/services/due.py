"""What has to be done by itself, and when the next of it is due. Doing it twice, or late, changes nothing."""

from dataclasses import dataclass

from sqlalchemy import delete, update
from sqlmodel import Session, col, select

from controller.services.broadcasts import expect_nodes, targets_of
from controller.services.context import Context, Outgoing
from controller.services.planning import plan_due, plan_week
from controller.services.trust import trust_renewal_due
from controller.tables import Broadcast, OwedOrder
from loa.units import InstantMs

KEPT_AFTER_EXPIRY_MS = 86_400_000
_OPEN = ("planned", "issued")


@dataclass(frozen=True)
class Done:
    """What was done, and when something is due again."""

    outgoing: Outgoing
    started: tuple[str, ...]
    """Broadcasts that are on the air by their ordered time; whether they sound, receipts say."""
    ended: tuple[str, ...]
    next_at: InstantMs | None


def do_due(session: Session, ctx: Context, since: InstantMs) -> Done:
    """Roll the plan on, end what is over. `since`: when this was done last; starts in between are told."""
    outgoing = Outgoing()
    if plan_due(session, ctx) <= ctx.now:
        outgoing += plan_week(session, ctx)
    began, ended = open_broadcasts(session, ctx), close_broadcasts(session, ctx)
    started = session.exec(
        select(Broadcast.id).where(
            Broadcast.status == "issued", col(Broadcast.start_at) > since, col(Broadcast.start_at) <= ctx.now
        )
    ).all()
    return Done(outgoing, tuple(dict.fromkeys((*began, *started))), ended, next_due(session, ctx))


def next_due(session: Session, ctx: Context) -> InstantMs | None:
    """The next instant at which `do_due` has something to do."""
    is_open = col(Broadcast.status).in_(_OPEN)
    start = session.exec(
        select(Broadcast.start_at)
        .where(is_open, col(Broadcast.start_at) > ctx.now)
        .order_by(col(Broadcast.start_at))
        .limit(1)
    ).first()
    end = session.exec(
        select(Broadcast.expires_at)
        .where(is_open, col(Broadcast.expires_at) > ctx.now)
        .order_by(col(Broadcast.expires_at))
        .limit(1)
    ).first()
    instants = [start, end, plan_due(session, ctx), trust_renewal_due(session, ctx)]
    return min((InstantMs(instant) for instant in instants if instant is not None), default=None)


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
