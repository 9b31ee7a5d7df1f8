"""The record: who did what, from where, under which key, and where it was heard. Rows are only added."""

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class RecordEntry(SQLModel, table=True):
    """One entry of the chain; `controller.chain.Entry` says what its hash covers.

    `previous` is unique, so that no two entries follow one; triggers refuse to change or delete a row. Both are
    guards against mistakes. The proof is the chain, and its head at the nodes.
    """

    __tablename__ = "record_entry"

    number: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    at: int = Field(index=True, sa_type=BigInteger)
    account: str = Field(index=True)
    verb: str
    """draft, approve, plan, issue, recall, stop, enrol, place, volume, heard, unknown, restore, fork, …"""
    object_kind: str
    object_id: str = Field(index=True)
    detail: str = ""
    origin: str = ""
    key: bytes = b""
    forks: int = Field(default=0, sa_type=BigInteger)
    heard: bytes | None = None
    """CBOR of `controller.chain.Heard`."""
    known: bytes | None = None
    """CBOR of `devices.protocol.record.HeadMark`."""
    previous: bytes = Field(unique=True)
    hash: bytes = Field(unique=True)


class RecordHeadRow(SQLModel, table=True):
    """A head as it was signed and published; for exports."""

    __tablename__ = "record_head"

    at: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    number: int = Field(sa_type=BigInteger)
    forks: int = Field(default=0, sa_type=BigInteger)
    payload: bytes
