"""Bulletins and their renditions."""

from sqlalchemy import JSON, BigInteger, Column
from sqlmodel import Field, SQLModel


class Bulletin(SQLModel, table=True):
    """Content: drafted, approved, and from then on locked."""

    id: str = Field(primary_key=True, max_length=32)
    area: str = Field(foreign_key="area.path", index=True)
    title: str
    status: str = "draft"
    """draft, approved, withdrawn."""
    content_hash: str
    """SHA-256 over title and renditions; approval names it, so changed content cannot slip through."""
    author: str
    approved_by: str | None = None
    approved_at: int | None = Field(default=None, sa_type=BigInteger)
    created_at: int = Field(sa_type=BigInteger)
    source_name: str = ""
    """File name of the recording as it was given."""
    renditions: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """Digests, one a language; two bulletins may share one."""
    note: str = ""
    """What the import found worth saying, e.g. that only a part of the file plays."""
    alert: str = Field(default="", max_length=32, index=True)
    """Of an alert's own words: that alert's id. They are approved by its release and aired in nothing else."""


class Rendition(SQLModel, table=True):
    """A bulletin's encoded audio in one language; the file lies in the media folder under its digest."""

    digest: str = Field(primary_key=True, max_length=64)
    """Hex of the SHA-256 of its manifest."""
    language: str = "vi"
    length_bytes: int = Field(sa_type=BigInteger)
    duration_ms: int = Field(sa_type=BigInteger)
    loudness_centi_lufs: int
    peak_centi_db: int
    levelled_by: str = "loudness"
    manifest: bytes
    created_at: int = Field(sa_type=BigInteger)
    stream_at: int | None = Field(default=None, index=True, sa_type=BigInteger)
    """When its shared stream starts; none until a broadcast needs it."""
    pace: int | None = Field(default=None, sa_type=BigInteger)
    """Of that stream, bytes a second."""
    streamed_at: int | None = Field(default=None, sa_type=BigInteger)
    """When its shared stream last ended; none where it has not gone out yet."""
