"""What the certificate authorities keep: realms, certificates, revocations. Plain functions over a connection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]

from backends.store.audit import record
from backends.store.schema import PKI_CERTIFICATES, PKI_REALMS
from ports.errors import LocalError, RigError
from v2g.certificates import common_name

MAX_CHAIN = 8
REASONS = (
    "unspecified",
    "key_compromise",
    "ca_compromise",
    "affiliation_changed",
    "superseded",
    "cessation_of_operation",
    "certificate_hold",
    "privilege_withdrawn",
    "aa_compromise",
)  # RFC 5280 5.3.1


@dataclass(frozen=True, slots=True)
class Realm:
    """One set of roots and all below them. preset: issuing profile; algorithm: of its keys."""

    realm: str
    preset: str
    algorithm: str


@dataclass(frozen=True, slots=True)
class StoredCertificate:
    """A row of pki_certificates; times are UTC seconds since 1970."""

    sequence: int
    fingerprint: str
    realm: str
    kind: str
    issuer: str
    serial: str
    common_name: str
    certificate: bytes
    valid_from: int
    valid_to: int
    key_reference: str
    owner: str
    bad: str
    issued: int
    revoked: int | None
    reason: str | None

    @property
    def x509(self) -> Certificate:
        """Parsed."""
        return Certificate.load(self.certificate)

    @property
    def is_root(self) -> bool:
        """Whether it is its own issuer."""
        return self.issuer == self.fingerprint


def fingerprint(certificate: Certificate) -> str:
    """SHA-256 of the DER, hex."""
    return bytes(certificate.sha256).hex()


def add_realm(connection: sa.Connection, realm: Realm, *, at: int, actor: str) -> None:
    """Raises RigError when there is one of that name."""
    if find_realm(connection, realm.realm):
        raise RigError(f"realm {realm.realm!r} exists already: take another name")
    connection.execute(
        PKI_REALMS.insert().values(realm=realm.realm, preset=realm.preset, algorithm=realm.algorithm, created=at)
    )
    after = {"preset": realm.preset, "algorithm": realm.algorithm}
    record(connection, at=at, actor=actor, operation="pki.realm", subject=realm.realm, after=after)


def find_realm(connection: sa.Connection, name: str) -> Realm | None:
    """The realm of that name."""
    row = connection.execute(sa.select(PKI_REALMS).where(PKI_REALMS.c.realm == name)).one_or_none()
    return Realm(row.realm, row.preset, row.algorithm) if row else None


def list_realms(connection: sa.Connection) -> list[Realm]:
    """All, in the order in which they were made."""
    rows = connection.execute(sa.select(PKI_REALMS).order_by(PKI_REALMS.c.sequence))
    return [Realm(row.realm, row.preset, row.algorithm) for row in rows]


def add_certificate(
    connection: sa.Connection,
    certificate: Certificate,
    *,
    realm: str,
    kind: str,
    issuer: str,
    key_reference: str = "",
    owner: str = "",
    bad: str = "",
    at: int,
    actor: str,
) -> StoredCertificate:
    """Keep an issued certificate. issuer: fingerprint of the issuer's certificate, its own for a root."""
    values = {
        "fingerprint": fingerprint(certificate),
        "realm": realm,
        "kind": kind,
        "issuer": issuer,
        "serial": f"{certificate.serial_number:x}",
        "common_name": common_name(certificate)[:64],
        "certificate": certificate.dump(),
        "valid_from": int(certificate.not_valid_before.timestamp()),
        "valid_to": int(certificate.not_valid_after.timestamp()),
        "key_reference": key_reference,
        "owner": owner,
        "bad": bad,
        "issued": at,
    }
    connection.execute(PKI_CERTIFICATES.insert().values(values))
    shown = ("realm", "kind", "issuer", "serial", "common_name", "valid_to", "owner", "bad")
    after = {key: values[key] for key in shown}
    record(connection, at=at, actor=actor, operation="pki.issue", subject=values["fingerprint"], after=after)
    return by_fingerprint(connection, values["fingerprint"])


def _where(connection: sa.Connection, *conditions: sa.ColumnElement[bool], newest: int = 0) -> list[StoredCertificate]:
    select = sa.select(PKI_CERTIFICATES).where(*conditions)
    order = PKI_CERTIFICATES.c.sequence
    select = select.order_by(order.desc()).limit(newest) if newest else select.order_by(order)
    return [StoredCertificate(*row) for row in connection.execute(select)]


def lookup(connection: sa.Connection, value: str) -> StoredCertificate | None:
    """By fingerprint."""
    found = _where(connection, PKI_CERTIFICATES.c.fingerprint == value)
    return found[0] if found else None


def by_fingerprint(connection: sa.Connection, value: str) -> StoredCertificate:
    """Raises RigError when there is none."""
    found = lookup(connection, value)
    if found is None:
        raise RigError(f"no certificate with SHA-256 {value} in the store")
    return found


