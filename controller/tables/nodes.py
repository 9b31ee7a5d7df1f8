"""Nodes and stations, and what is known of each node's state."""

from sqlmodel import Field, SQLModel


class Station(SQLModel, table=True):
    """A commune's own box with a serial bus."""

    id: str = Field(primary_key=True, max_length=32)
    area: str = Field(foreign_key="area.path", index=True)
    description: str = ""
    created_at: int


class Node(SQLModel, table=True):
    """One addressable loudspeaker set."""

    id: str = Field(primary_key=True, max_length=32)
    area: str = Field(foreign_key="area.path", index=True)
    public_key: bytes
    description: str = ""
    station: str | None = Field(default=None, foreign_key="station.id")
    bus_address: int = 0
    placement_version: int
    placement: bytes
    """The signed placement that says so."""
    volume: int = 100
    retired_at: int | None = None
    created_at: int


class NodeState(SQLModel, table=True):
    """What a node last said of itself; written in groups, never on the path of an order."""

    __tablename__ = "node_state"

    node: str = Field(primary_key=True, foreign_key="node.id")
    session: int = 0
    online_hint: bool = False
    last_heard_at: int | None = None
    """Instant of the last signed message."""
    health: bytes | None = None
    """The last Health, as its CBOR map (devices.protocol.envelope.decode reads it)."""
    health_at: int | None = None
    epoch: bytes | None = None
    """Journal epoch last seen."""
    held_number: int = 0
    """Every receipt of that epoch up to this number is held."""
