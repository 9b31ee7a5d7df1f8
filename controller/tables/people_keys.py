"""People's private keys that are kept here, each sealed under its person's release passphrase."""

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class PersonKey(SQLModel, table=True):
    """One key of one person: it signs live alerts or drills, never both."""

    __tablename__ = "person_key"

    id: str = Field(primary_key=True, max_length=16)
    """Its key id in hex."""
    account: str = Field(foreign_key="account.name", index=True)
    kind: int
    """1 live, 2 drill."""
    public_key: bytes
    sealed_seed: bytes
    """As `controller.peoplekeys.seal_seed` makes it; empty once the key is retired."""
    wished: bytes
    """The appointment that the roots are asked for, encoded. Whether it is in office, the keys' folder says."""
    created_at: int = Field(sa_type=BigInteger)
    retired_at: int | None = Field(default=None, sa_type=BigInteger)
