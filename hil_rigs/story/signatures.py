"""Every signature of a run, checked again from what it left: V2G messages, OCMF records, and TLS as it was seen."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]

from hil_rigs.evidence.event_hash import Event
from hil_rigs.story.recorded import Recorded
from hil_rigs.story.step import Signature, Verdict
from ocmf.container import FormatError
from ocmf.keys import PublicKey
from ocmf.verify import DEFAULT_ALGORITHM, InvalidSignatureError, UndecidableError, verify_record
from ports.errors import PeerError
from v2g.certificate_profiles import ISO2_STRICT, Role
from v2g.certificates import CertificateError, check_chain, load
from v2g.exi.element import Element
from v2g.session_signatures import SignatureReport
from v2g.signed_elements import body_of

SIGNERS: Mapping[str, Role] = {  # who signs which message of ISO 15118-2
    "AuthorizationReq": Role.CONTRACT,
    "MeteringReceiptReq": Role.CONTRACT,
    "CertificateUpdateReq": Role.CONTRACT,
    "CertificateInstallationReq": Role.OEM_PROVISIONING,
    "CertificateInstallationRes": Role.CPS,
    "CertificateUpdateRes": Role.CPS,
}
_CHAINS = ("ContractSignatureCertChain", "SAProvisioningCertificateChain")


@dataclass(slots=True)
class Trust:
    """The certificates that a run left. roots: of all branches; sub_cas: known beside those in messages."""

    roots: Sequence[Certificate] = ()
    sub_cas: Sequence[Certificate] = ()
    _contract: list[Certificate] = field(default_factory=list)

    def of(self, one: Recorded) -> str:
        """What holds of the signer's chain at the moment of the message."""
        role = SIGNERS.get(one.frame.name)
        if role is None or not self.roots:
            return ""
        try:
            chain = self._chain(role, one)
            if not chain:
                return "the session does not show it"
            at = datetime.fromtimestamp(one.frame.source.time or 0.0, UTC)
            path = check_chain(chain[0], [*chain[1:], *self.sub_cas], self.roots, role=role, profile=ISO2_STRICT, at=at)
        except CertificateError as error:
            return f"NOT TRUSTED: {error}"
        return f"leads to {path[-1].subject.native.get('common_name')}"

    def see(self, one: Recorded) -> None:
        """The vehicle shows its contract once; later messages are signed with it."""
        if one.frame.name in ("PaymentDetailsReq", "CertificateUpdateReq"):
            try:
                self._contract = _shown(one)
            except CertificateError:
                self._contract = []

    def _chain(self, role: Role, one: Recorded) -> list[Certificate]:
        return self._contract if role is Role.CONTRACT else _shown(one)


def _shown(one: Recorded) -> list[Certificate]:
    named = body_of(one.frame.message) if isinstance(one.frame.message, Element) else None
    body: Any = None if named is None else named[1]
    if (single := getattr(body, "OEMProvisioningCert", None)) is not None:
        return [load(single)]
    answers = hasattr(body, "ResponseCode")  # an answer is signed by the CPS, whatever contract is in it
    chain = getattr(body, _CHAINS[1] if answers else _CHAINS[0], None)
    if chain is None:
        return []
    sub_cas = getattr(chain.SubCertificates, "Certificate", None) or []
    return [load(octets) for octets in (chain.Certificate, *sub_cas)]


def of_messages(messages: Iterable[Recorded], trust: Trust) -> Iterator[Signature]:
    """A row for each message that is signed."""
    for one in messages:
        trust.see(one)
        if one.frame.signature is not None:
            yield _of_message(one, one.frame.signature, trust)


def _of_message(one: Recorded, report: SignatureReport, trust: Trust) -> Signature:
    verified = report.verified
    verdict = Verdict.VALID if verified is not None else Verdict.INVALID if report.failed else Verdict.NOT_CHECKED
    chain = trust.of(one)
    if chain.startswith("NOT TRUSTED") and verdict is Verdict.VALID:
        verdict = Verdict.INVALID
    return Signature(
        at=one.step.at,
        what=one.frame.name,
        covers=", ".join(reference.name for reference in verified.references) if verified is not None else "",
        signer=report.signer,
        algorithm=verified.suite.name if verified is not None else "",
        verdict=verdict,
        trust=chain,
        problem=report.problem,
    )


def of_records(records: Iterable[tuple[str, str]], key: PublicKey | None) -> Iterator[Signature]:
    """A row for each OCMF record (name of its file, text)."""
    signer = f"key {key.fingerprint[:16]}" if key is not None else ""
    for name, text in records:
        verdict, algorithm, problem = Verdict.NOT_CHECKED, "", "the run left no public key"
        if key is not None:
            try:
                verified = verify_record(text, key)
                verdict, algorithm, problem = (
                    Verdict.VALID,
                    str(verified.record.signature.get("SA") or DEFAULT_ALGORITHM),
                    "",
                )
            except (InvalidSignatureError, FormatError) as error:
                verdict, problem = Verdict.INVALID, str(error)
            except (UndecidableError, PeerError) as error:
                problem = str(error)
        yield Signature(None, "OCMF record", name, signer, algorithm, verdict, problem=problem)


def of_tls(events: Iterable[Event]) -> list[Signature]:
    """What was seen of TLS: a handshake proves its keys to those who take part only."""
    rows: dict[str, list[Signature]] = {}
    for event in events:
        own = rows.setdefault(event.source, [])
        if event.kind == "tls.established" and event.source.endswith(".evcc"):
            cipher = f"{event.data.get('version')} {event.data.get('cipher')}"
            own.append(Signature(event.at, "TLS handshake", "the session", "", cipher, Verdict.NOTED))
        elif event.kind == "tls.station" and own:
            leaf = next(iter(event.data.get("certificates", [])), "")
            own[-1] = replace(own[-1], signer=str(leaf))
    return sorted(itertools.chain(*rows.values()), key=lambda row: row.at or 0.0)
