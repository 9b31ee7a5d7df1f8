"""Where an alert is heard in which languages: a recording for one village does not keep a province from its words."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlmodel import Session, col, select

from audio.voices import primary
from controller.services.areas import lies_in
from controller.services.context import Context, Outgoing
from controller.services.orders import Targets, give_order
from controller.tables import Area, Node
from devices.protocol.orders import Order
from loa.names import AreaPath
from loa.units import NodeId

MOST_ORDERS = 32
"""In more pieces than this an alert is not cut: then everybody hears all of it."""
Kept = frozenset[str]


@dataclass(frozen=True)
class Piece:
    """Whom one order is for: areas as wholes, and the nodes that are placed at `own` themselves, not inside it."""

    areas: tuple[AreaPath, ...]
    own: tuple[AreaPath, ...]


def spoken_at(path: AreaPath, said: Mapping[AreaPath, Sequence[str]]) -> Sequence[str]:
    """A place without an answer speaks as what holds it."""
    return next((said[one] for one in reversed(path.with_ancestors()) if said.get(one)), ())


def pieces(
    targets: Iterable[AreaPath], said: Mapping[AreaPath, Sequence[str]], some: Collection[str]
) -> dict[Kept, Piece]:
    """Cut a target by which of `some` languages (primary tags) are spoken where, as little as that takes.

    said: the languages of every area in and above the target.
    """
    inside: dict[AreaPath, list[AreaPath]] = {}
    for path in sorted(said):
        if path.parent is not None:
            inside.setdefault(path.parent, []).append(path)
    wholes: dict[Kept, list[AreaPath]] = {}
    owns: dict[Kept, list[AreaPath]] = {}

    def all_in(path: AreaPath) -> Iterable[Kept]:
        yield kept_at(path, said, some)
        for child in inside.get(path, ()):
            yield from all_in(child)

    def cut(path: AreaPath) -> None:
        kept = kept_at(path, said, some)
        if all(one == kept for one in all_in(path)):
            wholes.setdefault(kept, []).append(path)
            return
        owns.setdefault(kept, []).append(path)
        for child in inside.get(path, ()):
            cut(child)

    for target in targets:
        cut(target)
    return {kept: Piece(tuple(wholes.get(kept, ())), tuple(owns.get(kept, ()))) for kept in {**wholes, **owns}}


def kept_at(path: AreaPath, said: Mapping[AreaPath, Sequence[str]], some: Collection[str]) -> Kept:
    """Those of `some` languages (primary tags) that are spoken at a place."""
    return frozenset(primary(one) for one in spoken_at(path, said)).intersection(some)


def give_where_spoken(
    session: Session, ctx: Context, order: Order, targets: Targets, some: Collection[str]
) -> Outgoing:
    """Give an order, leaving out those of `some` languages where nobody speaks them."""
    some = frozenset(primary(one) for one in some)
    tongues = {ref.language: primary(ref.language) for ref in order.renditions}
    if not some & set(tongues.values()) or some.issuperset(tongues.values()):
        return give_order(session, ctx, order, targets)
    parts = _parts(session, targets, some)
    if len(parts) > MOST_ORDERS:
        return give_order(session, ctx, order, targets)
    outgoing = Outgoing()
    rest = frozenset(tongues.values()) - some
    for kept, part in parts.items():
        if part.anybody(session):
            refs = tuple(ref for ref in order.renditions if tongues[ref.language] in kept | rest)
            outgoing += give_order(session, ctx, replace(order, renditions=refs), part)
    return outgoing


def _parts(session: Session, targets: Targets, some: Collection[str]) -> dict[Kept, Targets]:
    homes = dict(session.exec(select(Node.id, Node.area).where(col(Node.id).in_(targets.nodes))).all())
    around = {str(one) for place in (*targets.areas, *map(AreaPath, homes.values())) for one in place.with_ancestors()}
    rows = [
        *session.exec(select(Area.path, Area.languages).where(lies_in(Area.path, targets.areas))),
        *session.exec(select(Area.path, Area.languages).where(col(Area.path).in_(around))),
    ]
    said = {AreaPath(path): tuple(languages) for path, languages in rows}
    found: dict[Kept, tuple[tuple[AreaPath, ...], list[NodeId]]] = {}
    for kept, piece in pieces(targets.areas, said, some).items():
        own = session.exec(
            select(Node.id).where(col(Node.area).in_(piece.own), col(Node.retired_at).is_(None)).order_by(Node.id)
        ).all()
        found[kept] = (piece.areas, [NodeId(one) for one in own])
    for name, home in sorted(homes.items()):
        found.setdefault(kept_at(AreaPath(home), said, some), ((), []))[1].append(NodeId(name))
    return {kept: Targets(areas, tuple(nodes)) for kept, (areas, nodes) in found.items()}