def by_serial(connection: sa.Connection, issuer: str, serial: int) -> StoredCertificate | None:
    """What the issuer (fingerprint) gave that serial number."""
    found = _where(connection, PKI_CERTIFICATES.c.issuer == issuer, PKI_CERTIFICATES.c.serial == f"{serial:x}")
    return found[0] if found else None


def newest(connection: sa.Connection, realm: str, kind: str, issuer: str = "") -> StoredCertificate | None:
    """The certificate of that kind which was made last; of one issuer if its fingerprint is given."""
    conditions = [PKI_CERTIFICATES.c.realm == realm, PKI_CERTIFICATES.c.kind == kind]
    if issuer:
        conditions.append(PKI_CERTIFICATES.c.issuer == issuer)
    found = _where(connection, *conditions, newest=1)
    return found[0] if found else None


def listed(connection: sa.Connection, realm: str = "") -> list[StoredCertificate]:
    """All certificates, of one realm if it is named, in the order in which they were made."""
    return _where(connection, *([PKI_CERTIFICATES.c.realm == realm] if realm else []))


def authorities(connection: sa.Connection) -> list[StoredCertificate]:
    """Every certificate that has issued another or itself."""
    issuers = sa.select(PKI_CERTIFICATES.c.issuer).distinct()
    return _where(connection, PKI_CERTIFICATES.c.fingerprint.in_(issuers))


def last_sequence(connection: sa.Connection) -> int:
    """Grows with every certificate; 0 when there is none."""
    return connection.execute(sa.select(sa.func.max(PKI_CERTIFICATES.c.sequence))).scalar_one() or 0


def revoked_by(connection: sa.Connection, issuer: str) -> list[StoredCertificate]:
    """What the issuer (fingerprint) has revoked."""
    return _where(connection, PKI_CERTIFICATES.c.issuer == issuer, PKI_CERTIFICATES.c.revoked.is_not(None))


def chain(connection: sa.Connection, certificate: StoredCertificate) -> list[StoredCertificate]:
    """From the certificate up to its root, both included."""
    line = [certificate]
    while not line[-1].is_root:
        if len(line) > MAX_CHAIN:
            raise LocalError(f"the issuers of {certificate.common_name} form a ring")
        line.append(by_fingerprint(connection, line[-1].issuer))
    return line


def find(connection: sa.Connection, wanted: str, realm: str = "") -> StoredCertificate:
    """The newest certificate by fingerprint (or its first 8 digits and more), serial, common name or kind.

    Raises RigError: none, or a fingerprint that fits several.
    """
    t = PKI_CERTIFICATES.c
    within = [t.realm == realm] if realm else []
    text = wanted.replace(":", "").lower()
    for condition in (t.common_name == wanted, t.kind == wanted, t.serial == text.lstrip("0")):
        if found := _where(connection, *within, condition, newest=1):
            return found[0]
    if len(text) >= 8 and set(text) <= set("0123456789abcdef"):
        found = _where(connection, *within, t.fingerprint.startswith(text), newest=2)
        if len(found) == 1:
            return found[0]
    raise RigError(f"no certificate {wanted!r} in the store: see `plugbench pki show`")


def revoke(
    connection: sa.Connection, certificate: StoredCertificate, reason: str, *, at: int, actor: str
) -> StoredCertificate:
    """Mark it as revoked from `at` on; a second time changes nothing but lifts or sets no hold.

    Raises RigError: unknown reason, or a root (nobody could say so of it).
    """
    if reason not in REASONS:
        raise RigError(f"revocation reason {reason!r} is unknown; there are {', '.join(REASONS)}")
    if certificate.is_root:
        raise RigError(f"{certificate.common_name} is a root: it is withdrawn from the root pool, not revoked")
    if certificate.revoked is not None:
        return certificate
    connection.execute(
        PKI_CERTIFICATES.update()
        .where(PKI_CERTIFICATES.c.fingerprint == certificate.fingerprint)
        .values(revoked=at, reason=reason)
    )
    record(
        connection,
        at=at,
        actor=actor,
        operation="pki.revoke",
        subject=certificate.fingerprint,
        before={"revoked": None},
        after={"revoked": at, "reason": reason, "common_name": certificate.common_name},
    )
    return by_fingerprint(connection, certificate.fingerprint)


def paths(connection: sa.Connection, found: Sequence[StoredCertificate]) -> list[list[StoredCertificate]]:
    """The chain of each."""
    return [chain(connection, one) for one in found]


_REVOKED = sa.select(PKI_CERTIFICATES.c.fingerprint, PKI_CERTIFICATES.c.revoked).where(
    PKI_CERTIFICATES.c.fingerprint.in_(sa.bindparam("fingerprints", expanding=True))
)


def revocations(connection: sa.Connection, fingerprints: Sequence[str]) -> dict[str, int | None]:
    """Of those that are ours: when each was revoked, None = it was not."""
    rows = connection.execute(_REVOKED, {"fingerprints": list(fingerprints)})
    return {row.fingerprint: row.revoked for row in rows}
