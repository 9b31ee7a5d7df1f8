"""Who did what, and replies kept so that a repeated request is answered, not done, twice."""

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class Deed(SQLModel, table=True):
    """Something a person or the controller did that made or could make sound."""

    id: int | None = Field(default=None, primary_key=True)
    at: int = Field(index=True, sa_type=BigInteger)
    account: str
    verb: str
    """draft, approve, plan, issue, recall, stop, enrol, place, volume, …"""
    object_kind: str
    object_id: str
    detail: str = ""


class IdempotentReply(SQLModel, table=True):
    """The reply given to an idempotency key."""

    __tablename__ = "idempotent_reply"

    account: str = Field(primary_key=True)
    key: str = Field(primary_key=True, max_length=128)
    request_hash: str
    status: int
    body: bytes
    created_at: int = Field(index=True, sa_type=BigInteger)
