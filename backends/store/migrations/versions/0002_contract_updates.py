"""Certificates of a contract, and answers to updates"""

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """To this revision."""
    certificates = op.create_table(
        "contract_certificates",
        sa.Column("emaid_key", sa.String(length=36), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("issued_here", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["emaid_key"],
            ["contracts.emaid_key"],
            name=op.f("fk_contract_certificates_emaid_key_contracts"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("emaid_key", "fingerprint", name=op.f("pk_contract_certificates")),
    )
    op.create_table(
        "contract_updates",
        sa.Column("emaid_key", sa.String(length=36), nullable=False),
        sa.Column("replaced", sa.String(length=64), nullable=False),
        sa.Column("cps_root_id", sa.String(length=36), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["emaid_key"],
            ["contracts.emaid_key"],
            name=op.f("fk_contract_updates_emaid_key_contracts"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("emaid_key", "replaced", "cps_root_id", name=op.f("pk_contract_updates")),
    )
    known = op.get_bind().execute(
        sa.text(
            "SELECT DISTINCT c.emaid_key, s.contract_certificate, c.issued_here"
            " FROM contracts c JOIN signed_contracts s ON s.emaid_key = c.emaid_key"
        ).columns(emaid_key=sa.String, contract_certificate=sa.LargeBinary, issued_here=sa.Boolean)
    )
    rows = [
        {
            "emaid_key": row.emaid_key,
            "fingerprint": hashlib.sha256(row.contract_certificate).hexdigest(),
            "certificate": row.contract_certificate,
            "issued_here": row.issued_here,
        }
        for row in known
    ]
    if rows:
        op.bulk_insert(certificates, rows)
    op.drop_column("contracts", "issued_here")
