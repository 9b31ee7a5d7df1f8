"""What has to be done by itself, and when the next of it is due. Doing it twice, or late, changes nothing."""

from dataclasses import dataclass

from sqlmodel import Session, col, select

from controller.services import planning, trust
from controller.services.context import Context, Outgoing
from controller.services.due import close_broadcasts, open_broadcasts
from controller.tables import Broadcast
from loa.units import InstantMs

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
    if planning.plan_due(session, ctx) <= ctx.now:
        outgoing += planning.plan_week(session, ctx)
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
    instants = [start, end, planning.plan_due(session, ctx), trust.trust_renewal_due(session, ctx)]
    return min((InstantMs(instant) for instant in instants if instant is not None), default=None)
