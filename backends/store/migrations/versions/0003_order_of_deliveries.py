"""Deliveries know their subject"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """To this revision."""
    op.add_column("deliveries", sa.Column("subject", sa.String(length=64), nullable=False, server_default=""))
    op.execute("UPDATE deliveries SET subject = (SELECT subject FROM events WHERE events.sequence = deliveries.event)")
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.alter_column("subject", existing_type=sa.String(length=64), server_default=None)
        batch_op.create_index("ix_deliveries_order", ["endpoint_id", "subject", "state", "event"], unique=False)
