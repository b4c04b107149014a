"""The certificates of a vehicle: V2G roots, its OEM provisioning certificate, and contracts with their keys.

    store = CertificateStore(folder)             # durable; CertificateStore() forgets with the process
    store.import_pki(Path("lab-files"))          # as `plugbench pki export` writes them
    contract = store.choose(clock.now(), "DE-ABC-C123ABC56")

In a folder:

    v2g-roots/<serial>.<SHA-256>.pem
    provisioning.pem             private key, certificate, sub-CAs
    contracts/<EMAID>.pem        private key, contract certificate, sub-CAs
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from asn1crypto import pem  # type: ignore[import-untyped]
from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from firmware_sim.vehicle.private_files import private_folder, remove_private, write_private
from firmware_sim.vehicle.stored_contract import StoredContract, identity_as_pem, stored_contract
from ports.errors import PeerError, RigError
from v2g.certificates import describe, load, public_key
from v2g.contract_key import agreement
from v2g.identifiers import normalise, same
from v2g.link.tls_settings import read_certificates
from v2g.session.vehicle_side import ProvisioningCredentials
from v2g.signature_suites import signer

MAX_ROOT_IDS = 20  # ISO 15118-2, ListOfRootCertificateIDsType


class CertificateStore:
    """What a vehicle holds. folder: where it lives, None: in memory only. Raises RigError for files of no use."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.provisioning: ProvisioningCredentials | None = None
        self._roots: dict[bytes, Certificate] = {}
        self._contracts: dict[str, StoredContract] = {}
        if folder is not None:
            self._read(folder)

    # what it holds

    @property
    def roots(self) -> tuple[Certificate, ...]:
        """V2G roots, in the order in which they came."""
        return tuple(self._roots.values())

    @property
    def root_files(self) -> tuple[Path, ...]:
        """The same as files, for TLS; empty in memory."""
        return () if self.folder is None else tuple(_root_file(self.folder, one) for one in self.roots)

    @property
    def root_ids(self) -> tuple[tuple[str, int], ...]:
        """See `root_ids`."""
        return root_ids(self.roots)

    @property
    def contracts(self) -> tuple[StoredContract, ...]:
        """Every contract, valid or not, by EMAID."""
        return tuple(self._contracts[emaid] for emaid in sorted(self._contracts))

    def choose(self, at: datetime, preferred: str = "") -> StoredContract | None:
        """The contract to pay with: valid, the preferred EMAID first, then the one that is valid longest."""
        valid = [one for one in self.contracts if one.is_valid(at)]
        return max(valid, key=lambda one: (same(one.emaid, preferred), one.not_after), default=None)

    # what comes and goes

    def add_root(self, root: Certificate) -> None:
        """Trust a V2G root. Raises RigError when it cannot be written."""
        if self.folder is not None:
            write_private(_root_file(self.folder, root), pem.armor("CERTIFICATE", root.dump()))
        self._roots[root.dump()] = root

    def set_provisioning(self, certificates: tuple[bytes, ...], key: Any) -> None:
        """The OEM provisioning certificate (DER, then its sub-CAs if they are known) and its private key.

        Raises RigError (the key is another's, the file cannot be written), CertificateError.
        """
        credentials = _provisioning(certificates, key)
        if self.folder is not None:
            write_private(self.folder / "provisioning.pem", identity_as_pem(key, certificates))
        self.provisioning = credentials

    def add_contract(self, certificates: tuple[bytes, ...], key: Any, emaid: str = "") -> StoredContract:
        """Keep a contract; it takes the place of an older one of its EMAID. See `stored_contract` for the arguments.

        Raises RigError (wrong name or key, cannot be written), CertificateError: the older one stays.
        """
        contract = stored_contract(certificates, key, emaid)
        if self.folder is not None:
            write_private(_contract_file(self.folder, contract.emaid), contract.as_pem())
        self._contracts[contract.emaid] = contract
        return contract

    def remove_contract(self, emaid: str) -> None:
        """Forget a contract and its key; harmless when there is none. Raises RigError when the file stays."""
        found = self._contracts.get(normalise(emaid))
        if found is None:
            return
        if self.folder is not None:
            remove_private(_contract_file(self.folder, found.emaid))
        del self._contracts[found.emaid]

    def import_pki(self, folder: Path, *, contract: bool = True, password: str | None = None) -> None:
        """Take over what a folder of `plugbench pki export` has: v2g-root, provisioning and (if wished) contract.

        Raises RigError naming the file.
        """
        for path in filter(Path.is_file, (folder / "v2g-root.pem",)):
            for root in read_certificates(path):
                self.add_root(root)
        for kind, take in (("provisioning", self.set_provisioning), ("contract", self.add_contract)):
            found = read_identity(folder, kind, password) if contract or kind != "contract" else None
            if found is not None:
                take(*found)

    # files

    def _read(self, folder: Path) -> None:
        for one in (folder, folder / "v2g-roots", folder / "contracts"):
            private_folder(one)
        for path in sorted((folder / "v2g-roots").glob("*.pem")):
            self._roots |= {root.dump(): root for root in read_certificates(path)}
        path = folder / "provisioning.pem"
        if path.is_file():
            self.provisioning = _named(path, lambda: _provisioning(*_identity_file(path)))
        for path in sorted((folder / "contracts").glob("*.pem")):
            contract = _named(path, lambda path=path: stored_contract(*_identity_file(path)))
            self._contracts[contract.emaid] = contract


