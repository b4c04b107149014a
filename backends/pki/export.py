"""Certificates and keys of a realm as files, for those who read files: own layout, PEM bundles, the layout of Josev."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sa
from asn1crypto import pem  # type: ignore[import-untyped]
from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from backends.pki import certificate_store as store
from backends.pki.authorities import CertificateAuthorities, Issued
from backends.pki.ca_keys import FileKeys
from backends.pki.profiles import load_profile
from ports.errors import RigError

JOSEV_PASSWORD = "12345"  # noqa: S105 - what its own script writes, and its key files are test material
# File names of EcoG-io/iso15118 (iso15118/shared/security.py: CertPath, KeyPath, KeyPasswordPath): certificate, key.
_JOSEV: Mapping[str, tuple[str, str]] = {
    "v2g-root": ("v2gRootCACert", "v2gRootCA"),
    "cpo-sub1": ("cpoSubCA1Cert", "cpoSubCA1"),
    "cpo-sub2": ("cpoSubCA2Cert", "cpoSubCA2"),
    "secc": ("seccLeafCert", "seccLeaf"),
    "cps-sub1": ("cpsSubCA1Cert", "cpsSubCA1"),
    "cps-sub2": ("cpsSubCA2Cert", "cpsSubCA2"),
    "cps": ("cpsLeafCert", "cpsLeaf"),
    "mo-root": ("moRootCACert", "moRootCA"),
    "mo-sub1": ("moSubCA1Cert", "moSubCA1"),
    "mo-sub2": ("moSubCA2Cert", "moSubCA2"),
    "contract": ("contractLeafCert", "contractLeaf"),
    "oem-root": ("oemRootCACert", "oemRootCA"),
    "oem-sub1": ("oemSubCA1Cert", "oemSubCA1"),
    "oem-sub2": ("oemSubCA2Cert", "oemSubCA2"),
    "provisioning": ("oemLeafCert", "oemLeaf"),
}
_JOSEV_CHAINS = {
    "secc": "cpoCertChain",
    "provisioning": "oemCertChain",
    "contract": "moCertChain",
    "cps": "cpsCertChain",
}
_JOSEV_PASSWORDS = ("seccLeaf", "oemLeaf", "contractLeaf", "cpsLeaf", "moSubCA2Leaf")
LEAFS = (*_JOSEV_CHAINS, "vehicle")


async def newest_of_realm(authorities: CertificateAuthorities, realm: str) -> dict[str, Issued]:
    """The newest certificate of every kind that the realm has, parents first. Raises RigError when it has none."""
    profile = load_profile((await authorities.realm(realm)).preset)
    stored = await authorities.database.read(lambda connection: _newest(connection, realm))
    found = {kind: stored[kind] for kind in profile.certificates if kind in stored}
    if not found:
        raise RigError(f"realm {realm!r} has no certificate yet")
    return found


def export_plain(
    issued: Mapping[str, Issued], folder: Path, keys: FileKeys | None = None, *, password: str = ""
) -> list[Path]:
    """One <kind>.pem and .der per certificate, <kind>.chain.pem (leaf first, no root), and <kind>.key of file keys.

    keys: None leaves the key files out. password: encrypts them, "" leaves them open (mode 0600).
    Returns what was written. Raises RigError.
    """
    written = []
    for kind, one in issued.items():
        written.append(write(folder / f"{kind}.pem", as_pem([one.certificate])))
        written.append(write(folder / f"{kind}.der", one.certificate.dump()))
        if len(one.chain) > 1:
            written.append(write(folder / f"{kind}.chain.pem", as_pem([one.certificate, *one.sub_cas])))
        if keys is not None and one.stored.key_reference.startswith(FileKeys.SCHEME):
            written.append(write(folder / f"{kind}.key", _key(keys, one, password), 0o600))
    return written


def export_bundle(issued: Mapping[str, Issued], folder: Path) -> list[Path]:
    """roots.pem, sub-cas.pem and <kind>.chain.pem of leafs (leaf first, root last). Returns what was written."""
    cas = [one for kind, one in issued.items() if kind not in LEAFS]
    roots = [one.certificate for one in cas if one.stored.is_root]
    subs = [one.certificate for one in cas if not one.stored.is_root]
    written = [write(folder / "roots.pem", as_pem(roots)), write(folder / "sub-cas.pem", as_pem(subs))]
    for kind in LEAFS:
        if kind in issued:
            path = [one.x509 for one in issued[kind].chain]
            written.append(write(folder / f"{kind}.chain.pem", as_pem(path)))
    return written


def export_josev(
    issued: Mapping[str, Issued], keys: FileKeys, folder: Path, *, password: str = JOSEV_PASSWORD
) -> list[Path]:
    """What the PyPI package iso15118 reads when PKI_PATH is this folder: iso15118_2/certs and iso15118_2/private_keys.

    CA keys that are in a token are left out: Josev then cannot play the certificate provisioning service.
    Returns what was written. Raises RigError when the realm lacks what Josev needs.
    """
    certs, private = folder / "iso15118_2" / "certs", folder / "iso15118_2" / "private_keys"
    missing = [kind for kind in ("secc", "contract", "cps", "provisioning") if kind not in issued]
    if missing:
        raise RigError(f"Josev needs certificates that this realm lacks: {', '.join(missing)}")
    # a preset whose branches all end at the V2G root has no roots of its own for MO and OEM
    ends = {"mo-root": issued["contract"].chain[-1:], "oem-root": issued["provisioning"].chain[-1:]}
    everything = {**{kind: Issued(chain) for kind, chain in ends.items()}, **issued}
    written = []
    for kind, (name, key_name) in _JOSEV.items():
        one = everything[kind]
        written.append(write(certs / f"{name}.pem", as_pem([one.certificate])))
        written.append(write(certs / f"{name}.der", one.certificate.dump()))
        if kind in _JOSEV_CHAINS:
            written.append(write(certs / f"{_JOSEV_CHAINS[kind]}.pem", as_pem([one.certificate, *one.sub_cas])))
        if one.stored.key_reference.startswith(FileKeys.SCHEME):
            written.append(write(private / f"{key_name}.key", _key(keys, one, password), 0o600))
    secret = f"{password}\n".encode()
    return [*written, *(write(private / f"{name}Password.txt", secret, 0o600) for name in _JOSEV_PASSWORDS)]


def as_pem(certificates: list[Certificate]) -> bytes:
    """A PEM bundle."""
    return b"".join(pem.armor("CERTIFICATE", one.dump()) for one in certificates)


def write(path: Path, octets: bytes, mode: int = 0o644) -> Path:
    """Write a file anew, with its folders; returns its path. Raises RigError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(octets)
    except OSError as error:
        raise RigError(f"{path}: {error.strerror}") from None
    return path


def _newest(connection: sa.Connection, realm: str) -> dict[str, Issued]:
    by_kind = {one.kind: one for one in store.listed(connection, realm)}  # the last of a kind stays
    return {kind: Issued(tuple(store.chain(connection, one))) for kind, one in by_kind.items()}


def _key(keys: FileKeys, issued: Issued, password: str) -> bytes:
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    key = keys.load(issued.stored.key_reference).key
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
