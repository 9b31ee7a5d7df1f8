"""Ladder: routes of orders, boards closed, escalation and its notices

Revision: 0008_ladder
Revises: 0007_compose
"""

import sqlalchemy as sa
from alembic import op

revision = "0008_ladder"
down_revision = "0007_compose"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("owed_order") as table:
        table.add_column(sa.Column("sent_at", sa.BigInteger(), nullable=True))
    op.create_index(op.f("ix_owed_order_subject"), "owed_order", ["subject"])
    op.create_table(
        "order_route",
        sa.Column("order", sa.String(length=32), nullable=False),
        sa.Column("area", sa.String(length=98), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("order", "area"),
    )
    op.create_table(
        "alert_board",
        sa.Column("alert", sa.String(length=32), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_by", sa.String(), nullable=False),
        sa.Column("totals", sa.JSON(), nullable=False),
        sa.Column("ends", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["alert"], ["alert.id"]),
        sa.PrimaryKeyConstraint("alert"),
    )
    op.create_table(
        "notice_address",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("shown", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "escalation_step",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("after_s", sa.Integer(), nullable=False),
        sa.Column("below_percent", sa.Integer(), nullable=True),
        sa.Column("village_unreached", sa.Boolean(), nullable=False),
        sa.Column("drills", sa.Boolean(), nullable=False),
        sa.Column("addresses", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "alert_escalation",
        sa.Column("alert", sa.String(length=32), nullable=False),
        sa.Column("step", sa.String(length=16), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.Column("reached", sa.Integer(), nullable=False),
        sa.Column("nodes", sa.Integer(), nullable=False),
        sa.Column("villages_unreached", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["alert"], ["alert.id"]),
        sa.PrimaryKeyConstraint("alert", "step"),
    )
    op.create_table(
        "notice",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("alert", sa.String(length=32), nullable=True),
        sa.Column("address", sa.String(length=16), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("trouble", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["alert"], ["alert.id"]),
        sa.ForeignKeyConstraint(["address"], ["notice_address.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    for column in ("alert", "next_at"):
        op.create_index(op.f(f"ix_notice_{column}"), "notice", [column])


def downgrade() -> None:
    for name in ("notice", "alert_escalation", "escalation_step", "notice_address", "alert_board", "order_route"):
        op.drop_table(name)
    op.drop_index(op.f("ix_owed_order_subject"), table_name="owed_order")
    with op.batch_alter_table("owed_order") as table:
        table.drop_column("sent_at")