def root_ids(roots: Iterable[Certificate]) -> tuple[tuple[str, int], ...]:
    """ListOfRootCertificateIDs: issuer (RFC 2253) and serial number of the first 20 roots."""
    return tuple((_rfc2253(one), int(one.serial_number)) for one in list(roots)[:MAX_ROOT_IDS])


def read_identity(folder: Path, kind: str, password: str | None = None) -> tuple[tuple[bytes, ...], Any] | None:
    """<kind>.chain.pem (or <kind>.pem) and <kind>.key of a folder; None when it has none. Raises RigError."""
    chain, key = folder / f"{kind}.chain.pem", folder / f"{kind}.key"
    chain = chain if chain.is_file() else folder / f"{kind}.pem"
    if not (chain.is_file() and key.is_file()):
        return None
    return tuple(one.dump() for one in read_certificates(chain)), read_private_key(key, password)


def read_private_key(path: Path, password: str | None = None) -> Any:
    """A private key from a PEM file. Raises RigError."""
    try:
        return load_pem_private_key(path.read_bytes(), password.encode() if password else None)
    except OSError as error:
        raise RigError(f"{path}: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise RigError(f"{path}: no private key that can be read: {error}") from error


def _identity_file(path: Path) -> tuple[tuple[bytes, ...], Any]:
    return tuple(one.dump() for one in read_certificates(path)), read_private_key(path)


def _named(path: Path, make: Any) -> Any:
    try:
        return make()
    except (RigError, PeerError) as error:
        raise RigError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error


def _provisioning(certificates: tuple[bytes, ...], key: Any) -> ProvisioningCredentials:
    leaf = load(certificates[0])
    if getattr(key, "public_key", lambda: None)() != public_key(leaf):
        raise RigError(f"provisioning certificate {describe(leaf.subject)}: the private key is not its own")
    return ProvisioningCredentials(leaf.dump(), signer(key), agreement(key))


def _rfc2253(certificate: Certificate) -> str:
    return x509.load_der_x509_certificate(certificate.dump()).issuer.rfc4514_string()  # RFC 4514 replaces RFC 2253


def _root_file(folder: Path, root: Certificate) -> Path:
    return folder / "v2g-roots" / f"{root.serial_number:x}.{sha256(root.dump()).hexdigest()[:16]}.pem"


def _contract_file(folder: Path, emaid: str) -> Path:
    return folder / "contracts" / f"{emaid}.pem"
