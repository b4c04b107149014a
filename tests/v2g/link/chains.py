"""Throw-away V2G chains as files: root, sub-CA, SECC leaf."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp

from v2g.link.tls_settings import Chain

DAY = timedelta(days=1)


def certificate(name, key, issuer, issuer_key, *, ca, begin, end):
    builder = x509.CertificateBuilder(
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]),
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]),
        key.public_key(),
        x509.random_serial_number(),
        begin,
        end,
    )
    return builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True).sign(
        issuer_key, hashes.SHA256()
    )


@cache
def made(letter, curve=ec.SECP256R1, begin=-1, end=9):
    """(root, sub-CA, leaf, leaf key, sub-CA key) of chain A, B, ...; leaf valid from day `begin` to day `end`."""
    # OpenSSL judges by the machine's clock
    now = datetime.now(UTC).replace(microsecond=0)
    keys = [ec.generate_private_key(curve()) for _ in range(3)]
    names = [f"V2G Root {letter}", f"Sub-CA {letter}", f"SECC {letter}"]
    root = certificate(names[0], keys[0], names[0], keys[0], ca=True, begin=now - 400 * DAY, end=now + 400 * DAY)
    sub = certificate(names[1], keys[1], names[0], keys[0], ca=True, begin=now - 400 * DAY, end=now + 400 * DAY)
    leaf = certificate(names[2], keys[2], names[1], keys[1], ca=False, begin=now + begin * DAY, end=now + end * DAY)
    return root, sub, leaf, keys[2], keys[1]


def write_chain(folder: Path, letter: str, *, password: str | None = None, staple: str = "", **how) -> Chain:
    """The files of a chain in a folder."""
    root, sub, leaf, key, sub_key = made(letter, **how)
    pem = leaf.public_bytes(Encoding.PEM) + sub.public_bytes(Encoding.PEM)
    (folder / f"{letter}.pem").write_bytes(pem)
    lock = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    (folder / f"{letter}.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock))
    (folder / f"{letter}-root.der").write_bytes(root.public_bytes(Encoding.DER))
    if staple:
        (folder / f"{letter}.ocsp").write_bytes(ocsp_response(leaf, sub, sub_key, staple))
    return Chain(
        folder / f"{letter}.pem",
        folder / f"{letter}.key",
        password,
        folder / f"{letter}-root.der",
        folder / f"{letter}.ocsp" if staple else None,
    )


def ocsp_response(leaf, issuer, issuer_key, status) -> bytes:
    now = datetime.now(UTC).replace(microsecond=0)
    revoked = now - DAY if status == "REVOKED" else None
    builder = ocsp.OCSPResponseBuilder().add_response(
        leaf, issuer, hashes.SHA1(), ocsp.OCSPCertStatus[status], now - DAY, now + DAY, revoked, None
    )
    return (
        builder.responder_id(ocsp.OCSPResponderEncoding.NAME, issuer)
        .sign(issuer_key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )
