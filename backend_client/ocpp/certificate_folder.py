"""Root certificates that a CSMS has installed: one PEM file each, in a folder per kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from backend_client.ocpp.certificate_status import hash_data
from ports.errors import PeerError, RigError

MAX_INSTALLED = 64
KINDS = ("V2GRootCertificate", "MORootCertificate", "CSMSRootCertificate", "ManufacturerRootCertificate")
_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "SHA256": hashes.SHA256,
    "SHA384": hashes.SHA384,
    "SHA512": hashes.SHA512,
}


@dataclass(frozen=True, slots=True)
class Installed:
    """kind: InstallCertificateUseEnumType."""

    kind: str
    path: Path
    certificate: x509.Certificate

    def hash_data(self, algorithm: str = "SHA256") -> dict[str, str]:
        """CertificateHashDataType."""
        data = hash_data(self.certificate, self.certificate, _HASHES[algorithm]())
        return {key: text for key, text in data.items() if key != "responderURL"}


class CertificateFolder:
    """The folder; small, so it is read each time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def installed(self, kinds: Iterable[str] = KINDS) -> list[Installed]:
        """All of these kinds. Raises RigError for a file that is no certificate."""
        found = []
        for kind in kinds:
            for path in sorted((self._path / kind).glob("*.pem")):
                try:
                    found.append(Installed(kind, path, x509.load_pem_x509_certificate(path.read_bytes())))
                except (OSError, ValueError) as error:
                    raise RigError(f"{path} is no certificate ({error}); remove it") from error
        return found

    def install(self, kind: str, pem: str, now: datetime) -> None:
        """Keep a root. Raises PeerError for what is none, RigError when it cannot be kept."""
        try:
            certificate = x509.load_pem_x509_certificate(pem.encode())
            certificate.verify_directly_issued_by(certificate)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
            raise PeerError(f"not a self-signed certificate: {error!r}", pem) from error
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise PeerError(f"the certificate is not valid at {now}", pem)
        if len(self.installed()) >= MAX_INSTALLED:
            raise PeerError(f"{MAX_INSTALLED} certificates are installed already; delete some first", pem)
        path = self._path / kind / f"{certificate.fingerprint(hashes.SHA256()).hex()}.pem"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(certificate.public_bytes(Encoding.PEM))
        except OSError as error:
            raise RigError(f"{path} cannot be written: {error}") from error

    def delete(self, wanted: dict[str, str]) -> bool:
        """Remove what has this CertificateHashDataType; False when there is none."""
        same = [one for one in self.installed() if _matches(one.hash_data(wanted["hashAlgorithm"]), wanted)]
        for one in same:
            one.path.unlink(missing_ok=True)
        return bool(same)


def _matches(own: dict[str, str], wanted: dict[str, str]) -> bool:
    return all(own[key].lower().lstrip("0") == wanted[key].lower().lstrip("0") for key in own)
