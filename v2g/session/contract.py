"""Contract certificates as a station sees them: what is wrong with a chain, as ResponseCode."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from v2g.certificate_profiles import CONTRACT_USE, ISO2_STRICT, RISE, Profile, Role
from v2g.certificates import (
    CertificateError,
    Problem,
    PublicKey,
    check_chain,
    common_name,
    describe,
    load,
    problems_of,
    public_key,
)
from v2g.identifiers import same
from v2g.session.refusal import Refusal

_ANY_CA = {
    "domain_component_optional": True,
    "basic_constraints_optional": True,
    "key_usage_optional": True,
    "ocsp": False,
    "path_lengths": frozenset({None, 0, 1, 2}),
    "more_key_usage": CONTRACT_USE | {"key_cert_sign", "crl_sign"},
    "domain_components": frozenset({"V2G", "CPO", "CPS", "MO", "OEM"}),
}
# certificates in the field deviate in form; a station looks at trust and validity
FIELD: Profile = replace(
    ISO2_STRICT, max_octets=0, signature_algorithms=RISE.signature_algorithms, name="field"
).with_rules("field", {role: _ANY_CA if role is not Role.CONTRACT else {**_ANY_CA, "names": ()} for role in Role})


@dataclass(frozen=True, slots=True)
class Contract:
    """A contract certificate that passed. certificates: DER, leaf first."""

    emaid: str
    certificates: tuple[bytes, ...] = field(repr=False)
    key: PublicKey = field(repr=False)
    not_after: datetime


def read_contract(
    chain: Any,
    emaid: str,
    roots: Iterable[Any] | None,
    profile: Profile,
    at: datetime | None,
    forbidden: frozenset[str] = frozenset(),
) -> Contract:
    """Check a ContractSignatureCertChain. Raises Refusal with the code that fits.

    roots: None when the chain is judged elsewhere; then only the leaf's own validity is looked at.
    at: None when the station does not know the time: then validity is not looked at.
    forbidden: attributes that the subject must not have, e.g. "country_name".
    """
    sub_cas = list(chain.SubCertificates.Certificate) if chain.SubCertificates else []
    octets = (chain.Certificate, *sub_cas)
    leaf = None
    try:
        leaf, *others = [load(one) for one in octets]
        key = public_key(leaf)
        _check_order([leaf, *others])
        if roots is not None and at is not None:
            check_chain(leaf, others, roots, role=Role.CONTRACT, profile=profile, at=at)
        elif problems := [
            p for one in (leaf, *others) for p in problems_of(one, Role.CONTRACT, profile, at) if late(p)
        ]:
            raise CertificateError(problems, chain.Certificate)
    except CertificateError as error:
        raise Refusal(_code(error, leaf), str(error)) from error
    if not same(common_name(leaf), emaid):
        text = f"eMAID {emaid!r}, the certificate is of {common_name(leaf)!r}"
        raise Refusal("FAILED_NoCertificateAvailable", text)
    if surplus := sorted(set(leaf.subject.native) & forbidden):
        raise Refusal("FAILED_NoCertificateAvailable", f"{describe(leaf.subject)}: no place for {', '.join(surplus)}")
    return Contract(emaid, octets, key, leaf.not_valid_after)


def late(problem: Any) -> bool:
    """Whether a problem is one of time."""
    return "expired" in problem.text or "not valid before" in problem.text


def expires_soon(contract: Contract, at: datetime | None, days: int) -> bool:
    """Whether the vehicle should be told to update its contract."""
    return at is not None and contract.not_after - at < timedelta(days=days)


def _check_order(chain: list[Any]) -> None:
    """Each certificate is followed by its issuer's. Raises CertificateError."""
    for one, issuer in pairwise(chain):
        if one.issuer != issuer.subject:
            text = f"is followed by {describe(issuer.subject)}, its issuer is {describe(one.issuer)}"
            raise CertificateError([Problem(describe(one.subject), text)], one.dump())


def _code(error: CertificateError, leaf: Any | None) -> str:
    texts = {problem.subject: problem.text for problem in error.problems if late(problem)}
    if any("revoked" in problem.text for problem in error.problems):
        return "FAILED_CertificateRevoked"
    expired = {subject for subject, text in texts.items() if "expired" in text}
    if not expired or leaf is None:
        return "FAILED_CertChainError"
    # a sub-CA's expiry has no code of its own: TC_SECC_CMN_VTB_PaymentDetails_009 of rcuquemelle/ISO15118_4_TestEnv
    return "FAILED_CertificateExpired" if describe(leaf.subject) in expired else "FAILED_NoCertificateAvailable"
