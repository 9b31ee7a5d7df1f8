"""Nodes and stations, and what is known of each node's state."""

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class Station(SQLModel, table=True):
    """A commune's own box with a serial bus."""

    id: str = Field(primary_key=True, max_length=32)
    area: str = Field(foreign_key="area.path", index=True)
    description: str = ""
    created_at: int = Field(sa_type=BigInteger)


class Node(SQLModel, table=True):
    """One addressable loudspeaker set."""

    id: str = Field(primary_key=True, max_length=32)
    area: str = Field(foreign_key="area.path", index=True)
    public_key: bytes
    description: str = ""
    station: str | None = Field(default=None, foreign_key="station.id")
    bus_address: int = 0
    placement_version: int = Field(sa_type=BigInteger)
    placement: bytes
    """The signed placement that says so."""
    volume: int = 100
    retired_at: int | None = Field(default=None, sa_type=BigInteger)
    created_at: int = Field(sa_type=BigInteger)


class NodeState(SQLModel, table=True):
    """What a node last said of itself; written in groups, never on the path of an order."""

    __tablename__ = "node_state"

    node: str = Field(primary_key=True, foreign_key="node.id")
    session: int = Field(default=0, sa_type=BigInteger)
    online_hint: bool = False
    last_heard_at: int | None = Field(default=None, sa_type=BigInteger)
    """Instant of the last signed message."""
    health: bytes | None = None
    """The last Health, as its CBOR map (devices.protocol.envelope.decode reads it)."""
    health_at: int | None = Field(default=None, sa_type=BigInteger)
    link_rate: int | None = Field(default=None, sa_type=BigInteger)
    """As last reported, bytes a second."""
    epoch: bytes | None = None
    """Journal epoch last seen."""
    held_number: int = Field(default=0, sa_type=BigInteger)
    """Every receipt of that epoch up to this number is held."""
