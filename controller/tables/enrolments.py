"""Labels, the boxes that used them, the keys that nodes had, and who may enter the broker."""

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class EnrolmentLabel(SQLModel, table=True):
    """A printed label with a one-time secret, of which only a sealed key is kept, and that until it is used."""

    __tablename__ = "enrolment_label"

    id: str = Field(primary_key=True, max_length=8)
    """As it is printed: 8 symbols of Crockford's base32."""
    sealed_key: bytes
    """devices.protocol.enrolment.label_key, sealed under a key outside the database; empty once it was used."""
    created_by: str
    created_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)
    used_at: int | None = Field(default=None, sa_type=BigInteger)
    revoked_at: int | None = Field(default=None, sa_type=BigInteger)


class Enrolment(SQLModel, table=True):
    """A box that showed that it has a label's secret, and what a technician decided about it."""

    id: str = Field(primary_key=True, max_length=32)
    label: str = Field(foreign_key="enrolment_label.id", unique=True)
    public_key: bytes
    exchange: bytes
    commitment: bytes
    mac: bytes
    """The box's Hello and its MAC: the same again gets the same Welcome."""
    own_exchange: bytes
    own_nonce: bytes
    roots: bytes
    welcome_mac: bytes
    sealed_session: bytes
    """The session key, sealed as a label's key is."""
    nonce: bytes | None = None
    """The box's, once it told: from then on there is a comparison code."""
    origin: str = ""
    """The address that it came from."""
    state: str = Field(default="pending", index=True)
    """pending, confirmed, rejected (devices.protocol.enrolment.EnrolmentState)."""
    wrong_codes: int = 0
    node: str | None = Field(default=None, foreign_key="node.id")
    begun_at: int = Field(index=True, sa_type=BigInteger)
    asked_at: int | None = Field(default=None, sa_type=BigInteger)
    decided_at: int | None = Field(default=None, sa_type=BigInteger)
    decided_by: str | None = None


class NodeKey(SQLModel, table=True):
    """A key under which a node signed: what it signed stays provable when its box was replaced."""

    __tablename__ = "node_key"

    node: str = Field(primary_key=True, foreign_key="node.id")
    public_key: bytes = Field(primary_key=True)
    since: int = Field(sa_type=BigInteger)
    until: int | None = Field(default=None, sa_type=BigInteger)


class BrokerLogin(SQLModel, table=True):
    """A name that the broker knows; of its password only mosquitto's PBKDF2 hash."""

    __tablename__ = "broker_login"

    username: str = Field(primary_key=True, max_length=64)
    password_hash: str
    changed_at: int = Field(sa_type=BigInteger)


class AreaMove(SQLModel, table=True):
    """A place that went elsewhere when a boundary changed; its row stays for what happened there."""

    __tablename__ = "area_move"

    path: str = Field(primary_key=True, foreign_key="area.path")
    to: str = Field(foreign_key="area.path")
    moved_at: int = Field(sa_type=BigInteger)
    moved_by: str
