"""Names and passwords at the broker, as mosquitto's password file has them. A node's name there is its own."""

import base64
import hashlib
from dataclasses import dataclass
from typing import Protocol

from sqlmodel import Session, col, select

from controller.permissions import Permission
from controller.services.context import Context, note_deed
from controller.tables import BrokerLogin, Node, Station
from devices.protocol.crockford import base32
from loa.clock import Clock
from loa.entropy import Entropy
from loa.errors import Refused
from loa.names import node_id

CENTRE = "loa.centre"
"""The controller's own name there. With a dot, so that no node can have it."""
STATION_PREFIX = "station."
_ITERATIONS = 101
"""mosquitto's own default. Our passwords are 128 random bits: no slow hash is needed, and a storm of nodes gets in."""


class Means(Protocol):
    """What setting a password takes from outside: time and randomness."""

    @property
    def clock(self) -> Clock: ...

    @property
    def entropy(self) -> Entropy: ...


@dataclass(frozen=True)
class Logins:
    """All that the broker has to know: hashes by name, and which nodes speak through which station."""

    hashes: tuple[tuple[str, str], ...]
    wired: tuple[tuple[str, tuple[str, ...]], ...]
    """A station's name at the broker, and its wired nodes."""


def station_login(station: str) -> str:
    """A station's name at the broker."""
    return STATION_PREFIX + station


def password_hash(password: str, salt: bytes) -> str:
    """As mosquitto_passwd writes it: PBKDF2 with SHA-512, ``$7$iterations$salt$hash``; `salt` 12 bytes."""
    hashed = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS, 64)
    parts = (base64.b64encode(part).decode() for part in (salt, hashed))
    return f"$7${_ITERATIONS}${'$'.join(parts)}"


def set_login(session: Session, means: Means, username: str, password: str) -> None:
    """From the broker's next reload on, this is the name's password."""
    row = session.get(BrokerLogin, username)
    hashed, now = password_hash(password, means.entropy(12)), means.clock.now_ms()
    if row is None:
        row = BrokerLogin(username=username, password_hash=hashed, changed_at=now)
    row.password_hash, row.changed_at = hashed, now
    session.add(row)
    session.flush()


def new_password(session: Session, ctx: Context, username: str) -> str:
    """A fresh password for a node or station that is known, told this once.

    username: a node's name, or ``station.`` and a station's. Raises Refused(not_found).
    """
    name = username.removeprefix(STATION_PREFIX)
    row: Station | Node | None
    row = session.get(Station if username.startswith(STATION_PREFIX) else Node, node_id(name))  # type: ignore[assignment]
    if row is None or getattr(row, "retired_at", None) is not None:
        raise Refused("not_found", field="node", value=username[:60])
    if not ctx.may.may(Permission.NODE_ENROL, row.area):
        raise Refused("not_found", field="node", value=username[:60])
    password = base32(ctx.entropy(16))
    set_login(session, ctx, username, password)
    note_deed(session, ctx, "password", "broker_login", username)
    return password


def logins(session: Session) -> Logins:
    """Everything for the broker's files, by name."""
    hashes = tuple((row.username, row.password_hash) for row in session.exec(select(BrokerLogin).order_by("username")))
    wired: dict[str, list[str]] = {}
    query = select(Node.station, Node.id).where(col(Node.station).is_not(None), col(Node.retired_at).is_(None))
    for station, node in session.exec(query.order_by(col(Node.id))):
        wired.setdefault(station_login(str(station)), []).append(node)
    return Logins(hashes, tuple((name, tuple(nodes)) for name, nodes in sorted(wired.items())))
