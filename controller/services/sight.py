"""What somebody sees, and what they may change of it. What they do not see is not found, in lists it is absent.

Where the permission itself is missing the route has refused already; here it is about where. An object of a wider area
that concerns theirs is seen and not changed: Refused(not_permitted) then, Refused(not_found) for another commune's.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, String, and_, cast, false, or_, true
from sqlalchemy import select as sa_select
from sqlmodel import Session, col

from controller.permissions import Permission
from controller.services.areas import lies_in, place_for
from controller.services.context import Context
from controller.services.orders import Targets, find_targets
from controller.tables import Alert, Broadcast, Bulletin, Node, Programme, ReceiptRow, Station
from loa.errors import Refused
from loa.names import AreaPath, node_id

P = Permission


def bulletins_seen(ctx: Context) -> ColumnElement[bool]:
    """SQL: their own, and what a wider area has approved."""
    reach = ctx.may.reach(P.BULLETIN_READ)
    if ctx.province in reach:
        return true()
    wider = and_(col(Bulletin.area).in_(_above(reach)), col(Bulletin.status) == "approved")
    return or_(lies_in(Bulletin.area, reach), wider)


def programmes_seen(ctx: Context) -> ColumnElement[bool]:
    """SQL: their own, and a wider area's that are heard in theirs."""
    reach = ctx.may.reach(P.PROGRAMME_READ)
    if ctx.province in reach:
        return true()
    whole = and_(_is_empty(Programme.target_areas), _is_empty(Programme.target_nodes))
    heard = or_(whole, _aimed_at(Programme.target_areas, Programme.target_nodes, reach))
    return or_(lies_in(Programme.area, reach), and_(col(Programme.area).in_(_above(reach)), heard))


def broadcasts_seen(ctx: Context) -> ColumnElement[bool]:
    """SQL: their own, and those that are heard in their areas."""
    reach = ctx.may.reach(P.BROADCAST_READ)
    if ctx.province in reach:
        return true()
    return or_(lies_in(Broadcast.area, reach), _aimed_at(Broadcast.target_areas, Broadcast.target_nodes, reach))


def alerts_seen(ctx: Context) -> ColumnElement[bool]:
    """SQL: their own, and what was released and is heard in their areas; what a wider area composes is its own."""
    reach = ctx.may.reach(P.ALERT_READ)
    if ctx.province in reach:
        return true()
    released = col(Alert.released_at).is_not(None)
    heard = _aimed_at(Alert.target_areas, Alert.target_nodes, reach)
    return or_(lies_in(Alert.area, reach), and_(released, heard))


def nodes_seen(ctx: Context, permission: Permission = P.NODE_READ) -> ColumnElement[bool]:
    """SQL: nodes in their areas."""
    reach = ctx.may.reach(permission)
    return true() if ctx.province in reach else lies_in(Node.area, reach)


def stations_seen(ctx: Context) -> ColumnElement[bool]:
    """SQL: stations in their areas."""
    return lies_in(Station.area, ctx.may.reach(P.NODE_READ))


def receipts_seen(ctx: Context) -> ColumnElement[bool]:
    """SQL: what nodes in their areas signed."""
    return col(ReceiptRow.node).in_(sa_select(col(Node.id)).where(nodes_seen(ctx, P.RECEIPT_READ)))


def bulletin_row(
    session: Session, ctx: Context, name: str, permission: Permission = P.BULLETIN_READ, *, field: str = "bulletin"
) -> Bulletin:
    """Raises Refused(not_found, not_permitted)."""
    row = session.get(Bulletin, name)
    may = ctx.may
    around = [row.area] if row is not None and row.status == "approved" else []
    if row is None or not may.sees(P.BULLETIN_READ, inside=[row.area], around=around):
        raise Refused("not_found", field=field, value=name[:64])
    if permission is not P.BULLETIN_READ:
        ctx.demand(permission, row.area)
    return row


def programme_row(session: Session, ctx: Context, name: str, permission: Permission = P.PROGRAMME_READ) -> Programme:
    """Raises Refused(not_found, not_permitted)."""
    query = sa_select(Programme).where(col(Programme.id) == name, programmes_seen(ctx))
    row: Programme | None = session.execute(query).scalars().first()
    if row is None:
        raise Refused("not_found", field="programme", value=name[:64])
    if permission is not P.PROGRAMME_READ:
        ctx.demand(permission, row.area)
    return row


def broadcast_row(session: Session, ctx: Context, name: str, permission: Permission = P.BROADCAST_READ) -> Broadcast:
    """Raises Refused(not_found, not_permitted)."""
    query = sa_select(Broadcast).where(col(Broadcast.id) == name, broadcasts_seen(ctx))
    row: Broadcast | None = session.execute(query).scalars().first()
    if row is None:
        raise Refused("not_found", field="broadcast", value=name[:64])
    if permission is not P.BROADCAST_READ:
        ctx.demand(permission, row.area)
    return row


def node_row(
    session: Session, ctx: Context, name: str, permission: Permission = P.NODE_READ, *, field: str = "node"
) -> Node:
    """Raises Refused(bad_node_id, not_found, not_permitted)."""
    row = session.get(Node, node_id(name))
    if row is None or not (ctx.may.sees(P.NODE_READ, inside=[row.area]) or ctx.may.may(permission, row.area)):
        raise Refused("not_found", field=field, value=name)
    ctx.demand(permission, row.area)
    return row


def targets_for(
    session: Session, ctx: Context, permission: Permission, areas: Sequence[str], nodes: Sequence[str]
) -> Targets:
    """A target, all of which whoever acts may do this to. Raises Refused(empty_target, not_found, not_permitted)."""
    for path in areas:
        place_for(session, ctx, path, permission, field="target_areas")
    for name in nodes:
        node_row(session, ctx, name, permission, field="target_nodes")
    return find_targets(session, areas, nodes)


def hears(session: Session, ctx: Context, digest: str) -> bool:
    """Whether a rendition belongs to a bulletin or a broadcast that they see."""
    named = f'%"{digest}"%'
    bulletin = sa_select(col(Bulletin.id)).where(_text(Bulletin.renditions).like(named), bulletins_seen(ctx))
    if session.execute(bulletin.limit(1)).first() is not None:
        return True
    broadcast = sa_select(col(Broadcast.id)).where(_text(Broadcast.renditions).like(named), broadcasts_seen(ctx))
    return session.execute(broadcast.limit(1)).first() is not None


def _above(reach: Sequence[AreaPath]) -> list[str]:
    """The areas that these lie in, without themselves."""
    return sorted({str(wider) for area in reach for wider in area.with_ancestors()[:-1]})


def _aimed_at(areas: list[str], nodes: list[str], reach: Sequence[AreaPath]) -> ColumnElement[bool]:
    """SQL: one of the target areas holds one of `reach` or lies in it, or a target node is placed there.

    The lists are JSON; the codes in them hold no quote, % or _, so that their text can be searched.
    """
    if not reach:
        return false()
    text = _text(areas)
    named = {str(wider) for area in reach for wider in area.with_ancestors()}
    parts = [text.like(f'%"{name}"%') for name in sorted(named)] + [text.like(f'%"{area}/%') for area in reach]
    placed = sa_select(col(Node.id)).where(
        lies_in(Node.area, reach), _text(nodes).like('%"' + cast(col(Node.id), String) + '"%')
    )
    return or_(*parts, and_(~_is_empty(nodes), placed.exists()))


def _text(column: list[str]) -> ColumnElement[str]:
    return cast(col(column), String)


def _is_empty(column: list[str]) -> ColumnElement[bool]:
    return _text(column) == "[]"
