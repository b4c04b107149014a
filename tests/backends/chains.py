"""Certificate chains for tests of the pools, made by pyca/cryptography; keys are reused, they cost time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)  # where ManualClock begins
FROM, TO = NOW - timedelta(days=365), NOW + timedelta(days=365)


@cache
def key(number: int) -> ec.EllipticCurvePrivateKey:
    """The same key for the same number."""
    del number
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA of a test. number: of its key."""

    certificate: x509.Certificate
    number: int

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def issue(
    name: str,
    number: int,
    issuer: Authority | None = None,
    *,
    valid_from: datetime = FROM,
    valid_to: datetime = TO,
    ca: bool = True,
    path_length: int | None = None,
    component: str = "V2G",
    key_usage: bool = True,
) -> Authority:
    """Issue one certificate; without an issuer it is a root."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Plugbench"),
            x509.NameAttribute(NameOID.DOMAIN_COMPONENT, component),
        ]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key(number).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid_from)
        .not_valid_after(valid_to)
        .add_extension(x509.BasicConstraints(ca, path_length), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key(number).public_key()), critical=False)
    )
    if issuer:
        aki = x509.AuthorityKeyIdentifier.from_issuer_public_key(key(issuer.number).public_key())
        builder = builder.add_extension(aki, critical=False)
    if key_usage:
        usage = x509.KeyUsage(not ca, False, False, False, not ca, ca, ca, False, False)
        builder = builder.add_extension(usage, critical=True)
    signed = builder.sign(key(issuer.number if issuer else number), hashes.SHA256())
    return Authority(signed, number)


@dataclass(frozen=True, slots=True)
class Tree:
    """A root with two sub-CAs."""

    root: Authority
    sub_1: Authority
    sub_2: Authority


def tree(name: str = "OEM", **validity: datetime) -> Tree:
    """A root, Sub-CA 1 and Sub-CA 2. validity: valid_from, valid_to of the sub-CAs."""
    root = issue(f"{name} Root CA", 1)
    sub_1 = issue(f"{name} Sub-CA 1", 2, root, path_length=1, **validity)
    sub_2 = issue(f"{name} Sub-CA 2", 3, sub_1, path_length=0, **validity)
    return Tree(root, sub_1, sub_2)


def vehicle(
    tree: Tree, pcid: str, number: int = 4, *, valid_from: datetime = FROM, valid_to: datetime = TO, ca: bool = False
) -> bytes:
    """A provisioning certificate, DER. number: of its key."""
    return issue(pcid, number, tree.sub_2, valid_from=valid_from, valid_to=valid_to, ca=ca, component="OEM").der
