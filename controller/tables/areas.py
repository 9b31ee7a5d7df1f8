"""Areas: province, communes, villages."""

from typing import Any

from sqlalchemy import JSON, BigInteger, Column
from sqlmodel import Field, SQLModel


class Area(SQLModel, table=True):
    """A place in the tree; its path is its name everywhere."""

    path: str = Field(primary_key=True, max_length=98)
    parent: str | None = Field(default=None, foreign_key="area.path", index=True)
    name: str
    """As people write it: Cô Tô."""
    kind: str = ""
    """tỉnh, phường, xã, đặc khu, thôn, bản, khu."""
    population: int | None = Field(default=None, sa_type=BigInteger)
    languages: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """Spoken there, the first one first; BCP 47: vi, tyz (Tày), ium (Dao)."""
    codes: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False, server_default="[]"))
    """Others that stand for it in alerts: the statistics office's, ISO 3166-2."""
    geometry: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True), nullable=True))
    """GeoJSON Polygon or MultiPolygon, WGS 84 (RFC 7946)."""
    created_at: int = Field(sa_type=BigInteger)
