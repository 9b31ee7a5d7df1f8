"""Receipts as they came, signature and all."""

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class ReceiptRow(SQLModel, table=True):
    """One journal entry of one node. The key makes a repeat harmless."""

    __tablename__ = "receipt"

    node: str = Field(primary_key=True, foreign_key="node.id")
    epoch: str = Field(primary_key=True, max_length=16)
    number: int = Field(primary_key=True, sa_type=BigInteger)
    at: int = Field(sa_type=BigInteger)
    event: int
    subject: str | None = Field(default=None, index=True)
    cause: int = 0
    refusal: int | None = None
    position_ms: int | None = Field(default=None, sa_type=BigInteger)
    late_ms: int | None = Field(default=None, sa_type=BigInteger)
    precedence: int | None = None
    time_error_ms: int | None = Field(default=None, sa_type=BigInteger)
    payload: bytes
    """The signed receipt."""
    received_at: int = Field(index=True, sa_type=BigInteger)
