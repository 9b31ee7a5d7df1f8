"""By what alerts are made: how they sound, what they say, what lies at the nodes beforehand."""

from typing import Any

from sqlalchemy import JSON, BigInteger, Column
from sqlmodel import Field, SQLModel


class AlertLevelTable(SQLModel, table=True):
    """One version of the table from severity and urgency to sound; the highest is in force, none: as shipped."""

    __tablename__ = "alert_level_table"

    version: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    levels: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    changed_by: str
    changed_at: int = Field(sa_type=BigInteger)


class AlertTemplateRow(SQLModel, table=True):
    """A province's own template, or its change of a shipped one."""

    __tablename__ = "alert_template"

    id: str = Field(primary_key=True, max_length=32)
    version: int
    content: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    """As `controller.services.alert_templates.Template`; empty where it was removed."""
    changed_by: str
    changed_at: int = Field(sa_type=BigInteger)


class StandingRecording(SQLModel, table=True):
    """A recording that lies at the nodes of an area, for an event, in a language that no voice speaks."""

    __tablename__ = "standing_recording"

    area: str = Field(primary_key=True, foreign_key="area.path")
    event: str = Field(primary_key=True, max_length=80)
    """A template's id, or an event as alerts name it, in small letters."""
    language: str = Field(primary_key=True, max_length=35)
    code: int
    """Among the stored sounds of the area's settings."""
    bulletin: str = Field(foreign_key="bulletin.id", max_length=32)
    digest: str = Field(max_length=64)
