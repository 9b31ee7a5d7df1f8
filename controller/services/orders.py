"""Making orders: signed, grouped by target, and owed to every node until it confirms."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, insert, literal, or_, update
from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

from controller.services.areas import area_named, lies_in
from controller.services.context import Context, Outgoing, OutOrder, widest
from controller.tables import Node, OwedOrder
from devices.protocol.common import MAX_ORDER_NODES
from devices.protocol.envelope import seal
from devices.protocol.orders import Order
from loa.errors import Refused
from loa.names import AreaPath, node_id
from loa.units import InstantMs, NodeId

MOST_AREAS = 64
FIRST_REPEAT_MS = 2000
"""An order goes out at once after its commit; if nothing is heard, again after this."""


@dataclass(frozen=True)
class Targets:
    """Whom an order is for: areas, and nodes outside them.

    Which nodes that means now is left to the tables (`are_meant`): ten thousand names on their way through here and
    back would hold an order up.
    """

    areas: tuple[AreaPath, ...]
    nodes: tuple[NodeId, ...]

    def are_meant(self) -> ColumnElement[bool]:
        """SQL: a row of Node is meant, retired ones left out."""
        return and_(or_(lies_in(Node.area, self.areas), col(Node.id).in_(self.nodes)), col(Node.retired_at).is_(None))

    def anybody(self, session: Session) -> bool:
        """Whether this means any node at all."""
        return session.exec(select(Node.id).where(self.are_meant()).limit(1)).first() is not None


class Placed(NamedTuple):
    """A node and its area. Two columns alone: thousands of whole rows would hold an order up."""

    id: str
    area: str


def nodes_in(session: Session, areas: Iterable[str]) -> tuple[Placed, ...]:
    """Nodes placed in any of the areas, retired ones left out."""
    paths = list(areas)
    if not paths:
        return ()
    query = select(Node.id, Node.area).where(lies_in(Node.area, paths), col(Node.retired_at).is_(None))
    return tuple(Placed(*row) for row in session.exec(query.order_by(col(Node.id))))


def find_targets(session: Session, areas: Iterable[str], nodes: Iterable[str]) -> Targets:
    """Check and normalise a target. Raises Refused(empty_target, not_found)."""
    places = widest(area_named(session, path, field="target_areas") for path in areas)
    named: dict[NodeId, Node] = {}
    for name in nodes:
        row = session.get(Node, node_id(name))
        if row is None or row.retired_at is not None:
            raise Refused("not_found", field="target_nodes", value=name)
        if not any(place.covers(row.area) for place in places):
            named[NodeId(row.id)] = row
    targets = Targets(places, tuple(sorted(named)))
    if not targets.anybody(session):
        raise Refused("empty_target", field="target_areas")
    return targets


def give_order(session: Session, ctx: Context, template: Order, targets: Targets) -> Outgoing:
    """Sign the order for each group of its target and owe it to every node meant.

    `template` has any valid target; it is replaced.
    """
    groups: list[Order] = []
    for at in range(0, len(targets.areas), MOST_AREAS):
        groups.append(replace(template, areas=targets.areas[at : at + MOST_AREAS], nodes=()))
    for at in range(0, len(targets.nodes), MAX_ORDER_NODES):
        groups.append(replace(template, areas=(), nodes=targets.nodes[at : at + MAX_ORDER_NODES]))
    out: list[OutOrder] = []
    for order in groups:
        payload = seal(order, ctx.keys)
        owe(session, order, payload)
        out.append(OutOrder(payload, order.areas, order.nodes, order.precedence, order.id.hex()))
    return Outgoing(orders=tuple(out))


def owe(session: Session, order: Order, payload: bytes) -> None:
    """A row for every node meant, made by the database itself."""
    values: dict[str, Any] = {
        "order": order.id.hex(),
        "payload": payload,
        "action": int(order.action),
        "precedence": int(order.precedence),
        "subject": order.subject.hex() if order.subject else None,
        "start_at": order.start_at,
        "expires_at": order.expires_at,
        "issued_at": order.issued_at,
        "attempts": 0,
        "next_at": order.issued_at + FIRST_REPEAT_MS,
    }
    types = {column.name: column.type for column in OwedOrder.__table__.columns}  # type: ignore[attr-defined]
    same = [literal(value, types[name]) for name, value in values.items()]
    meant = Targets(order.areas, order.nodes).are_meant()
    rows = sa_select(col(Node.id), *same).where(meant)
    session.connection().execute(insert(OwedOrder).from_select(["node", *values], rows))


def owe_longer(session: Session, order: str, until: InstantMs) -> None:
    """Nodes that have not confirmed an order are told it until then, past its expiry: it ends what lasts longer."""
    late = update(OwedOrder).where(col(OwedOrder.order) == order, col(OwedOrder.expires_at) < until)
    session.execute(late.values(expires_at=until))
