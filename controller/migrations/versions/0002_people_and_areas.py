"""People and areas: posts, codes, scopes of tokens; population, languages and shape of areas

Revision: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "account_post",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("area", sa.String(length=98), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["account.name"]),
        sa.ForeignKeyConstraint(["area"], ["area.path"]),
        sa.PrimaryKeyConstraint("account", "role", "area"),
    )
    op.create_table(
        "recovery_code",
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account"], ["account.name"]),
        sa.PrimaryKeyConstraint("account", "code_hash"),
    )
    with op.batch_alter_table("account", schema=None) as batch_op:
        batch_op.add_column(sa.Column("disabled_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("code_secret", sa.LargeBinary(), nullable=True))
        batch_op.add_column(sa.Column("new_code_secret", sa.LargeBinary(), nullable=True))
        batch_op.add_column(sa.Column("code_step", sa.BigInteger(), nullable=False, server_default="0"))
    # Tokens of the time before scopes could do everything: they end, and people sign in again.
    op.execute("DELETE FROM api_token")
    with op.batch_alter_table("api_token", schema=None) as batch_op:
        batch_op.add_column(sa.Column("permissions", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("area", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("code_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("password_at", sa.BigInteger(), nullable=True))
        batch_op.create_foreign_key("fk_api_token_area", "area", ["area"], ["path"])
    with op.batch_alter_table("area", schema=None) as batch_op:
        batch_op.add_column(sa.Column("population", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("languages", sa.JSON(), nullable=False, server_default="[]"))
        batch_op.add_column(sa.Column("geometry", sa.JSON(), nullable=True))
    # Until now every account might do everything; the administrator narrows that down.
    for role in ("province_admin", "duty_officer"):
        op.execute(
            "INSERT INTO account_post (account, role, area) "  # noqa: S608 - two words of our own
            f"SELECT account.name, '{role}', area.path FROM account, area WHERE area.parent IS NULL"
        )


def downgrade() -> None:
    with op.batch_alter_table("area", schema=None) as batch_op:
        for name in ("geometry", "languages", "population"):
            batch_op.drop_column(name)
    with op.batch_alter_table("api_token", schema=None) as batch_op:
        batch_op.drop_constraint("fk_api_token_area", type_="foreignkey")
        for name in ("password_at", "code_at", "area", "permissions"):
            batch_op.drop_column(name)
    with op.batch_alter_table("account", schema=None) as batch_op:
        for name in ("code_step", "new_code_secret", "code_secret", "disabled_at"):
            batch_op.drop_column(name)
    op.drop_table("recovery_code")
    op.drop_table("account_post")
