"""By which routes an emergency went out, as the tables keep it."""

from collections.abc import Collection, Mapping
from typing import Protocol

from sqlmodel import Session, col, select

from controller.tables import Node, OrderRoute
from loa.units import InstantMs


class Went(Protocol):
    """How often, and when first and last."""

    @property
    def first_at(self) -> InstantMs: ...
    @property
    def last_at(self) -> InstantMs: ...
    @property
    def times(self) -> int: ...


def note_routes(session: Session, went: Mapping[tuple[str, str], Went]) -> None:
    """Add to what is kept of (order, area)."""
    for (order, area), one in sorted(went.items()):
        row = session.get(OrderRoute, (order, area))
        if row is None:
            session.add(OrderRoute(order=order, area=area, first_at=one.first_at, last_at=one.last_at, times=one.times))
            continue
        row.first_at, row.last_at = min(row.first_at, one.first_at), max(row.last_at, one.last_at)
        row.times += one.times
        session.add(row)


def routes_of(session: Session, order: str) -> tuple[OrderRoute, ...]:
    """The areas on whose topics an order was said; for reading only."""
    return tuple(session.exec(select(OrderRoute).where(OrderRoute.order == order).order_by(col(OrderRoute.area))))


def homes_of(session: Session, nodes: Collection[str]) -> dict[str, str]:
    """Where these nodes are placed."""
    return dict(session.exec(select(Node.id, Node.area).where(col(Node.id).in_(sorted(nodes)))).all())
