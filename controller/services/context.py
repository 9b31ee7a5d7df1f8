"""What a service is given besides its session, and what it gives back for the wire."""

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar

from sqlmodel import Session

from controller.media import MediaStore
from controller.permissions import Authority, Permission, all_of
from controller.services.chain import append
from devices.protocol.keys import SigningKey
from devices.protocol.topics import AreaChannel
from loa.clock import Clock
from loa.entropy import Entropy
from loa.errors import Refused
from loa.names import AreaPath
from loa.precedence import Precedence
from loa.units import InstantMs, NodeId

T = TypeVar("T")
LOCAL = "local"
CONTROLLER = "loa"
"""The account under which the controller acts by itself."""
ORIGIN: ContextVar[str] = ContextVar("loa_origin", default=LOCAL)
"""From where the present request came; whoever lets requests in sets it."""


@dataclass(frozen=True)
class Context:
    """Who acts, when, under which key. `account` is a person's name, or ``loa`` for the controller itself."""

    clock: Clock
    entropy: Entropy
    keys: SigningKey
    """The controller's own key: orders, documents, placements."""
    province: AreaPath
    account: str
    media: MediaStore
    origin: str = ""
    """From where: an address, ``local`` for this machine."""
    key_id: bytes = b""
    """Of the key under which it is done, or of several, 8 bytes each; the controller's own where empty."""
    authority: Authority | None = None
    """What the person may do; None for the controller itself and for scripts at its own machine: everything."""

    @property
    def may(self) -> Authority:
        """What whoever acts may do."""
        return all_of(self.province) if self.authority is None else self.authority

    def demand(self, permission: Permission, *areas: str) -> None:
        """Raises Refused(not_permitted) where whoever acts does not have it at each of these areas."""
        if not self.may.may(permission, *areas):
            raise Refused("not_permitted", field="permission", value=str(permission))

    @property
    def now(self) -> InstantMs:
        return self.clock.now_ms()


@dataclass(frozen=True)
class OutOrder:
    """A signed order to be published: on each area's order topic, or on each node's own."""

    payload: bytes
    areas: tuple[AreaPath, ...]
    nodes: tuple[NodeId, ...]
    precedence: Precedence
    id: str = ""
    """Of the order, hex."""


@dataclass(frozen=True)
class OutDocument:
    """A signed state document to be published, retained, on an area's topic."""

    area: AreaPath
    channel: AreaChannel
    payload: bytes


@dataclass(frozen=True)
class OutControl:
    """A signed message for one node's ctl topic: a placement, an acknowledgement."""

    node: NodeId
    payload: bytes


@dataclass(frozen=True)
class Outgoing:
    """What goes out on the wire once the unit of work is committed; until then nothing may."""

    orders: tuple[OutOrder, ...] = ()
    documents: tuple[OutDocument, ...] = ()
    controls: tuple[OutControl, ...] = ()

    def __add__(self, other: "Outgoing") -> "Outgoing":
        return Outgoing(self.orders + other.orders, self.documents + other.documents, self.controls + other.controls)

    def __bool__(self) -> bool:
        return bool(self.orders or self.documents or self.controls)


@dataclass(frozen=True)
class Changed(Generic[T]):
    """The value after a change, and what the change puts on the wire."""

    value: T
    outgoing: Outgoing = Outgoing()


def note_deed(session: Session, ctx: Context, verb: str, object_kind: str, object_id: str, *, detail: str = "") -> None:
    """Write into the record who did what, from where, under which key: one insert, in the same unit of work."""
    append(
        session, at=ctx.now, account=ctx.account, verb=verb, object_kind=object_kind, object_id=object_id,
        detail=detail, origin=ctx.origin, key=ctx.key_id or ctx.keys.key_id,
    )  # fmt: skip


def widest(areas: Iterable[str]) -> tuple[AreaPath, ...]:
    """Areas without those that lie within another of them, sorted."""
    return _widest(frozenset(areas))


@lru_cache(maxsize=4096)
def _widest(areas: frozenset[str]) -> tuple[AreaPath, ...]:
    kept: list[AreaPath] = []
    for path in sorted(AreaPath(area) for area in areas):
        if not any(other.covers(path) for other in kept):
            kept.append(path)
    return tuple(kept)
