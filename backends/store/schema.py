"""The tables of the pools. Times are UTC seconds since 1970 (integers), octets are DER or EXI as received."""

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

CLIENTS = sa.Table(
    "clients",
    METADATA,
    sa.Column("client_id", sa.String(128), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("role", sa.String(32), nullable=False),
    sa.Column("wmis", sa.JSON, nullable=False),  # first 3 characters of the PCIDs it owns
    sa.Column("provider_ids", sa.JSON, nullable=False),  # first 5 characters of the EMAIDs it owns
    sa.Column("secret_hash", sa.String(200), nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("disabled", sa.Boolean, nullable=False),
)

TOKEN_KEYS = sa.Table(
    "token_keys",
    METADATA,
    sa.Column("kid", sa.String(64), primary_key=True),
    sa.Column("encrypted_key", sa.LargeBinary, nullable=False),  # PKCS#8, encrypted
    sa.Column("public_key", sa.LargeBinary, nullable=False),  # DER SubjectPublicKeyInfo
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("sign_until", sa.BigInteger, nullable=False),
    sa.Column("verify_until", sa.BigInteger, nullable=False),
)

ROOTS = sa.Table(
    "roots",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),  # UUID: rootCertificateId
    sa.Column("root_type", sa.String(8), nullable=False, index=True),  # MO, V2G, OEM, PE
    sa.Column("certificate", sa.LargeBinary, nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),  # SHA-256 of the DER
    sa.Column("distinguished_name", sa.Text, nullable=False),
    sa.Column("serial", sa.String(64), nullable=False),  # lower-case hex of the integer
    sa.Column("key_identifier", sa.String(64), nullable=False),  # SubjectKeyIdentifier, hex
    sa.Column("valid_from", sa.BigInteger, nullable=False),
    sa.Column("valid_to", sa.BigInteger, nullable=False, index=True),
    sa.Column("added", sa.BigInteger, nullable=False),
    sa.Column("revoked", sa.BigInteger),
    sa.UniqueConstraint("fingerprint", "root_type", name="uq_roots_fingerprint"),
)

PROVISIONING = sa.Table(
    "provisioning",
    METADATA,
    sa.Column("pcid_key", sa.String(18), primary_key=True),  # upper case; look-ups ignore case
    sa.Column("pcid", sa.String(18), nullable=False),  # as in the certificate
    sa.Column("certificate", sa.LargeBinary, nullable=False),
    sa.Column("sub_ca_2", sa.LargeBinary),
    sa.Column("sub_ca_1", sa.LargeBinary, nullable=False),
    sa.Column("namespace", sa.String(128), nullable=False),
    sa.Column("root_id", sa.String(36), nullable=False),
    sa.Column("v2g_root_key_identifiers", sa.JSON, nullable=False),
    sa.Column("previous_pcid", sa.String(18), nullable=False),  # "" when it never had another one
    sa.Column("public_key_hash", sa.String(64), nullable=False),  # SHA-256 of the SubjectPublicKeyInfo: tells a re-key
    sa.Column("valid_to", sa.BigInteger, nullable=False, index=True),
    sa.Column("owner", sa.String(128), nullable=False),
    sa.Column("stored", sa.BigInteger, nullable=False),
)

CONTRACTS = sa.Table(
    "contracts",
    METADATA,
    sa.Column("emaid_key", sa.String(36), primary_key=True),  # upper case, no hyphens
    sa.Column("emaid", sa.String(36), nullable=False),
    sa.Column("pcid_key", sa.String(18), nullable=False, index=True),
    sa.Column("pcid", sa.String(18), nullable=False),
    sa.Column("provider_id", sa.String(5), nullable=False),
    sa.Column("is_default", sa.Boolean, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),  # order of creation within a PCID
    sa.Column("owner", sa.String(128), nullable=False),
)

CONTRACT_CERTIFICATES = sa.Table(
    "contract_certificates",  # all that a contract has had: a vehicle may still hold an older one
    METADATA,
    sa.Column("emaid_key", sa.String(36), sa.ForeignKey("contracts.emaid_key", ondelete="CASCADE"), primary_key=True),
    sa.Column("fingerprint", sa.String(64), primary_key=True),  # SHA-256 of the DER, hex
    sa.Column("certificate", sa.LargeBinary, nullable=False),
    sa.Column("issued_here", sa.Boolean, nullable=False),  # by our own MO CA: revoked with the contract
)

CONTRACT_UPDATES = sa.Table(
    "contract_updates",  # answers to CertificateUpdateReq: who asks again gets the same
    METADATA,
    sa.Column("emaid_key", sa.String(36), sa.ForeignKey("contracts.emaid_key", ondelete="CASCADE"), primary_key=True),
    sa.Column("replaced", sa.String(64), primary_key=True),  # fingerprint of the certificate whose key opens the answer
    sa.Column("cps_root_id", sa.String(36), primary_key=True),
    sa.Column("certificate", sa.LargeBinary, nullable=False),  # the successor
    sa.Column("message", sa.LargeBinary, nullable=False),  # EXI of the signed response, session id of zeros
    sa.Column("valid_to", sa.BigInteger, nullable=False),
)

SIGNED_CONTRACTS = sa.Table(
    "signed_contracts",
    METADATA,
    sa.Column("emaid_key", sa.String(36), sa.ForeignKey("contracts.emaid_key", ondelete="CASCADE"), primary_key=True),
    sa.Column("namespace", sa.String(128), primary_key=True),
    sa.Column("cps_root_id", sa.String(36), primary_key=True),  # roots.id of the CPS signer's V2G root
    sa.Column("message", sa.LargeBinary, nullable=False),  # EXI of the signed response, session id of zeros
    sa.Column("xml", sa.LargeBinary, nullable=False),
    sa.Column("contract_certificate", sa.LargeBinary, nullable=False),
    sa.Column("cps_root_name", sa.Text, nullable=False),
    sa.Column("valid_to", sa.BigInteger, nullable=False, index=True),
    sa.Column("stored", sa.BigInteger, nullable=False),
)

WEBHOOK_ENDPOINTS = sa.Table(
    "webhook_endpoints",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("api", sa.String(16), nullable=False),  # facade and version that its events are written in: "opcp v1"
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("enabled_events", sa.JSON, nullable=False),  # of backends.pools.events.EventKind
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("encrypted_secret", sa.LargeBinary, nullable=False),  # needed in clear for each HMAC
    sa.Column("client_id", sa.String(128), nullable=False, index=True),
    sa.Column("owner", sa.String(200), nullable=False),  # name of the client
    sa.Column("role", sa.String(128), nullable=False),
    sa.Column("wmis", sa.JSON, nullable=False),
    sa.Column("provider_ids", sa.JSON, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
)

EVENTS = sa.Table(
    "events",
    METADATA,
    sa.Column("sequence", ROW_ID, sa.Identity(), primary_key=True),
    sa.Column("id", sa.String(36), nullable=False, unique=True),  # eventId: what receivers de-duplicate by
    sa.Column("event_type", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(64), nullable=False),  # PCID, EMAID or root id: whose event it is
    sa.Column("wmi", sa.String(3), nullable=False),
    sa.Column("provider_id", sa.String(5), nullable=False),
    sa.Column("namespace", sa.String(128), nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("cause", sa.String(36)),  # id of the event whose delivery made this one
    sa.UniqueConstraint("cause", "event_type", name="uq_events_cause"),
)

DELIVERIES = sa.Table(
    "deliveries",
    METADATA,
    sa.Column("event", ROW_ID, sa.ForeignKey("events.sequence"), primary_key=True),
    sa.Column("endpoint_id", sa.String(36), primary_key=True),
    sa.Column("subject", sa.String(64), nullable=False),  # of the event: within one, an endpoint is told in order
    sa.Column("state", sa.String(16), nullable=False),  # waiting, delivered, rejected, failed
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due", sa.BigInteger, nullable=False),
    sa.Column("leased_until", sa.BigInteger, nullable=False),  # a server that dies gives its work back
    sa.Column("last_status", sa.Integer),
    sa.Index("ix_deliveries_due", "state", "due"),
    sa.Index("ix_deliveries_order", "endpoint_id", "subject", "state", "event"),
)

RECEIVED_EVENTS = sa.Table(
    "received_events",  # what our own receivers have acted upon
    METADATA,
    sa.Column("receiver", sa.String(64), primary_key=True),
    sa.Column("event_id", sa.String(64), primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False, index=True),
)

AUDIT = sa.Table(
    "audit",
    METADATA,
    sa.Column("id", ROW_ID, sa.Identity(), primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("operation", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(64), nullable=False, index=True),
    sa.Column("before", sa.JSON),
    sa.Column("after", sa.JSON),
)

PKI_REALMS = sa.Table(
    "pki_realms",
    METADATA,
    sa.Column("sequence", ROW_ID, sa.Identity(), primary_key=True),
    sa.Column("realm", sa.String(64), nullable=False, unique=True),  # one set of roots and everything below them
    sa.Column("preset", sa.String(64), nullable=False),
    sa.Column("algorithm", sa.String(16), nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
)

PKI_CERTIFICATES = sa.Table(
    "pki_certificates",
    METADATA,
    sa.Column("sequence", ROW_ID, sa.Identity(), primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False, unique=True),  # SHA-256 of the DER, hex
    sa.Column("realm", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),  # v2g-root, cpo-sub1, ..., secc, contract, ocsp
    sa.Column("issuer", sa.String(64), nullable=False),  # fingerprint of the issuer's certificate; a root's own
    sa.Column("serial", sa.String(40), nullable=False),  # lower-case hex of the integer
    sa.Column("common_name", sa.String(64), nullable=False, index=True),
    sa.Column("certificate", sa.LargeBinary, nullable=False),
    sa.Column("valid_from", sa.BigInteger, nullable=False),
    sa.Column("valid_to", sa.BigInteger, nullable=False),
    sa.Column("key_reference", sa.String(200), nullable=False),  # "" when the key is not ours
    sa.Column("owner", sa.String(128), nullable=False),
    sa.Column("bad", sa.String(32), nullable=False),  # variant made wrong on purpose, "" normally
    sa.Column("issued", sa.BigInteger, nullable=False),
    sa.Column("revoked", sa.BigInteger),
    sa.Column("reason", sa.String(32)),  # RFC 5280 5.3.1, as asn1crypto spells it
    sa.UniqueConstraint("issuer", "serial", name="uq_pki_certificates_serial"),
    sa.Index("ix_pki_certificates_kind", "realm", "kind"),
)

PKI_END_ENTITIES = sa.Table(
    "pki_end_entities",  # announced before they enrol
    METADATA,
    sa.Column("common_name", sa.String(64), primary_key=True),
    sa.Column("client_id", sa.String(128), nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Column("stored", sa.BigInteger, nullable=False),
)
