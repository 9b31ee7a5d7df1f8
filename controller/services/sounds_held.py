"""On how many nodes a stored sound lies, by what they said of themselves last."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sqlmodel import Session

from controller.services.context import Context
from controller.services.nodes import list_nodes
from controller.services.settings import SettingsInForce
from loa.names import AreaPath
from loa.units import Digest


@dataclass(frozen=True)
class Held:
    """Of the nodes that are to keep a sound, how many said in their last health report that they do."""

    nodes: int
    held: int


def held_at(session: Session, ctx: Context, area: str) -> Mapping[Digest, Held]:
    """By sound, of an area's nodes. A place inside that has another sound under a code is not counted for this one.

    A node names 64 sounds at most, those that it keeps for ever first.
    """
    settings, wanted_at = SettingsInForce(session), dict[AreaPath, frozenset[Digest]]()
    nodes, held = Counter[Digest](), Counter[Digest]()
    for one in list_nodes(session, ctx, within=area):
        if one.area not in wanted_at:
            wanted_at[one.area] = frozenset(siren.rendition.digest for siren in settings.at(one.area).sirens)
        wanted = wanted_at[one.area]
        nodes.update(wanted)
        if one.health is not None:
            held.update(wanted.intersection(one.health.renditions))
    return {digest: Held(count, held[digest]) for digest, count in nodes.items()}
