"""Alerts of others in CAP, as they came; the sources that they come from."""

from typing import Any

from sqlalchemy import JSON, BigInteger, Column
from sqlmodel import Field, SQLModel


class CapSource(SQLModel, table=True):
    """Somebody whose alerts are taken: a feed that is polled, or one that posts."""

    __tablename__ = "cap_source"

    name: str = Field(primary_key=True, max_length=32)
    url: str = ""
    """Of its feed; empty for one that posts."""
    senders: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """For whom it may speak, as alerts say it in `sender`."""
    pins: list[dict[str, str]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """Its signers: name, and key (SubjectPublicKeyInfo, DER, hex)."""
    hosts: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """To which its redirects and links may lead, besides its own."""
    is_local: bool = False
    """It may be reached by plain HTTP and at private addresses."""
    interval_s: int = 60
    created_by: str
    created_at: int = Field(sa_type=BigInteger)
    etag: str = ""
    last_modified: str = ""
    next_at: int = Field(default=0, sa_type=BigInteger)
    """When it is asked again."""
    tried_at: int | None = Field(default=None, sa_type=BigInteger)
    good_at: int | None = Field(default=None, sa_type=BigInteger)
    """When it was last read whole."""
    failures: int = 0
    """In a row."""
    trouble: str = ""
    """Code of what the last try met."""
    trouble_detail: str = ""
    is_stale: bool = False
    """It was told to people that nothing was read for long."""


class CapLink(SQLModel, table=True):
    """An alert that a feed points to and that was fetched, so that it is fetched once."""

    __tablename__ = "cap_link"

    source: str = Field(primary_key=True, max_length=32)
    digest: str = Field(primary_key=True, max_length=64)
    """SHA-256 of its address, and of when the feed says that it was changed."""
    seen_at: int = Field(index=True, sa_type=BigInteger)


class CapAlert(SQLModel, table=True):
    """An alert of somebody else's, refused ones too. What is made of it is in `state` and `alert`."""

    __tablename__ = "cap_alert"

    id: str = Field(primary_key=True, max_length=32)
    name_key: str | None = Field(default=None, unique=True, max_length=64)
    """SHA-256 of (sender, identifier, sent) of one that was accepted; None for what was refused."""
    digest: bytes = b""
    """Of all that it says; what comes under the same name must have the same."""
    xml: bytes
    xml_sha256: str = Field(index=True, max_length=64)
    source: str = Field(default="", index=True, max_length=32)
    """The source's name; empty where nobody known sent it."""
    is_expected: bool = False
    """Its sender is one for whom that source may speak."""
    sender: str
    identifier: str = Field(index=True)
    sent: int | None = Field(default=None, sa_type=BigInteger)
    version: str = ""
    status: str = ""
    msg_type: str = ""
    code: str
    """The verdict's."""
    field: str = ""
    is_refused: bool = Field(index=True)
    kind: str = ""
    """live, exercise, test; empty for what is refused."""
    signature: str = ""
    signer: str = ""
    title: str = ""
    expires_at: int | None = Field(default=None, sa_type=BigInteger)
    areas: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    """matched, named (description, proposed), elsewhere, unplaced, unknown."""
    state: str = Field(default="kept", index=True)
    """kept, waiting (to be composed), composed, needs_area, not_composed, cancel_asked, done."""
    trouble: str = ""
    """Code of why it was not composed."""
    alert: str | None = Field(default=None, index=True, max_length=32)
    """What was composed of it."""
    refs: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """`name_key` of each alert that it names in its references."""
    before: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """Of ours: the alerts that it updates or cancels."""
    withdrew: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """Of those, what nobody had released yet and was withdrawn."""
    received_at: int = Field(index=True, sa_type=BigInteger)
    received_by: str
    origin: str = ""
