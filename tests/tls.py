"""Throw-away TLS certificates for tests."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@cache
def tls_pem() -> tuple[bytes, bytes]:
    """Key and certificate of a server (localhost, 127.0.0.1, cpo.example)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    # OpenSSL judges validity by the machine's clock, in virtual time too
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(
            x509.SubjectAlternativeName(
                [
                    x509.DNSName("localhost"),
                    x509.DNSName("cpo.example"),
                    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                ]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pkcs8 = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pkcs8, certificate.public_bytes(serialization.Encoding.PEM)


@cache
def tls_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Server and client; the client trusts exactly that server."""
    key, certificate = tls_pem()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        chain = Path(folder) / "server.pem"
        chain.write_bytes(key + certificate)
        server.load_cert_chain(chain)
    return server, ssl.create_default_context(cadata=certificate.decode())


def tls_files(folder: Path) -> tuple[Path, Path]:
    """Certificate and key as files."""
    key, certificate = tls_pem()
    (folder / "tls.key").write_bytes(key)
    (folder / "tls.pem").write_bytes(certificate)
    return folder / "tls.pem", folder / "tls.key"
