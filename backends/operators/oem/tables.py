"""The tables of a vehicle manufacturer. Times are UTC seconds since 1970, octets DER or EXI as received."""

from __future__ import annotations

import sqlalchemy as sa

from backends.operators.table_version import make_tables, version_table
from backends.store.schema import RECEIVED_EVENTS

VERSION = 1
METADATA = sa.MetaData()

_VERSION = version_table(METADATA, "oem")

VEHICLES = sa.Table(
    "oem_vehicles",
    METADATA,
    sa.Column("pcid_key", sa.String(18), primary_key=True),  # upper case
    sa.Column("pcid", sa.String(18), nullable=False),  # as in the certificate
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),  # SHA-256: the token has 256 bits itself
    sa.Column("namespace", sa.String(128), nullable=False),
    sa.Column("certificate", sa.LargeBinary),  # published; none until the vehicle has asked for one
    sa.Column("updated", sa.BigInteger, nullable=False),
)

CONTRACTS = sa.Table(
    "oem_contracts",
    METADATA,
    sa.Column("pcid_key", sa.String(18), primary_key=True),
    sa.Column("emaid", sa.String(36), primary_key=True),
    sa.Column("namespace", sa.String(128), nullable=False),
    sa.Column("message", sa.LargeBinary),  # CertificateInstallationRes; none until it was fetched
    sa.Column("is_default", sa.Boolean, nullable=False),
    sa.Column("changes", sa.Integer, nullable=False),  # of the pool: tells what was fetched from what is newer
    sa.Column("delivered", sa.BigInteger),  # to the vehicle
    sa.Column("updated", sa.BigInteger, nullable=False),
)


def prepare(connection: sa.Connection) -> None:
    """Make the tables where they are missing. Raises StoreError for tables of another version."""
    make_tables(connection, METADATA, _VERSION, VERSION)
    RECEIVED_EVENTS.create(connection, checkfirst=True)
