"""The record: deeds become a chain, which nothing in the database may change

Revision: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

from controller.chain import NO_HASH, Entry, entry_hash
from loa.units import InstantMs

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_AT_ONCE = 1000
_DEED = sa.table(
    "deed",
    *(sa.column(name) for name in ("id", "at", "account", "verb", "object_kind", "object_id", "detail")),
)


def upgrade() -> None:
    table = op.create_table(
        "record_entry",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("verb", sa.String(), nullable=False),
        sa.Column("object_kind", sa.String(), nullable=False),
        sa.Column("object_id", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("forks", sa.BigInteger(), nullable=False),
        sa.Column("heard", sa.LargeBinary(), nullable=True),
        sa.Column("known", sa.LargeBinary(), nullable=True),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("hash", name="record_entry_hash"),
        sa.UniqueConstraint("previous", name="record_entry_previous"),
    )
    for column in ("at", "account", "object_id"):
        op.create_index(op.f(f"ix_record_entry_{column}"), "record_entry", [column])
    op.create_table(
        "record_head",
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("forks", sa.BigInteger(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("at"),
    )
    _carry_deeds(table)
    op.drop_table("deed")
    _guard()


def _carry_deeds(table: sa.Table) -> None:
    connection = op.get_bind()
    previous, rows = NO_HASH, []
    deeds = connection.execute(sa.select(_DEED).order_by(_DEED.c.id)).fetchall()
    for number, deed in enumerate(deeds, 1):
        words = {
            "account": deed.account[:64], "verb": deed.verb, "object_kind": deed.object_kind,
            "object_id": deed.object_id[:200], "detail": deed.detail[:500],
        }  # fmt: skip
        hashed = entry_hash(Entry(number=number, at=InstantMs(deed.at), previous=previous, **words))
        rows.append({"number": number, "at": deed.at, "origin": "", "key": b"", "forks": 0, "heard": None,
                     "known": None, "previous": previous, "hash": hashed, **words})  # fmt: skip
        previous = hashed
        if len(rows) == _AT_ONCE:
            connection.execute(table.insert(), rows)
            rows = []
    if rows:
        connection.execute(table.insert(), rows)


def _guard() -> None:
    """Against mistakes and plain tampering; whoever owns the database can take it away, and the chain still tells."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION record_is_only_added_to() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the record is only added to'; END $$"
        )
        op.execute(
            "CREATE TRIGGER record_entry_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON record_entry "
            "FOR EACH STATEMENT EXECUTE FUNCTION record_is_only_added_to()"
        )
        return
    for what in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER record_entry_no_{what.lower()} BEFORE {what} ON record_entry "
            "BEGIN SELECT RAISE(ABORT, 'the record is only added to'); END"
        )


def downgrade() -> None:
    deed = op.create_table(
        "deed",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("verb", sa.String(), nullable=False),
        sa.Column("object_kind", sa.String(), nullable=False),
        sa.Column("object_id", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_deed_at"), "deed", ["at"])
    names = [column.name for column in deed.columns if column.name != "id"]
    chain = sa.table("record_entry", *(sa.column(name) for name in ("number", *names)))
    op.get_bind().execute(
        deed.insert().from_select(names, sa.select(*(chain.c[name] for name in names)).order_by(chain.c.number))
    )
    op.drop_table("record_entry")
    op.drop_table("record_head")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION record_is_only_added_to()")
