"""The tables of a mobility operator. Times are UTC seconds since 1970, money and energy decimals as text."""

from __future__ import annotations

import sqlalchemy as sa

from backends.operators.table_version import make_tables, version_table

VERSION = 1
METADATA = sa.MetaData()
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_VERSION = version_table(METADATA, "mo")

CUSTOMERS = sa.Table(
    "mo_customers",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("login", sa.String(64), nullable=False, unique=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("secret_hash", sa.String(200), nullable=False),
)

CONTRACTS = sa.Table(
    "mo_contracts",
    METADATA,
    sa.Column("emaid", sa.String(15), primary_key=True),  # upper case, no hyphens
    sa.Column("customer", sa.String(36), sa.ForeignKey("mo_customers.id"), nullable=False, index=True),
    sa.Column("status", sa.String(16), nullable=False),  # customers.Status
    sa.Column("valid_from", sa.BigInteger, nullable=False),
    sa.Column("valid_to", sa.BigInteger, nullable=False),
    sa.Column("pcid", sa.String(18), nullable=False),  # of the vehicle that it was published for, "" = none
    sa.Column("updated", sa.BigInteger, nullable=False),
)

TOKENS = sa.Table(
    "mo_tokens",
    METADATA,
    sa.Column("uid", sa.String(36), primary_key=True),  # upper case: OCPI's CiString
    sa.Column("type", sa.String(16), nullable=False),  # OCPI TokenType
    sa.Column("emaid", sa.String(15), sa.ForeignKey("mo_contracts.emaid"), nullable=False, index=True),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("updated", sa.BigInteger, nullable=False),
)

KEYS = sa.Table(
    "mo_keys",
    METADATA,
    sa.Column("seq", ROW_ID, primary_key=True, autoincrement=True),
    sa.Column("meter", sa.String(128), nullable=False, index=True),
    sa.Column("gateway", sa.String(128), nullable=False),
    sa.Column("evse", sa.String(128), nullable=False),
    sa.Column("public_key", sa.Text, nullable=False),  # DER in hex
    sa.Column("valid_from", sa.BigInteger, nullable=False),
    sa.Column("valid_to", sa.BigInteger),
    sa.Column("revoked", sa.BigInteger),
    sa.Column("source", sa.String(64), nullable=False),
)

CDRS = sa.Table(
    "mo_cdrs",
    METADATA,
    sa.Column("seq", ROW_ID, primary_key=True, autoincrement=True),
    sa.Column("operator", sa.String(8), nullable=False),
    sa.Column("id", sa.String(64), nullable=False),
    sa.Column("channel", sa.String(8), nullable=False),
    sa.Column("content", sa.String(64), nullable=False),  # SHA-256 of what counts: tells a repeat from a contradiction
    sa.Column("session_id", sa.String(250), nullable=False),
    sa.Column("uid", sa.String(40), nullable=False),
    sa.Column("customer", sa.String(36), nullable=False, index=True),  # "" = nobody's
    sa.Column("status", sa.String(16), nullable=False, index=True),
    sa.Column("reason", sa.String(32), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("energy_kwh", sa.String(40), nullable=False),  # "" unless billed
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("public_key", sa.Text, nullable=False),  # that verified it: ours, not the carried one
    sa.Column("body", sa.LargeBinary, nullable=False),  # as it came
    sa.Column("received", sa.BigInteger, nullable=False),
    sa.Column("deliveries", sa.Integer, nullable=False),
    sa.UniqueConstraint("operator", "id", name="uq_mo_cdrs_id"),
)

BILLED_RECORDS = sa.Table(
    "mo_billed_records",
    METADATA,
    sa.Column("record_id", sa.String(64), primary_key=True),
    sa.Column("cdr", ROW_ID, sa.ForeignKey("mo_cdrs.seq"), nullable=False),
)

BILLS = sa.Table(
    "mo_bills",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("cdr", ROW_ID, sa.ForeignKey("mo_cdrs.seq"), nullable=False, unique=True),
    sa.Column("customer", sa.String(36), nullable=False, index=True),
    sa.Column("bill", sa.JSON, nullable=False),  # billing.Bill
    sa.Column("made", sa.BigInteger, nullable=False),
    sa.Column("credited", sa.String(39)),  # id of the credit CDR that took it back
)

SESSIONS = sa.Table(
    "mo_sessions",
    METADATA,
    sa.Column("operator", sa.String(8), primary_key=True),
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("uid", sa.String(36), nullable=False),
    sa.Column("customer", sa.String(36), nullable=False, index=True),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("kwh", sa.String(40), nullable=False),
    sa.Column("evse_uid", sa.String(36), nullable=False),
    sa.Column("began", sa.BigInteger, nullable=False),
    sa.Column("updated", sa.BigInteger, nullable=False),
)

COMMANDS = sa.Table(
    "mo_commands",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("customer", sa.String(36), nullable=False, index=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("operator", sa.String(8), nullable=False),
    sa.Column("subject", sa.String(48), nullable=False),  # EVSE or session
    sa.Column("answer", sa.String(24), nullable=False),  # of the CPO
    sa.Column("outcome", sa.String(24), nullable=False),  # of the station, "" until it comes
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)

LOGINS = sa.Table(
    "mo_logins",
    METADATA,
    sa.Column("token_hash", sa.String(64), primary_key=True),
    sa.Column("customer", sa.String(36), nullable=False),
    sa.Column("until", sa.BigInteger, nullable=False, index=True),
)


def prepare(connection: sa.Connection) -> None:
    """Make the tables where they are missing. Raises StoreError for tables of another version."""
    make_tables(connection, METADATA, _VERSION, VERSION)
