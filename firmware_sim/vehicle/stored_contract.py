"""A contract as a vehicle keeps it: certificates, private key, and one PEM file for all of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from asn1crypto import pem  # type: ignore[import-untyped]
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ports.errors import RigError
from v2g.certificates import common_name, load, public_key
from v2g.contract_key import agreement
from v2g.identifiers import EMAID, normalise, same
from v2g.session.vehicle_side import ContractCredentials
from v2g.signature_suites import signer


@dataclass(frozen=True, slots=True)
class StoredContract:
    """One contract. emaid: normalised. not_before, not_after: when the whole chain is valid."""

    emaid: str
    not_before: datetime
    not_after: datetime
    credentials: ContractCredentials = field(repr=False)
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    def is_valid(self, at: datetime) -> bool:
        """Whether it can be shown to a station now."""
        return self.not_before <= at <= self.not_after

    def as_pem(self) -> bytes:
        """Private key first, then the chain, leaf first."""
        return identity_as_pem(self.key, self.credentials.certificates)


def stored_contract(certificates: tuple[bytes, ...], key: Any, emaid: str = "") -> StoredContract:
    """A contract that can be used. certificates: DER, leaf first. emaid: what its issuer calls it, "" the leaf's CN.

    Raises RigError: the CN is no EMAID or another one, the key is another certificate's; CertificateError (PeerError).
    """
    chain = [load(one) for one in certificates]
    name = common_name(chain[0])
    if not EMAID.fullmatch(name):
        raise RigError(f"contract certificate of {name!r}: its common name is no EMAID")
    if emaid and not same(emaid, name):
        raise RigError(f"contract {emaid!r}: its certificate is of {name!r}")
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != public_key(chain[0]):
        raise RigError(f"contract {name}: the private key does not belong to its certificate")
    credentials = ContractCredentials(name, certificates, signer(key), agreement(key))
    begins, ends = (max(one.not_valid_before for one in chain), min(one.not_valid_after for one in chain))
    return StoredContract(normalise(name), begins, ends, credentials, key)


def identity_as_pem(key: Any, certificates: tuple[bytes, ...]) -> bytes:
    """A private key and its chain in one text: one file is there or is not, a key and a chain could be halves."""
    text: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return text + b"".join(pem.armor("CERTIFICATE", one) for one in certificates)
