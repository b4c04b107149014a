"""Sessions of mobility operators' customers, and who delivers charge details"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """To this revision."""
    op.create_table(
        "csms_leases",
        sa.Column("sink", sa.String(length=48), nullable=False),
        sa.Column("holder", sa.String(length=36), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sink", name=op.f("pk_csms_leases")),
    )
    op.create_table(
        "csms_roaming_sessions",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("station", sa.String(length=48), nullable=False),
        sa.Column("transaction_id", sa.String(length=48), nullable=False),
        sa.Column("remote_start_id", sa.BigInteger(), nullable=True),
        sa.Column("partner", sa.String(length=8), nullable=False),
        sa.Column("token", sa.JSON(), nullable=False),
        sa.Column("auth_method", sa.String(length=16), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_csms_roaming_sessions")),
    )
    op.create_index("ix_csms_roaming_sessions_transaction", "csms_roaming_sessions", ["station", "transaction_id"])


def downgrade() -> None:
    """From this revision."""
    op.drop_index("ix_csms_roaming_sessions_transaction", table_name="csms_roaming_sessions")
    op.drop_table("csms_roaming_sessions")
    op.drop_table("csms_leases")
