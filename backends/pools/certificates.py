"""Certificates as the pools take them: read under limits, described, checked against a root of the pool."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448

from backends.refusals import Refusal, Refused
from v2g.certificate_profiles import HUBJECT_QA, RISE, Profile, Role
from v2g.certificates import CertificateError, check_chain, describe, load, problems_of, public_key

MAX_OCTETS = 3072  # 4096 characters of base64; field certificates have up to 872
_HASHES: Mapping[str, hashes.HashAlgorithm] = MappingProxyType(
    {
        "sha1_ecdsa": hashes.SHA1(),  # noqa: S303 - the RISE set has it
        "sha256_ecdsa": hashes.SHA256(),
        "sha512_ecdsa": hashes.SHA512(),
    }
)
_ANY_CA = {"path_lengths": frozenset({None, 0, 1, 2, 3}), "domain_component_optional": True, "ocsp": False}

# What a pool takes: every ecosystem in the field at once. Algorithms are those of -2 and -20.
POOL: Profile = replace(
    HUBJECT_QA,
    ski_octets=0,
    signature_algorithms=HUBJECT_QA.signature_algorithms | RISE.signature_algorithms,
).with_rules(
    "pool", {Role.PRIVATE_ROOT: _ANY_CA, Role.V2G_ROOT: _ANY_CA, Role.SUB_CA_1: _ANY_CA, Role.SUB_CA_2: _ANY_CA}
)


@dataclass(frozen=True, slots=True)
class Chain:
    """A leaf with its sub-CAs. field: what a refusal calls the leaf, e.g. "provisioning certificate"."""

    leaf: Certificate
    sub_cas: tuple[Certificate, ...]
    role: Role
    field: str

    @property
    def fingerprint(self) -> bytes:
        """Of all of it, see `chain_fingerprint`."""
        return chain_fingerprint(self.role, [one.dump() for one in (self.leaf, *self.sub_cas)])

    @property
    def valid_to(self) -> int:
        """When the first of them expires: UTC seconds since 1970."""
        return min(seconds(certificate.not_valid_after) for certificate in (self.leaf, *self.sub_cas))


def chain_fingerprint(role: Role, octets: Iterable[bytes]) -> bytes:
    """What a chain is remembered by. octets: DER of leaf and sub-CAs, in the order of `Chain`."""
    digest = hashlib.sha256(role.encode())
    for certificate in octets:
        digest.update(hashlib.sha256(certificate).digest())
    return digest.digest()


def seconds(moment: datetime) -> int:
    """UTC seconds since 1970."""
    return int(moment.timestamp())


def read_certificate(octets: bytes, field: str) -> Certificate:
    """Read DER. Raises Refused (CERTIFICATE_FORMAT) with the field's name."""
    if len(octets) > MAX_OCTETS:
        detail = f"{len(octets)} octets, at most {MAX_OCTETS} are taken"
        raise Refused(Refusal.CERTIFICATE_FORMAT, detail, field=field, received=octets[:MAX_OCTETS])
    try:
        return load(octets)
    except CertificateError as error:
        raise Refused(Refusal.CERTIFICATE_FORMAT, str(error)[:300], field=field, received=octets) from error
    except RecursionError:
        raise Refused(Refusal.CERTIFICATE_FORMAT, "nested too deeply", field=field, received=octets) from None


def fingerprint_of(certificate: Certificate) -> str:
    """SHA-256 of the DER, lower-case hex."""
    return hashlib.sha256(certificate.dump()).hexdigest()


def key_hash(certificate: Certificate) -> str:
    """SHA-256 of the SubjectPublicKeyInfo, hex: the same key has the same one in every certificate."""
    return hashlib.sha256(certificate.public_key.dump()).hexdigest()


def curve_of(certificate: Certificate) -> str:
    """The kind of key: "secp256r1", "secp521r1", "ed448", or another name."""
    key = certificate.public_key
    return str(key.curve[1] if key.algorithm == "ec" else key.algorithm)


def check_validity(certificates: Sequence[Certificate], at: datetime, field: str) -> None:
    """Every one must be valid now (shell model), the leaf is named first. Raises Refused."""
    for certificate in certificates:
        if at > certificate.not_valid_after:
            detail = f"{describe(certificate.subject)} expired {certificate.not_valid_after:%Y-%m-%dT%H:%M:%SZ}"
            raise Refused(Refusal.CERTIFICATE_EXPIRED, detail, field=field)
        if at < certificate.not_valid_before:
            begin = f"{certificate.not_valid_before:%Y-%m-%dT%H:%M:%SZ}"
            detail = f"{describe(certificate.subject)} is not valid before {begin}"
            raise Refused(Refusal.CERTIFICATE_NOT_YET_VALID, detail, field=field)


def check_self_signature(certificate: Certificate, field: str) -> None:
    """A root signs itself. Raises Refused (ROOT_NOT_SELF_SIGNED, CERTIFICATE_PROFILE)."""
    if certificate.issuer != certificate.subject:
        raise Refused(Refusal.ROOT_NOT_SELF_SIGNED, f"issued by {describe(certificate.issuer)}", field=field)
    signature, signed = certificate.signature, certificate["tbs_certificate"].dump()
    algorithm = certificate["signature_algorithm"]["algorithm"].native
    try:
        key = public_key(certificate)
        if isinstance(key, ec.EllipticCurvePublicKey) and algorithm in _HASHES:
            return key.verify(signature, signed, ec.ECDSA(_HASHES[algorithm]))
        if isinstance(key, ed448.Ed448PublicKey) and algorithm == "ed448":
            return key.verify(signature, signed)
    except InvalidSignature:
        detail = "its signature does not verify with its own key"
        raise Refused(Refusal.ROOT_NOT_SELF_SIGNED, detail, field=field) from None
    except CertificateError as error:
        raise Refused(Refusal.CERTIFICATE_PROFILE, str(error), field=field) from error
    raise Refused(Refusal.CERTIFICATE_PROFILE, f"signed with {algorithm}", field=field)


def check_role(chain: Chain) -> None:
    """The leaf must fit its role. Raises Refused (CERTIFICATE_PROFILE) with everything that does not."""
    if problems := problems_of(chain.leaf, chain.role, POOL):
        detail = "; ".join(problem.text for problem in problems)
        raise Refused(Refusal.CERTIFICATE_PROFILE, detail, field=chain.field)


def path_to_root(chain: Chain, roots: Sequence[Certificate], at: datetime) -> list[Certificate]:
    """The path from the leaf to one of the roots, leaf first. Raises Refused: validity, then role, then chain."""
    check_validity((chain.leaf, *chain.sub_cas), at, chain.field)
    check_role(chain)
    valid = [root for root in roots if root.not_valid_before <= at <= root.not_valid_after]
    try:
        return check_chain(chain.leaf, chain.sub_cas, valid, role=chain.role, profile=POOL, at=at)
    except CertificateError as error:
        issuers = {certificate.issuer.hashable for certificate in (chain.leaf, *chain.sub_cas)}
        check_validity([root for root in roots if root.subject.hashable in issuers], at, chain.field)
        raise Refused(Refusal.CHAIN, str(error)[:500], field=chain.field) from error
