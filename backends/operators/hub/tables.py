"""The tables of a roaming hub. Times are UTC seconds since 1970."""

from __future__ import annotations

import sqlalchemy as sa

from backends.operators.table_version import make_tables, version_table

VERSION = 1
METADATA = sa.MetaData()

_VERSION = version_table(METADATA, "hub")

SESSIONS = sa.Table(
    "hub_sessions",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),  # SessionID
    sa.Column("operator", sa.String(8), nullable=False),
    sa.Column("provider", sa.String(8), nullable=False),
    sa.Column("identification", sa.String(40), nullable=False),
    sa.Column("evse_id", sa.String(48), nullable=False),
    sa.Column("made", sa.BigInteger, nullable=False),
)

CDRS = sa.Table(
    "hub_cdrs",
    METADATA,
    sa.Column("session_id", sa.String(36), primary_key=True),  # one record for a session
    sa.Column("operator", sa.String(8), nullable=False),
    sa.Column("provider", sa.String(8), nullable=False, index=True),
    sa.Column("body", sa.LargeBinary, nullable=False),  # as it came, and as it goes on
    sa.Column("state", sa.String(12), nullable=False, index=True),  # waiting, forwarded, rejected
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due", sa.BigInteger, nullable=False),
    sa.Column("said", sa.Text, nullable=False),  # the provider's last word
    sa.Column("received", sa.BigInteger, nullable=False),
)


def prepare(connection: sa.Connection) -> None:
    """Make the tables where they are missing. Raises StoreError for tables of another version."""
    make_tables(connection, METADATA, _VERSION, VERSION)
