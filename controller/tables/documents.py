"""State documents as they were last signed."""

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class StateDocument(SQLModel, table=True):
    """Timetable, settings or trust of an area: the newest version, ready to be sent again."""

    __tablename__ = "state_document"

    area: str = Field(primary_key=True, foreign_key="area.path")
    channel: str = Field(primary_key=True, max_length=16)
    """timetable, settings, trust (devices.protocol.topics.AreaChannel)."""
    version: int = Field(sa_type=BigInteger)
    issued_at: int = Field(sa_type=BigInteger)
    payload: bytes
    body_hash: str
    """SHA-256 of the content without version and instant: an unchanged document is not issued anew."""
