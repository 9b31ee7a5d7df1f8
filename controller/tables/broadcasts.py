"""Broadcasts, what each node made of them, and the orders that are still owed."""

from typing import Literal

from sqlalchemy import JSON, BigInteger, Column
from sqlmodel import AutoString, Field, SQLModel

BroadcastStatus = Literal["planned", "issued", "recalled", "ended", "withdrawn", "crowded_out"]


class Broadcast(SQLModel, table=True):
    """One airing: what, where, when, at which precedence."""

    id: str = Field(primary_key=True, max_length=32)
    """Hex of the 16-byte id on the wire."""
    programme: str | None = Field(default=None, foreign_key="programme.id", index=True)
    slot: str | None = Field(default=None, index=True)
    """programme id + local instant of the occurrence: planning the same slot twice finds the same broadcast."""
    scheduled: bool
    """Played from the timetable; otherwise by an order."""
    title: str
    area: str = Field(foreign_key="area.path", index=True)
    target_areas: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    target_nodes: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    bulletins: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    renditions: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """Digests in the order in which they are played."""
    precedence: int = 1
    kind: int = 1
    interruption: int = 1
    volume: int | None = None
    start_at: int = Field(index=True, sa_type=BigInteger)
    duration_ms: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)
    status: BroadcastStatus = Field(default="planned", index=True, sa_type=AutoString)
    """withdrawn: its programme changed; crowded_out: no room among others."""
    wanted_at: int | None = Field(default=None, sa_type=BigInteger)
    """What its programme asked for, where it was moved so as not to overlap another of its precedence."""
    repeats: int = 1
    note: str = ""
    """Why it was moved or has no place, with the broadcast in its way."""
    replaces: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    created_by: str
    created_at: int = Field(sa_type=BigInteger)
    recalled_by: str | None = None
    recalled_at: int | None = Field(default=None, sa_type=BigInteger)


class BroadcastNode(SQLModel, table=True):
    """Coverage: what one node of a broadcast's target has receipts for. Written from receipts alone."""

    __tablename__ = "broadcast_node"

    broadcast: str = Field(primary_key=True, foreign_key="broadcast.id")
    node: str = Field(primary_key=True, foreign_key="node.id")
    reached_at: int | None = Field(default=None, sa_type=BigInteger)
    ready_at: int | None = Field(default=None, sa_type=BigInteger)
    started_at: int | None = Field(default=None, sa_type=BigInteger)
    finished_at: int | None = Field(default=None, sa_type=BigInteger)
    sounded_at: int | None = Field(default=None, sa_type=BigInteger)
    late_ms: int | None = Field(default=None, sa_type=BigInteger)
    outcome: str = "waiting"
    """waiting, reached, ready, not_ready, started, finished, sounded, stopped, skipped, refused, unconfirmed."""
    cause: int = 0


class OwedOrder(SQLModel, table=True):
    """A signed order that one node has not confirmed yet; sent again until it does, or until it expires."""

    __tablename__ = "owed_order"

    order: str = Field(primary_key=True, max_length=32)
    node: str = Field(primary_key=True, foreign_key="node.id")
    payload: bytes
    action: int
    precedence: int
    subject: str | None = Field(default=None, index=True)
    start_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(index=True, sa_type=BigInteger)
    issued_at: int = Field(sa_type=BigInteger)
    attempts: int = 0
    sent_at: int | None = Field(default=None, sa_type=BigInteger)
    """When it was last sent on the node's own topic."""
    next_at: int = Field(index=True, sa_type=BigInteger)
    confirmed_at: int | None = Field(default=None, index=True, sa_type=BigInteger)
