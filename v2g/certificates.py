"""Certificates of Plug & Charge: reading them, and checking a certificate or a chain against a profile.

Reading and path building are asn1crypto's and pyhanko-certvalidator's: stricter parsers refuse the explicit
`cA FALSE` that certificates in the field carry. Keys are pyca/cryptography's.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar

from asn1crypto import pem  # type: ignore[import-untyped]
from asn1crypto.x509 import Certificate, Name  # type: ignore[import-untyped]
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, x448
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pyhanko_certvalidator.context import ValidationContext
from pyhanko_certvalidator.errors import PathBuildingError, PathValidationError
from pyhanko_certvalidator.path import ValidationPath
from pyhanko_certvalidator.validate import async_validate_path

from ports.errors import LocalError, PeerError
from v2g.certificate_profiles import LEAF_ROLES, Profile, Role, Rule

PublicKey = ec.EllipticCurvePublicKey | ed448.Ed448PublicKey | x448.X448PublicKey
T = TypeVar("T")

_SHORT_NAMES = {
    "common_name": "CN",
    "domain_component": "DC",
    "organization_name": "O",
    "organizational_unit_name": "OU",
    "country_name": "C",
    "state_or_province_name": "ST",
    "locality_name": "L",
}  # RFC 4514 section 3


@dataclass(frozen=True, slots=True)
class Problem:
    """One broken rule. subject: whose certificate. text: what is wrong with it."""

    subject: str
    text: str

    def __str__(self) -> str:
        """Subject and text."""
        return f"{self.subject}: {self.text}"


class CertificateError(PeerError):
    """A certificate or chain that does not pass; `problems` says everything that is wrong with it."""

    def __init__(self, problems: Sequence[Problem], received: bytes = b"") -> None:
        super().__init__("; ".join(map(str, problems)), received)
        self.problems = tuple(problems)


@lru_cache(maxsize=256)  # reading one takes milliseconds, and a session meets the same chains again and again
def load(octets: bytes) -> Certificate:
    """Read a certificate, DER or PEM (the first of a bundle). Raises CertificateError when it is none."""
    try:
        if pem.detect(octets):
            octets = pem.unarmor(octets)[2]
        certificate = Certificate.load(octets, strict=True)
        certificate.native  # noqa: B018 - asn1crypto parses on access: find what is broken now
        certificate.public_key.native  # noqa: B018
        describe(certificate.subject)
        if certificate["signature_value"].contents[:1] != b"\0":
            raise ValueError("the signature is no whole number of octets")
        return certificate
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError) as error:
        problem = Problem(f"certificate of {len(octets)} octets", f"cannot be read: {str(error).splitlines()[0]}")
        raise CertificateError([problem], octets) from error


def load_all(octets: bytes) -> list[Certificate]:
    """Read every certificate of a PEM bundle, in file order; one of DER. Raises CertificateError when there is none."""
    if not pem.detect(octets):
        return [load(octets)]
    try:
        found = [load(der) for kind, _, der in pem.unarmor(octets, multiple=True) if kind == "CERTIFICATE"]
    except ValueError as error:
        raise CertificateError([Problem("PEM bundle", f"cannot be read: {error}")], octets) from error
    if not found:
        raise CertificateError([Problem("PEM bundle", "holds no certificate")], octets)
    return found


def describe(name: Name) -> str:
    """A distinguished name for people, most specific part first: "CN=V2G Root CA G2, DC=V2G, O=Hubject GmbH, C=DE"."""
    order = list(_SHORT_NAMES)
    parts = [(part["type"].native, str(part["value"].native)) for rdn in name.chosen for part in rdn]
    parts.sort(key=lambda part: order.index(part[0]) if part[0] in order else len(order))
    return ", ".join(f"{_SHORT_NAMES.get(kind, kind)}={value}" for kind, value in parts) or "(empty name)"


def common_name(certificate: Certificate) -> str:
    """The subject's CN; "" when it has none."""
    return next(iter(_attributes(certificate, "common_name")), "")


