"""Whom an event concerns, so that nobody hears of another commune's things."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlmodel import Session, col, select

from controller.permissions import Authority, Permission
from controller.tables import Alert, Broadcast, Bulletin, Node, Programme

if TYPE_CHECKING:
    from controller.centre import Centre

_REMEMBERED = 2000


@dataclass(frozen=True)
class Concern:
    """Who has `permission` at a place of `inside` or above it, or around a place of `around`; None: everybody."""

    permission: Permission | None = None
    inside: tuple[str, ...] = ()
    around: tuple[str, ...] = ()

    def includes(self, authority: Authority) -> bool:
        """Whether it concerns somebody who may do this."""
        if self.permission is None:
            return True
        return authority.sees(self.permission, inside=self.inside, around=self.around)


EVERYBODY = Concern()


class Concerns:
    """Looks up where things are, and remembers it: where a broadcast is for does not change."""

    def __init__(self, centre: "Centre") -> None:
        self._centre = centre
        self._homes: dict[str, str] = {}
        self._known: OrderedDict[tuple[str, str], Concern] = OrderedDict()

    async def of(self, kind: str, name: str, data: Mapping[str, Any]) -> Concern:
        """Whom an event of this kind about the thing of this name concerns."""
        if kind == "node":
            return Concern(Permission.NODE_READ, inside=(await self._home(name, data),))
        if kind in ("cap", "cap_source"):
            return Concern(Permission.ALERT_READ, inside=(self._centre.province,))
        if kind == "alert":  # once it is released it is no secret
            return await self._centre.reading(lambda db: _of_alert(db, name, self._centre.province))
        if kind == "bulletin":  # a wider area's drafts are its own business
            found = await self._remembered(kind, name)
            own = data.get("status") in ("approved", "withdrawn")
            return found if own else Concern(found.permission, inside=found.around)
        if kind == "broadcast" and not name:  # of the shared stream: whose the sound is, nobody else need know
            return Concern(Permission.BROADCAST_READ, inside=(self._centre.province,))
        if kind == "programme" or (kind in ("broadcast", "coverage", "air", "board") and len(name) == 32):
            return await self._remembered("programme" if kind == "programme" else "broadcast", name)
        return EVERYBODY

    async def _home(self, name: str, data: Mapping[str, Any]) -> str:
        if "area" in data:
            self._homes[name] = str(data["area"])
        elif name not in self._homes:
            # All at once: when a broker comes back, ten thousand of them tell of themselves in a minute.
            self._homes |= await self._centre.reading(lambda db: dict(db.exec(select(Node.id, Node.area)).all()))
        return self._homes.get(name, self._centre.province)

    async def _remembered(self, kind: str, name: str) -> Concern:
        key = (kind, name)
        if key not in self._known or kind == "programme":
            self._known[key] = await self._centre.reading(lambda db: _look_up(db, kind, name, self._centre.province))
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return self._known[key]


def _of_alert(session: Session, name: str, province: str) -> Concern:
    row = session.get(Alert, name)
    if row is None:
        return Concern(Permission.ALERT_READ, inside=(province,))
    if row.released_at is None:
        return Concern(Permission.ALERT_READ, inside=(row.area,))
    return Concern(Permission.ALERT_READ, inside=(row.area,), around=_aimed(session, row))


def _aimed(session: Session, row: Alert | Programme | Broadcast) -> tuple[str, ...]:
    """Where it is heard."""
    homes = session.exec(select(Node.area).where(col(Node.id).in_(row.target_nodes))).all() if row.target_nodes else []
    return (*row.target_areas, *homes)


def _look_up(session: Session, kind: str, name: str, province: str) -> Concern:
    if kind == "bulletin":
        bulletin = session.get(Bulletin, name)
        return Concern(Permission.BULLETIN_READ, around=(province if bulletin is None else bulletin.area,))
    row: Programme | Broadcast | None
    row = session.get(Programme, name) if kind == "programme" else session.get(Broadcast, name)
    permission = Permission.PROGRAMME_READ if kind == "programme" else Permission.BROADCAST_READ
    if row is None:
        return Concern(permission, inside=(province,))
    return Concern(permission, inside=(row.area,), around=_aimed(session, row) or (row.area,))
