"""Alerts that are approved beforehand and wait for a source

Revision: 0010_direct
Revises: 0009_capwire
"""

import sqlalchemy as sa
from alembic import op

revision = "0010_direct"
down_revision = "0009_capwire"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("alert", sa.Column("direct", sa.JSON(), nullable=True))
    op.add_column("alert", sa.Column("released_by_cap", sa.String(length=32), nullable=True))
    op.add_column("alert", sa.Column("armed_at", sa.BigInteger(), nullable=True))
    op.create_index(op.f("ix_alert_released_by_cap"), "alert", ["released_by_cap"])


def downgrade() -> None:
    op.drop_index(op.f("ix_alert_released_by_cap"), "alert")
    op.drop_column("alert", "armed_at")
    op.drop_column("alert", "released_by_cap")
    op.drop_column("alert", "direct")
