"""Alerts as people compose, approve, release, update and cancel them; who approved what."""

from typing import Any, Literal

from sqlalchemy import JSON, BigInteger, Column
from sqlmodel import AutoString, Field, SQLModel

AlertStatus = Literal["composed", "armed", "released", "updated", "cancelled", "withdrawn"]


class Alert(SQLModel, table=True):
    """An alert body with what became of it. Its broadcast, once it is released, has the same id.

    The body's bytes are what people sign: the columns beside it are for finding it, and are compared with it before
    anybody approves anything.
    """

    id: str = Field(primary_key=True, max_length=32)
    """Hex of the body's id."""
    kind: int
    """1 live, 2 drill."""
    title: str
    area: str = Field(foreign_key="area.path", index=True)
    """The narrowest area that holds all of the target. Once a source put it out this, the target and the end are of
    what went out, a part of what people signed."""
    target_areas: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    target_nodes: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    bulletins: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    updates: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """Alerts whose place it takes."""
    status: AlertStatus = Field(default="composed", index=True, sa_type=AutoString)
    """Composed or armed, and past its window: it has expired. Armed: approved, and waits for a source."""
    composed_by: str
    composed_at: int = Field(index=True, sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)
    body: bytes
    cancel_body: bytes
    """What one person signs to end it, prepared with it."""
    released_at: int | None = Field(default=None, sa_type=BigInteger)
    sole: str = ""
    """Who released it alone, by a sole appointment."""
    ended_by: str | None = None
    """Who withdrew, cancelled or updated it."""
    ended_at: int | None = Field(default=None, sa_type=BigInteger)
    event: str = ""
    """In CAP's sense: what it is about. Empty where it was composed of bulletins and a siren alone."""
    severity: str = ""
    """CAP 1.2: Extreme, Severe, Moderate, Minor, Unknown."""
    urgency: str = ""
    """CAP 1.2: Immediate, Expected, Future, Past, Unknown."""
    words: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """What is said in each language: language, text, digest of the rendition, voice (a voice's name, or recording)."""
    template: str | None = None
    source: str | None = None
    """Where it came from, where nobody here thought of it: a CAP alert's sender and identifier."""
    direct: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True), nullable=True))
    """For whose alert it waits once it is approved: source, events, severities."""
    released_by_cap: str | None = Field(default=None, max_length=32, index=True)
    """Id of the source's alert that put it out."""
    armed_at: int | None = Field(default=None, sa_type=BigInteger)


class AlertApproval(SQLModel, table=True):
    """One person's signature over an alert's body, or over the cancel prepared with it."""

    __tablename__ = "alert_approval"

    alert: str = Field(primary_key=True, foreign_key="alert.id")
    action: int = Field(primary_key=True)
    """1 release, 2 cancel."""
    key: str = Field(primary_key=True, max_length=16)
    """Key id in hex."""
    account: str
    holder: str
    """As the roots appointed the key's owner."""
    at: int = Field(sa_type=BigInteger)
    approval: bytes
    """COSE_Sign1 with detached payload."""
