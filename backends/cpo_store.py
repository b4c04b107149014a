"""What a CPO keeps of signed records: the records, the keys they were checked with, and what did not fit."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from backends.store.database import StoreError
from ports.backend import SignedRecord

VERSION = 1
_ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_METADATA = sa.MetaData()

_VERSION = sa.Table("cpo_version", _METADATA, sa.Column("version", sa.Integer, nullable=False))

RECORDS = sa.Table(
    "cpo_records",
    _METADATA,
    sa.Column("seq", _ROW_ID, primary_key=True, autoincrement=True),
    sa.Column("record_id", sa.String(64), nullable=False, unique=True),
    sa.Column("gateway", sa.String(128), nullable=False),
    sa.Column("meter", sa.String(128), nullable=False),
    sa.Column("page", sa.String(20), nullable=False),
    sa.Column("transaction_id", sa.String(128), nullable=False, index=True),
    sa.Column("context", sa.String(128), nullable=False),
    sa.Column("ocmf", sa.Text, nullable=False),
    sa.Column("public_key", sa.Text, nullable=False),  # that verified it, DER in hex: ours, not the carried one
    sa.Column("received_at", sa.String(40), nullable=False),  # civil time, ISO 8601
    sa.Column("deliveries", sa.Integer, nullable=False),  # how often it came; the effect is the one row
    sa.UniqueConstraint("gateway", "meter", "page"),
)

KEYS = sa.Table(
    "cpo_keys",
    _METADATA,
    sa.Column("seq", _ROW_ID, primary_key=True, autoincrement=True),
    sa.Column("gateway", sa.String(128), nullable=False),
    sa.Column("meter", sa.String(128), nullable=False),
    sa.Column("public_key", sa.Text, nullable=False),
    sa.Column("source", sa.String(20), nullable=False),  # "registered" or "first use"
    sa.Column("since", sa.String(40), nullable=False),
    sa.UniqueConstraint("gateway", "meter", "public_key"),
)

INCIDENTS = sa.Table(
    "cpo_incidents",
    _METADATA,
    sa.Column("seq", _ROW_ID, primary_key=True, autoincrement=True),
    sa.Column("record_id", sa.String(64), nullable=False, unique=True),
    sa.Column("gateway", sa.String(128), nullable=False),
    sa.Column("meter", sa.String(128), nullable=False),
    sa.Column("page", sa.String(20), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("ocmf", sa.Text, nullable=False),
    sa.Column("at", sa.String(40), nullable=False),
)

# made once: to build a statement costs more than to run it
_BY_ID = sa.select(RECORDS).where(RECORDS.c.record_id == sa.bindparam("record_id"))
_OF_PAGE = sa.select(RECORDS.c.record_id).where(
    RECORDS.c.gateway == sa.bindparam("gateway"),
    RECORDS.c.meter == sa.bindparam("meter"),
    RECORDS.c.page == sa.bindparam("page"),
)


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A row of the records."""

    seq: int
    record: SignedRecord
    received_at: str
    deliveries: int


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key that records of a gateway and meter are checked with. source: "registered" or "first use"."""

    gateway: str
    meter: str
    public_key: str
    source: str
    since: str


def prepare(connection: sa.Connection) -> None:
    """Make the tables where they are missing. Raises StoreError for tables of another version."""
    _METADATA.create_all(connection)
    found = connection.execute(sa.select(_VERSION.c.version)).scalar_one_or_none()
    if found is None:
        connection.execute(_VERSION.insert().values(version=VERSION))
    elif found != VERSION:
        raise StoreError(f"the CPO's tables have version {found}, this program knows {VERSION}: use another database")


def find(connection: sa.Connection, record_id: str) -> StoredRecord | None:
    """The record of this id."""
    row = connection.execute(_BY_ID, {"record_id": record_id}).one_or_none()
    return None if row is None else _stored(row)


def holder(connection: sa.Connection, record: SignedRecord) -> str | None:
    """The id of the record that has this one's page, if any."""
    page = {"gateway": record.gateway, "meter": record.meter, "page": record.page}
    return connection.execute(_OF_PAGE, page).scalar_one_or_none()


