"""What alerts say, and by what they were composed

Revision: 0007_compose
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007_compose"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("bulletin") as batch:
        batch.add_column(sa.Column("alert", sa.String(length=32), nullable=False, server_default=""))
        batch.create_index(op.f("ix_bulletin_alert"), ["alert"])
    with op.batch_alter_table("alert") as batch:
        for name in ("event", "severity", "urgency"):
            batch.add_column(sa.Column(name, sa.String(), nullable=False, server_default=""))
        batch.add_column(sa.Column("words", sa.JSON(), nullable=False, server_default="[]"))
        batch.add_column(sa.Column("template", sa.String(), nullable=True))
        batch.add_column(sa.Column("source", sa.String(), nullable=True))
    op.create_table(
        "alert_level_table",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("levels", sa.JSON(), nullable=False),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version"),
    )
    op.create_table(
        "alert_template",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "standing_recording",
        sa.Column("area", sa.String(), nullable=False),
        sa.Column("event", sa.String(length=80), nullable=False),
        sa.Column("language", sa.String(length=35), nullable=False),
        sa.Column("code", sa.Integer(), nullable=False),
        sa.Column("bulletin", sa.String(length=32), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["area"], ["area.path"]),
        sa.ForeignKeyConstraint(["bulletin"], ["bulletin.id"]),
        sa.PrimaryKeyConstraint("area", "event", "language"),
    )


def downgrade() -> None:
    for name in ("standing_recording", "alert_template", "alert_level_table"):
        op.drop_table(name)
    with op.batch_alter_table("alert") as batch:
        for name in ("source", "template", "words", "urgency", "severity", "event"):
            batch.drop_column(name)
    with op.batch_alter_table("bulletin") as batch:
        batch.drop_index(op.f("ix_bulletin_alert"))
        batch.drop_column("alert")
