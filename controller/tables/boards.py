"""Alerts' boards: by which routes an order went out, when a board was closed; who is told as time goes by."""

from typing import Any

from sqlalchemy import JSON, BigInteger, Column
from sqlmodel import Field, SQLModel


class OrderRoute(SQLModel, table=True):
    """An emergency's order as it was handed to the broker for all of an area; one row a route."""

    __tablename__ = "order_route"

    order: str = Field(primary_key=True, max_length=32)
    area: str = Field(primary_key=True, max_length=98)
    """On whose order topic; `@name` is a node's own."""
    first_at: int = Field(sa_type=BigInteger)
    last_at: int = Field(sa_type=BigInteger)
    times: int = 1


class AlertBoard(SQLModel, table=True):
    """A board that was closed. While there is no row, it is open."""

    __tablename__ = "alert_board"

    alert: str = Field(primary_key=True, foreign_key="alert.id", max_length=32)
    closed_at: int = Field(sa_type=BigInteger)
    closed_by: str
    """A person, or the controller by itself."""
    totals: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    """Counts at that moment."""
    ends: dict[str, list[Any]] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    """Node → its end, the reason and since when, as they were known then."""


class NoticeAddress(SQLModel, table=True):
    """Where somebody is told: an e-mail address with its server, or a webhook. The address itself is sealed."""

    __tablename__ = "notice_address"

    id: str = Field(primary_key=True, max_length=16)
    name: str
    shown: str
    """What may be shown of it."""
    sealed: bytes
    created_by: str
    created_at: int = Field(sa_type=BigInteger)
    removed_at: int | None = Field(default=None, sa_type=BigInteger)


class EscalationStep(SQLModel, table=True):
    """After so long, if so few were reached, these are told. The province's list is replaced as a whole."""

    __tablename__ = "escalation_step"

    id: str = Field(primary_key=True, max_length=16)
    place: int
    """In the list."""
    after_s: int
    below_percent: int | None = None
    """Told where fewer of the nodes were reached than this."""
    village_unreached: bool = False
    """Told where nobody was reached in some village."""
    drills: bool = False
    """For drills too."""
    addresses: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))


class AlertEscalation(SQLModel, table=True):
    """That a step came due for an alert, and was told or not needed: once, whatever is restarted."""

    __tablename__ = "alert_escalation"

    alert: str = Field(primary_key=True, foreign_key="alert.id", max_length=32)
    step: str = Field(primary_key=True, max_length=16)
    at: int = Field(sa_type=BigInteger)
    told: bool
    reached: int
    nodes: int
    villages_unreached: int


class Notice(SQLModel, table=True):
    """What somebody is to be told, kept until it is delivered or given up."""

    id: str = Field(primary_key=True, max_length=32)
    alert: str | None = Field(default=None, foreign_key="alert.id", index=True, max_length=32)
    """None: a test."""
    address: str = Field(foreign_key="notice_address.id", max_length=16)
    title: str
    body: str
    created_at: int = Field(sa_type=BigInteger)
    attempts: int = 0
    next_at: int | None = Field(default=None, index=True, sa_type=BigInteger)
    """When it is tried (again); None once it is delivered or given up."""
    sent_at: int | None = Field(default=None, sa_type=BigInteger)
    trouble: str = ""
    """What went wrong last."""
