"""Programmes: recurring slots."""

from sqlalchemy import JSON, BigInteger, Column
from sqlmodel import Field, SQLModel


class Programme(SQLModel, table=True):
    """A recurring slot (RFC 5545 recurrence in Asia/Ho_Chi_Minh) and its rundown of bulletins."""

    id: str = Field(primary_key=True, max_length=32)
    area: str = Field(foreign_key="area.path", index=True)
    title: str
    starts_on: str
    """First local date and time, YYYY-MM-DDTHH:MM:SS, Asia/Ho_Chi_Minh."""
    recurrence: str = ""
    """RRULE without its name, e.g. ``FREQ=DAILY;BYHOUR=5,17``; empty for once."""
    excluded: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """Local dates (YYYY-MM-DD) on which it does not happen."""
    rundown: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """Bulletin ids in order."""
    target_areas: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """Within `area`; empty means the whole of it."""
    target_nodes: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    precedence: int = 1
    interruption: int = 1
    volume: int | None = None
    stopped_at: int | None = Field(default=None, sa_type=BigInteger)
    created_by: str
    created_at: int = Field(sa_type=BigInteger)