def public_key(certificate: Certificate) -> PublicKey:
    """The subject's key. Raises CertificateError when it is of no kind that V2G uses."""
    try:
        key = load_der_public_key(certificate.public_key.dump())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError([Problem(describe(certificate.subject), f"public key: {error}")]) from error
    if not isinstance(key, PublicKey):
        raise CertificateError([Problem(describe(certificate.subject), f"public key is {type(key).__name__}")])
    return key


def problems_of(certificate: Certificate, role: Role, profile: Profile, at: datetime | None = None) -> list[Problem]:
    """Every rule of the profile that a certificate breaks, without its chain.

    at: when it has to be valid, with time zone; None leaves the validity out.
    """
    rule = profile.rules[role]
    texts = [
        *_key_problems(certificate, profile),
        *_name_problems(certificate, rule),
        *_use_problems(certificate, rule),
        *(_validity_problems(certificate, at) if at is not None else ()),
    ]
    if profile.max_octets and (size := len(certificate.dump())) > profile.max_octets:
        texts.append(f"{size} octets, at most {profile.max_octets} allowed")
    subject = describe(certificate.subject)
    return [Problem(subject, f"{text} ({profile.name}, {role})") for text in texts]


def check_certificate(certificate: Certificate, role: Role, profile: Profile, at: datetime | None = None) -> None:
    """Raise CertificateError when `problems_of` finds anything."""
    if problems := problems_of(certificate, role, profile, at):
        raise CertificateError(problems, certificate.dump())


def check_chain(
    leaf: Certificate,
    sub_cas: Iterable[Certificate],
    roots: Iterable[Certificate],
    *,
    role: Role,
    profile: Profile,
    at: datetime,
    ocsp_responses: Iterable[bytes] = (),
    revocation_required: bool = False,
) -> list[Certificate]:
    """Build the path from a leaf to one of the roots and check it (RFC 5280 section 6) and each certificate's rules.

    sub_cas: in any order, more than needed. at: the moment for which validity is asked, with time zone.
    ocsp_responses: DER; with revocation_required every certificate below the root needs a good one.
    Returns the path, leaf first, root last. Raises CertificateError with everything that is wrong.
    """
    if role not in LEAF_ROLES:
        raise LocalError(f"a chain ends in a leaf, not in a {role}")
    if at.tzinfo is None:
        raise LocalError("the moment of a chain check needs a time zone")
    roots = list(roots)
    subject = describe(leaf.subject)
    if any(root.dump() == leaf.dump() for root in roots):
        raise CertificateError([Problem(subject, "the leaf is one of the trusted roots")], leaf.dump())
    context = ValidationContext(
        trust_roots=roots,
        other_certs=list(sub_cas),
        moment=at,
        ocsps=list(ocsp_responses),
        revocation_mode="hard-fail" if revocation_required else "soft-fail",
        weak_hash_algos=set(),  # the profile's table decides
    )
    try:
        paths = _run(context.path_builder.async_build_paths(leaf))
    except PathBuildingError as error:
        known = ", ".join(describe(root.subject) for root in roots) or "none"
        text = f"no path to a trusted root (issuer {describe(leaf.issuer)}; roots: {known}): {error}"
        raise CertificateError([Problem(subject, text)], leaf.dump()) from error
    findings = [_path_problems(context, path, role, profile, at) for path in paths]
    for path, problems in zip(paths, findings, strict=True):
        if not problems:
            return _certificates(path)
    raise CertificateError(min(findings, key=len), leaf.dump())


def _path_problems(
    context: ValidationContext, path: ValidationPath, role: Role, profile: Profile, at: datetime
) -> list[Problem]:
    certificates = _certificates(path)
    problems = [
        p
        for cert, r in zip(certificates, _roles(len(certificates), role), strict=True)
        for p in problems_of(cert, r, profile, at)
    ]
    leaf = describe(certificates[0].subject)
    if len(certificates) - 2 > profile.max_sub_cas:
        text = f"{len(certificates) - 2} sub-CAs, at most {profile.max_sub_cas} allowed ({profile.name})"
        problems.append(Problem(leaf, text))
    try:
        _run(async_validate_path(context, path))
    except PathValidationError as error:
        if not any("expired" in problem.text or "not valid before" in problem.text for problem in problems):
            problems.append(Problem(leaf, f"path: {error}"))
    return problems