def add(connection: sa.Connection, record: SignedRecord, public_key: str, at: str) -> None:
    """Keep a record that is not there yet. Raises IntegrityError when it is."""
    row = {
        "record_id": record.record_id,
        "gateway": record.gateway,
        "meter": record.meter,
        "page": record.page,
        "transaction_id": record.transaction_id,
        "context": record.context,
        "ocmf": record.ocmf,
        "public_key": public_key,
        "received_at": at,
        "deliveries": 1,
    }
    connection.execute(RECORDS.insert(), row)


def count_delivery(connection: sa.Connection, record_id: str) -> None:
    """The record came once more."""
    connection.execute(
        RECORDS.update().where(RECORDS.c.record_id == record_id).values(deliveries=RECORDS.c.deliveries + 1)
    )


def add_incident(connection: sa.Connection, record: SignedRecord, reason: str, at: str) -> None:
    """Keep a validly signed record that contradicts another one; once, however often it comes."""
    if connection.execute(sa.select(INCIDENTS.c.seq).where(INCIDENTS.c.record_id == record.record_id)).first() is None:
        connection.execute(
            INCIDENTS.insert().values(
                record_id=record.record_id,
                gateway=record.gateway,
                meter=record.meter,
                page=record.page,
                reason=reason,
                ocmf=record.ocmf,
                at=at,
            )
        )


def keys(connection: sa.Connection, gateway: str | None = None, meter: str | None = None) -> list[StoredKey]:
    """The keys in the order they came: of one gateway and meter, or all."""
    query = sa.select(KEYS).order_by(KEYS.c.seq)
    if gateway is not None:
        query = query.where(KEYS.c.gateway == gateway)
    if meter is not None:
        query = query.where(KEYS.c.meter == meter)
    return [
        StoredKey(row.gateway, row.meter, row.public_key, row.source, row.since) for row in connection.execute(query)
    ]


def add_key(connection: sa.Connection, key: StoredKey) -> bool:
    """Keep a key; False when it was there."""
    if any(known.public_key == key.public_key for known in keys(connection, key.gateway, key.meter)):
        return False
    connection.execute(
        KEYS.insert().values(
            gateway=key.gateway, meter=key.meter, public_key=key.public_key, source=key.source, since=key.since
        )
    )
    return True


def records(
    connection: sa.Connection, *, transaction_id: str | None = None, after: int = 0, limit: int = 100
) -> list[StoredRecord]:
    """Records in the order they came, from behind `after`."""
    query = sa.select(RECORDS).where(RECORDS.c.seq > after).order_by(RECORDS.c.seq).limit(limit)
    if transaction_id is not None:
        query = query.where(RECORDS.c.transaction_id == transaction_id)
    return [_stored(row) for row in connection.execute(query)]


def transaction_ids(connection: sa.Connection, *, after: int = 0, limit: int = 100) -> list[tuple[int, str]]:
    """(place, id) of transactions in the order of their first records, from behind `after`."""
    first = sa.func.min(RECORDS.c.seq)
    query = (
        sa.select(first, RECORDS.c.transaction_id)
        .where(RECORDS.c.transaction_id != "")
        .group_by(RECORDS.c.transaction_id)
        .having(first > after)
        .order_by(first)
        .limit(limit)
    )
    return [(int(seq), str(name)) for seq, name in connection.execute(query)]


def incidents(connection: sa.Connection, *, after: int = 0, limit: int = 100) -> list[dict[str, object]]:
    """Contradictions in the order they came, from behind `after`."""
    query = sa.select(INCIDENTS).where(INCIDENTS.c.seq > after).order_by(INCIDENTS.c.seq).limit(limit)
    return [dict(row._mapping) for row in connection.execute(query)]  # noqa: SLF001 - SQLAlchemy's public name for it


def _stored(row: sa.Row[tuple[object, ...]]) -> StoredRecord:
    return StoredRecord(
        row.seq,
        SignedRecord(
            row.record_id,
            row.gateway,
            row.meter,
            row.page,
            row.transaction_id,
            row.context,
            row.ocmf,
            row.public_key,
        ),
        row.received_at,
        row.deliveries,
    )
