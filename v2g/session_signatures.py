"""Signatures of a recorded session, checked with the certificates that the session itself carries.

This says whether the octets were signed by the certificate shown; whether that certificate is trusted is a question for
`v2g.certificates.check_chain`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ports.errors import PeerError
from v2g.certificates import describe, load, public_key
from v2g.exi.element import Element
from v2g.signature_suites import PublicKey
from v2g.signed_elements import body_of, schema_of
from v2g.xmldsig import SignatureError, Verified, verify_message


@dataclass(frozen=True, slots=True)
class SignatureReport:
    """verified: None when it failed or could not be checked. problem: why. signer: subject of the certificate used."""

    verified: Verified | None
    signer: str
    problem: str = ""
    failed: bool = False

    def __str__(self) -> str:
        """One line for people."""
        if self.verified is None:
            return f"{'DOES NOT VERIFY' if self.failed else 'not checked'}: {self.problem}"
        covered = ", ".join(reference.name for reference in self.verified.references)
        dialects = "".join(f"; {dialect}" for dialect in self.verified.dialects)
        return f"verifies with {self.signer}, covers {covered} ({self.verified.suite.name}{dialects})"


class SessionSignatures:
    """Follows the messages of one session in order."""

    def __init__(self) -> None:
        self._contract: list[bytes] = []
        self._mobility_operator: list[bytes] = []

    def check(self, message: Element) -> SignatureReport | None:
        """The verdict on a message's signature; None when it has none."""
        named = body_of(message)
        if named is None:
            return None
        name, body = named
        self._remember(body)
        if getattr(getattr(message, "Header", None), "Signature", None) is None:
            return None
        find = _SIGNERS.get((schema_of(message), name))
        if find is None:
            return SignatureReport(None, "", f"the standard wants no signature on {name}")
        what, candidates = find(self, body)
        if not candidates:
            return SignatureReport(None, "", f"the session does not show {what}")
        problem, signer = "", ""
        for octets in candidates:
            try:
                signer = describe(load(octets).subject)
                return SignatureReport(verify_message(message, _key(octets)), signer)
            except PeerError as error:
                problem = str(error)
        return SignatureReport(None, signer, f"{problem} (tried {what}, {signer})", failed=True)

    def _remember(self, body: Any) -> None:
        """The vehicle shows its contract: PaymentDetailsReq, CertificateUpdateReq of -2, AuthorizationReq of -20."""
        for field in ("ContractSignatureCertChain", "ContractCertificateChain"):
            for holder in (body, getattr(body, "PnC_AReqAuthorizationMode", None)):
                chain = getattr(holder, field, None)
                if chain is not None and not hasattr(body, "ResponseCode"):
                    sub_cas = getattr(chain.SubCertificates, "Certificate", None) or []
                    self._contract = [c for c in (chain.Certificate,) if isinstance(c, bytes)]
                    self._mobility_operator = [c for c in sub_cas if isinstance(c, bytes)]


_Find = Callable[[SessionSignatures, Any], tuple[str, list[bytes]]]


def _own(what: str, *path: str) -> _Find:
    """The certificate that the message itself carries."""

    def find(session: SessionSignatures, body: Any) -> tuple[str, list[bytes]]:  # noqa: ARG001
        for field in path:
            body = getattr(body, field, None)
        return what, [body] if isinstance(body, bytes) else []

    return find


def _contract(session: SessionSignatures, body: Any) -> tuple[str, list[bytes]]:  # noqa: ARG001
    return "the contract certificate", session._contract  # noqa: SLF001


def _mobility_operator(session: SessionSignatures, body: Any) -> tuple[str, list[bytes]]:  # noqa: ARG001
    return "the mobility operator's sub-CAs", session._mobility_operator  # noqa: SLF001


_CPS = "the CPS certificate"
_OEM = "the OEM provisioning certificate"
_SIGNERS: dict[tuple[str, str], _Find] = {
    ("iso2", "AuthorizationReq"): _contract,
    ("iso2", "MeteringReceiptReq"): _contract,
    ("iso2", "CertificateInstallationReq"): _own(_OEM, "OEMProvisioningCert"),
    ("iso2", "CertificateUpdateReq"): _contract,
    ("iso2", "CertificateInstallationRes"): _own(_CPS, "SAProvisioningCertificateChain", "Certificate"),
    ("iso2", "CertificateUpdateRes"): _own(_CPS, "SAProvisioningCertificateChain", "Certificate"),
    ("iso2", "ChargeParameterDiscoveryRes"): _mobility_operator,
    ("iso20_common", "AuthorizationReq"): _contract,
    ("iso20_common", "CertificateInstallationReq"): _own(_OEM, "OEMProvisioningCertificateChain", "Certificate"),
    ("iso20_common", "CertificateInstallationRes"): _own(_CPS, "CPSCertificateChain", "Certificate"),
    ("iso20_common", "MeteringConfirmationReq"): _contract,
    ("iso20_common", "ScheduleExchangeRes"): _mobility_operator,
}


def _key(octets: bytes) -> PublicKey:
    certificate = load(octets)
    key = public_key(certificate)
    if not isinstance(key, PublicKey):
        raise SignatureError(f"the key of {describe(certificate.subject)} cannot sign")
    return key
