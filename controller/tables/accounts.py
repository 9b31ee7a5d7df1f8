"""People's accounts, their posts, recovery codes and tokens."""

from sqlalchemy import JSON, BigInteger, Column
from sqlmodel import Field, SQLModel


class Account(SQLModel, table=True):
    """A person. What they may do follows from their posts."""

    name: str = Field(primary_key=True, max_length=64)
    full_name: str = ""
    password_hash: str
    """Argon2id, PHC string."""
    one_time: bool = False
    """The password was printed once and should be changed at the first sign-in."""
    disabled_at: int | None = Field(default=None, sa_type=BigInteger)
    """Since when they cannot sign in."""
    code_secret: bytes | None = None
    """What their codes (TOTP, RFC 6238) are made from, sealed under a key that is not in these tables."""
    new_code_secret: bytes | None = None
    """One that was handed out and is not confirmed by a code yet, sealed likewise."""
    code_step: int = Field(default=0, sa_type=BigInteger)
    """The last time step whose code was taken: no code counts twice."""
    created_at: int = Field(sa_type=BigInteger)
    """Instant, ms. All instants in these tables are InstantMs (UTC)."""


class AccountPost(SQLModel, table=True):
    """A role that a person has at an area."""

    __tablename__ = "account_post"

    account: str = Field(primary_key=True, foreign_key="account.name", max_length=64)
    role: str = Field(primary_key=True, max_length=32)
    area: str = Field(primary_key=True, foreign_key="area.path", max_length=98)


class RecoveryCode(SQLModel, table=True):
    """Stands in for a code once, where the device that makes codes is lost."""

    __tablename__ = "recovery_code"

    account: str = Field(primary_key=True, foreign_key="account.name", max_length=64)
    code_hash: str = Field(primary_key=True, max_length=64)
    """HMAC-SHA-256 under the key that is not in these tables."""
    used_at: int | None = Field(default=None, sa_type=BigInteger)


class ApiToken(SQLModel, table=True):
    """A bearer token; only its SHA-256 is kept."""

    __tablename__ = "api_token"

    token_hash: str = Field(primary_key=True, max_length=64)
    account: str = Field(foreign_key="account.name", index=True)
    name: str = ""
    session: bool = False
    """Made by signing in: a person's own, here and now. Otherwise a machine's, which has a scope."""
    permissions: list[str] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    """An API token's scope; none for a session, which may do all that its person may."""
    area: str | None = Field(default=None, foreign_key="area.path")
    """Where an API token counts."""
    code_at: int | None = Field(default=None, sa_type=BigInteger)
    """When a code was last given in this session."""
    password_at: int | None = Field(default=None, sa_type=BigInteger)
    """When the password was."""
    created_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)
    last_used_at: int | None = Field(default=None, sa_type=BigInteger)
