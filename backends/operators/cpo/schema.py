"""The tables of a CPO's CSMS. Times are ISO 8601 text as civil time was, but for `due`: UTC seconds since 1970."""

from __future__ import annotations

import sqlalchemy as sa

METADATA = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
# SQLite numbers rows by itself only for INTEGER, PostgreSQL wants 64 bits.
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

STATIONS = sa.Table(
    "csms_stations",
    METADATA,
    sa.Column("identity", sa.String(48), primary_key=True),
    sa.Column("version", sa.String(16), nullable=False),
    sa.Column("profile", sa.Integer, nullable=False),  # the highest security profile it ever used: never lowered
    sa.Column("boot", sa.JSON, nullable=False),  # its last BootNotification
    sa.Column("boots", sa.Integer, nullable=False),
    sa.Column("seen", sa.String(40), nullable=False),
)

CONNECTORS = sa.Table(
    "csms_connectors",
    METADATA,
    sa.Column("station", sa.String(48), primary_key=True),
    sa.Column("evse", sa.BigInteger, primary_key=True),
    sa.Column("connector", sa.BigInteger, primary_key=True),
    sa.Column("status", sa.String(32), nullable=False),
    sa.Column("detail", sa.String(200), nullable=False),  # OCPP 1.6: errorCode and info
    sa.Column("at", sa.String(40), nullable=False),
)

TRANSACTIONS = sa.Table(
    "csms_transactions",
    METADATA,
    sa.Column("seq", ROW_ID, sa.Identity(), primary_key=True),  # OCPP 1.6: also its transactionId
    sa.Column("station", sa.String(48), nullable=False),
    sa.Column("transaction_id", sa.String(48), nullable=False),
    sa.Column("version", sa.String(16), nullable=False),
    sa.Column("evse", sa.BigInteger, nullable=False),
    sa.Column("connector", sa.BigInteger, nullable=False),
    sa.Column("id_token", sa.String(255), nullable=False),
    sa.Column("id_type", sa.String(20), nullable=False),  # OCMF's name
    sa.Column("remote_start_id", sa.BigInteger),
    sa.Column("began", sa.String(40), nullable=False),  # as the station says; "" when its begin has not come
    sa.Column("ended", sa.String(40), nullable=False),  # "" while it runs
    sa.Column("stop_reason", sa.String(40), nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("flags", sa.JSON, nullable=False),  # why it is not billed
    sa.Column("detail_id", sa.String(36), nullable=False),  # "" until it is billed
    sa.UniqueConstraint("station", "transaction_id", name="uq_csms_transactions_station"),
)

MESSAGES = sa.Table(
    "csms_messages",  # what had an effect, with the answer that a repeat gets again
    METADATA,
    sa.Column("seq", ROW_ID, sa.Identity(), primary_key=True),
    sa.Column("station", sa.String(48), nullable=False),
    sa.Column("key", sa.String(128), nullable=False),  # what tells a repeat from a new message
    sa.Column("digest", sa.String(64), nullable=False),  # SHA-256 of the content
    sa.Column("action", sa.String(32), nullable=False),
    sa.Column("transaction_id", sa.String(48), nullable=False),
    sa.Column("seq_no", sa.BigInteger),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("deliveries", sa.Integer, nullable=False),
    sa.Column("received", sa.String(40), nullable=False),
    sa.UniqueConstraint("station", "key", "digest", name="uq_csms_messages_station"),
    sa.Index("ix_csms_messages_transaction", "station", "transaction_id"),
)

SIGNED_VALUES = sa.Table(
    "csms_signed_values",
    METADATA,
    sa.Column("seq", ROW_ID, sa.Identity(), primary_key=True),
    sa.Column("station", sa.String(48), nullable=False),
    sa.Column("transaction_id", sa.String(48), nullable=False),
    sa.Column("record_id", sa.String(64), nullable=False),  # SHA-256 of the payload, of the whole text when unreadable
    sa.Column("context", sa.String(32), nullable=False),
    sa.Column("carriage", sa.String(24), nullable=False),
    sa.Column("ocmf", sa.Text, nullable=False),
    sa.Column("gateway", sa.String(128), nullable=False),
    sa.Column("meter", sa.String(128), nullable=False),
    sa.Column("page", sa.String(20), nullable=False),
    sa.Column("verdict", sa.String(20), nullable=False),  # "valid", or why not
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("received", sa.String(40), nullable=False),
    sa.UniqueConstraint("station", "transaction_id", "record_id", name="uq_csms_signed_values_station"),
    sa.Index("ix_csms_signed_values_source", "gateway", "meter"),
    sa.Index("ix_csms_signed_values_record", "record_id"),
)

INCIDENTS = sa.Table(
    "csms_incidents",
    METADATA,
    sa.Column("seq", ROW_ID, sa.Identity(), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),  # of what it is about: raised once
    sa.Column("station", sa.String(48), nullable=False),
    sa.Column("transaction_id", sa.String(48), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("at", sa.String(40), nullable=False),
)

REPORTS = sa.Table(
    "csms_reports",  # security events and device reports, as they came
    METADATA,
    sa.Column("seq", ROW_ID, sa.Identity(), primary_key=True),
    sa.Column("station", sa.String(48), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.UniqueConstraint("station", "kind", "digest", name="uq_csms_reports_station"),
)

CHARGE_DETAILS = sa.Table(
    "csms_charge_details",
    METADATA,
    sa.Column("seq", ROW_ID, sa.Identity(), primary_key=True),
    sa.Column("id", sa.String(36), nullable=False, unique=True),
    sa.Column("station", sa.String(48), nullable=False),
    sa.Column("transaction_id", sa.String(48), nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Column("made", sa.String(40), nullable=False),
)

OUTBOX = sa.Table(
    "csms_outbox",
    METADATA,
    sa.Column("seq", ROW_ID, sa.Identity(), primary_key=True),
    sa.Column("detail_id", sa.String(36), nullable=False),
    sa.Column("sink", sa.String(48), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),  # "waiting", "delivered", "refused"
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due", sa.BigInteger, nullable=False),
    sa.Column("why", sa.Text, nullable=False),  # the last refusal
    sa.UniqueConstraint("detail_id", "sink", name="uq_csms_outbox_detail_id"),
    sa.Index("ix_csms_outbox_due", "state", "due"),
)

LEASES = sa.Table(
    "csms_leases",  # which of several processes delivers to a taker
    METADATA,
    sa.Column("sink", sa.String(48), primary_key=True),
    sa.Column("holder", sa.String(36), nullable=False),
    sa.Column("until", sa.BigInteger, nullable=False),  # UTC seconds since 1970
)

ROAMING_SESSIONS = sa.Table(
    "csms_roaming_sessions",  # whose customer charges: what a mobility operator may see and stop
    METADATA,
    sa.Column("seq", ROW_ID, sa.Identity(), primary_key=True),
    sa.Column("station", sa.String(48), nullable=False),
    sa.Column("transaction_id", sa.String(48), nullable=False),  # "" for a remote start that has not begun
    sa.Column("remote_start_id", sa.BigInteger),  # OCPP 1.6 has none
    sa.Column("partner", sa.String(8), nullable=False),  # party id, "DEPLB"
    sa.Column("token", sa.JSON, nullable=False),  # OCPI CdrToken
    sa.Column("auth_method", sa.String(16), nullable=False),  # OCPI AuthMethod
    sa.Column("at", sa.BigInteger, nullable=False),  # UTC seconds since 1970
    sa.Index("ix_csms_roaming_sessions_transaction", "station", "transaction_id"),
)
