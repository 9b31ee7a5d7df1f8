"""Areas: province, communes, villages."""

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class Area(SQLModel, table=True):
    """A place in the tree; its path is its name everywhere."""

    path: str = Field(primary_key=True, max_length=98)
    parent: str | None = Field(default=None, foreign_key="area.path", index=True)
    name: str
    """As people write it: Cô Tô."""
    kind: str = ""
    """tỉnh, phường, xã, đặc khu, thôn, bản, khu."""
    created_at: int = Field(sa_type=BigInteger)
