"""Replies kept so that a repeated request is answered, not done, twice."""

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class IdempotentReply(SQLModel, table=True):
    """The reply given to an idempotency key."""

    __tablename__ = "idempotent_reply"

    account: str = Field(primary_key=True)
    key: str = Field(primary_key=True, max_length=128)
    request_hash: str
    status: int
    body: bytes
    created_at: int = Field(index=True, sa_type=BigInteger)