def _roles(length: int, role: Role) -> list[Role]:
    """Roles along a path, leaf first. A single sub-CA is the one that issues leafs."""
    root = Role.V2G_ROOT if role in (Role.SECC, Role.CPS) else Role.PRIVATE_ROOT
    return [role, *([Role.SUB_CA_2] + [Role.SUB_CA_1] * length)[: length - 2], root]


def _certificates(path: ValidationPath) -> list[Certificate]:
    return list(path.iter_certs(include_root=True))[::-1]


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits: fetching is off, so the validator does no input or output."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise LocalError("the path validator waited for something, although fetching is off")


def _attributes(certificate: Certificate, kind: str) -> list[str]:
    return [str(p["value"].native) for rdn in certificate.subject.chosen for p in rdn if p["type"].native == kind]


def _key_problems(certificate: Certificate, profile: Profile) -> Iterable[str]:
    key = certificate.public_key
    kind = key.curve[1] if key.algorithm == "ec" else key.algorithm
    if kind not in profile.key_algorithms:
        yield f"key is {kind}, allowed: {', '.join(sorted(profile.key_algorithms))}"
    signature = certificate["signature_algorithm"]["algorithm"].native
    if signature not in profile.signature_algorithms:
        yield f"signed with {signature}, allowed: {', '.join(sorted(profile.signature_algorithms))}"
    ski = certificate.key_identifier
    if profile.ski_octets and (ski is None or len(ski) != profile.ski_octets):
        yield f"subject key identifier has {len(ski or b'')} octets, expected {profile.ski_octets}"


def _name_problems(certificate: Certificate, rule: Rule) -> Iterable[str]:
    name = common_name(certificate)
    if not name:
        yield "subject has no common name"
    elif rule.names and not any(form.fullmatch(name) for _, form in rule.names):
        yield f"common name {name!r} is no {' or '.join(label for label, _ in rule.names)}"
    components = _attributes(certificate, "domain_component")
    if not components and not rule.domain_component_optional:
        yield f"subject has no DC, expected {' or '.join(sorted(rule.domain_components))}"
    for component in components:
        if component not in rule.domain_components:
            yield f"DC={component}, expected {' or '.join(sorted(rule.domain_components))}"


def _use_problems(certificate: Certificate, rule: Rule) -> Iterable[str]:
    constraints = certificate.basic_constraints_value
    if constraints is None:
        if not rule.basic_constraints_optional:
            yield "no basicConstraints"
    elif bool(constraints["ca"].native) != rule.ca:
        yield f"basicConstraints says {'CA' if constraints['ca'].native else 'no CA'}"
    elif rule.ca and (length := constraints["path_len_constraint"].native) not in rule.path_lengths:
        allowed = " or ".join("none" if n is None else str(n) for n in rule.path_lengths)
        yield f"pathLenConstraint {'none' if length is None else length}, expected {allowed}"
    usage = certificate.key_usage_value
    if usage is None:
        if not rule.key_usage_optional:
            yield "no keyUsage"
    else:
        if missing := rule.key_usage - usage.native:
            yield f"keyUsage lacks {', '.join(sorted(missing))}"
        if surplus := usage.native - rule.key_usage - rule.more_key_usage:
            yield f"keyUsage has {', '.join(sorted(surplus))} beyond the profile"
        if "key_usage" not in certificate.critical_extensions:
            yield "keyUsage is not critical"
    if rule.ocsp and not certificate.ocsp_urls:
        yield "names no OCSP responder"


def _validity_problems(certificate: Certificate, at: datetime) -> Iterable[str]:
    if at < certificate.not_valid_before:
        yield f"not valid before {certificate.not_valid_before:%Y-%m-%d %H:%M:%S}, asked for {at:%Y-%m-%d %H:%M:%S}"
    if at > certificate.not_valid_after:
        yield f"expired {certificate.not_valid_after:%Y-%m-%d %H:%M:%S}, asked for {at:%Y-%m-%d %H:%M:%S}"
