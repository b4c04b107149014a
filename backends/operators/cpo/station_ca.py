"""The CPO's own CA for its stations: certificates of security profile 3, issued with SignCertificate."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from backends.pki.csr import read_request
from ports.clock import Clock
from ports.errors import PeerError, RigError

VALID_DAYS = 365
BACKDATED = timedelta(minutes=5)  # stations' clocks differ
_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=True,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


class StationCa:
    """An `Enroller` with a key of its own. Who asks gets a certificate of his own identity only."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, clock: Clock) -> None:
        self._certificate = certificate
        self._key = key
        self._clock = clock

    @classmethod
    def from_files(cls, certificate: Path, key: Path, clock: Clock) -> StationCa:
        """PEM files; the key on an elliptic curve, not encrypted. Raises RigError."""
        try:
            loaded = load_pem_private_key(key.read_bytes(), None)
            found = x509.load_pem_x509_certificate(certificate.read_bytes())
        except (OSError, ValueError, TypeError) as error:
            raise RigError(f"CA files {certificate}, {key}: {error}") from None
        if not isinstance(loaded, ec.EllipticCurvePrivateKey) or loaded.public_key() != found.public_key():
            raise RigError(f"{key} is not the key on an elliptic curve of {certificate}")
        return cls(found, loaded, clock)

    async def __call__(self, request: bytes, station: str) -> tuple[bytes, ...]:
        """Raises PeerError: a request for another name."""
        asked = read_request(request)
        name = asked.attribute("common_name")
        if name != station:  # the CN is what `StationAccess` knows it by
            raise PeerError(f"{station} asks for a certificate of {name[:64]!r}")
        now = self._clock.now()
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        if organisation := asked.attribute("organization_name"):
            subject.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
        issued = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(subject))
            .issuer_name(self._certificate.subject)
            .public_key(load_der_public_key(asked.public_key))  # type: ignore[arg-type]
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(now + timedelta(days=VALID_DAYS))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_USAGE, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return (issued.public_bytes(Encoding.DER),)
