"""People's accounts and API tokens."""

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class Account(SQLModel, table=True):
    """A person. Until accounts have roles, each may do everything and approve their own bulletins, recorded as such."""

    name: str = Field(primary_key=True, max_length=64)
    full_name: str = ""
    password_hash: str
    """Argon2id, PHC string."""
    one_time: bool = False
    """The password was printed once and should be changed at the first sign-in."""
    created_at: int = Field(sa_type=BigInteger)
    """Instant, ms. All instants in these tables are InstantMs (UTC)."""


class ApiToken(SQLModel, table=True):
    """A bearer token; only its SHA-256 is kept."""

    __tablename__ = "api_token"

    token_hash: str = Field(primary_key=True, max_length=64)
    account: str = Field(foreign_key="account.name", index=True)
    name: str = ""
    session: bool = False
    """Made by signing in at the page, and carried by a cookie; it needs a CSRF token for every change."""
    created_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)
    last_used_at: int | None = Field(default=None, sa_type=BigInteger)
