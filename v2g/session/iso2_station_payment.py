"""The messages of a station of ISO 15118-2 about who pays: contract, authorisation, receipt."""

from __future__ import annotations

from typing import Any

from v2g.certificate_profiles import Role
from v2g.certificates import CertificateError, load, problems_of, public_key
from v2g.exi.codec import decode, deviations
from v2g.exi.errors import ExiError
from v2g.exi.generated.iso2 import types
from v2g.session.contract import expires_soon, read_contract
from v2g.session.events import AuthorizationWanted, CertificateWanted, ReceiptReceived
from v2g.session.iso2_station_opening import Iso2Opening
from v2g.session.machine import holes
from v2g.session.refusal import Answer, Refusal
from v2g.signature_suites import ISO2_SUITES
from v2g.xmldsig import SignatureError, verify_message

CHALLENGE_OCTETS = 16  # [V2G2-697]


class Iso2Payment(Iso2Opening):
    """Verifies contracts and signatures, and waits for who decides."""

    def certificate_installation(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        return self._fetch_certificate("install", request.OEMProvisioningCert, message)

    def certificate_update(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        if not self.secc.facts.certificate_wanted:
            side, settings = self.secc.station, self.secc.settings
            chain = request.ContractSignatureCertChain
            read_contract(
                chain,
                request.eMAID,
                side.contract_roots,
                settings.contract_profile,
                side.civil_time,
                settings.forbidden_attributes,
            )
        return self._fetch_certificate("update", request.ContractSignatureCertChain.Certificate, message)

    def _fetch_certificate(self, action: str, signer: bytes, message: Any) -> Answer | None:
        """Verify the request's signature, have the backend asked, and hand its answer on as it was signed."""
        secc = self.secc
        pending = secc.pending
        if not secc.facts.certificate_wanted and pending is not None:
            try:
                certificate = load(signer)
                verify_message(message, public_key(certificate), ISO2_SUITES)  # type: ignore[arg-type]
            except CertificateError as error:
                raise Refusal("FAILED_CertChainError", str(error)) from error
            except SignatureError as error:
                raise Refusal("FAILED_SignatureError", str(error)) from error
            at, profile = secc.station.civil_time, secc.settings.provisioning_profile
            if at is not None and at > certificate.not_valid_after:
                raise Refusal("FAILED_CertificateExpired", f"expired {certificate.not_valid_after}")
            if profile and action == "install" and (bad := problems_of(certificate, Role.OEM_PROVISIONING, profile)):
                raise Refusal("FAILED_NoCertificateAvailable", "; ".join(map(str, bad)))
            secc.facts.certificate_wanted = True
            secc.emit(CertificateWanted(action, pending.exi, pending.deadline))
        found = secc.station.certificate_answer
        if found is None:
            return None
        if found.exi is None:
            raise Refusal(found.code, "the backend refused")
        kind = "CertificateInstallationRes" if action == "install" else "CertificateUpdateRes"
        received = self._read_answer(found.exi, kind)
        return Answer(kind, received.Body.BodyElement, signature=received.Header.Signature, exi=found.exi)

    def _read_answer(self, exi: bytes, kind: str) -> Any:
        """The backend's message, once it may go to this vehicle as it is. Raises Refusal."""
        try:
            received: Any = decode("iso2", exi)
        except ExiError as error:
            raise Refusal("FAILED", f"the backend's answer cannot be read: {error}") from error
        answer: Any = getattr(getattr(received, "Body", None), "BodyElement", None)
        if type(answer).__name__ != f"{kind}Type":
            raise Refusal("FAILED", f"the backend answered with {type(answer).__name__}, expected {kind}")
        if hole := holes(deviations(received)):
            raise Refusal("FAILED", f"the backend's answer: {hole}")
        code = str(answer.ResponseCode)
        if code.startswith("FAILED"):
            raise Refusal(code, "the backend's answer says so")
        if received.Header.SessionID != self.secc.session_id:
            raise Refusal("FAILED", f"the backend answered for session {received.Header.SessionID.hex()}")
        return received

    def payment_details(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        secc, facts, side = self.secc, self.secc.facts, self.secc.station
        settings = secc.settings
        facts.contract = read_contract(
            request.ContractSignatureCertChain,
            request.eMAID,
            side.contract_roots,
            settings.contract_profile,
            side.civil_time,
            settings.forbidden_attributes,
        )
        facts.emaid = request.eMAID
        facts.challenge = secc.random(CHALLENGE_OCTETS)
        soon = expires_soon(facts.contract, side.civil_time, settings.expires_soon)
        body = types.PaymentDetailsResType(
            ResponseCode="OK_CertificateExpiresSoon" if soon else "OK",
            GenChallenge=facts.challenge,
            EVSETimeStamp=self.unix_time() or 0,
        )
        return Answer("PaymentDetailsRes", body)

    def authorization(self, request: Any, message: Any, now: float) -> Answer | None:
        secc, facts = self.secc, self.secc.facts
        contract = facts.contract if facts.payment == "Contract" else None
        if not facts.authorization_wanted:
            if contract is not None:  # the first request only ([V2G2-684])
                if request.GenChallenge != facts.challenge:
                    raise Refusal("FAILED_ChallengeInvalid", "GenChallenge is not the one of PaymentDetailsRes")
                try:
                    verify_message(message, contract.key, ISO2_SUITES)  # type: ignore[arg-type]
                except SignatureError as error:
                    raise Refusal("FAILED_SignatureError", str(error)) from error
            facts.authorization_wanted = True
            facts.ongoing_since = now
            certificates = contract.certificates if contract else ()
            secc.emit(AuthorizationWanted(facts.payment, facts.emaid, certificates))
        code = secc.station.authorization
        if code is None:
            settings = secc.settings
            self.check_ongoing(
                now, settings.ongoing_timeout if contract else settings.customer_timeout, "authorization"
            )
            waiting: Any = "Ongoing" if contract else "Ongoing_WaitingForCustomerInteraction"  # [V2G2-854]
            return Answer(
                "AuthorizationRes", types.AuthorizationResType(ResponseCode="OK", EVSEProcessing=waiting), "ongoing"
            )
        if code != "OK":
            raise Refusal(code, "the authorization was refused")
        facts.ongoing_since = None
        return Answer(
            "AuthorizationRes", types.AuthorizationResType(ResponseCode="OK", EVSEProcessing="Finished"), "finished"
        )

    def metering_receipt(self, request: Any, message: Any, now: float) -> Answer | None:  # noqa: ARG002
        """Verify it, and confirm it once the station has kept it."""
        if not self.secc.facts.receipt_received:
            self._verify_receipt(request, message)
            self.secc.facts.receipt_received = True
        kept = self.secc.station.receipt_kept
        if kept is None:
            return None
        self.secc.facts.receipt_received = False
        if not kept:
            raise Refusal("FAILED", "the station cannot keep the receipt")
        return Answer("MeteringReceiptRes", types.MeteringReceiptResType(ResponseCode="OK", EVSEStatus=self.status()))

    def _verify_receipt(self, request: Any, message: Any) -> None:
        secc, facts = self.secc, self.secc.facts
        if request.SessionID != secc.session_id:  # [V2G2-909]
            raise Refusal("FAILED_UnknownSession", f"the receipt is for session {request.SessionID!r}")
        if (request.SAScheduleTupleID or facts.schedule) != facts.schedule:
            text = f"the receipt is for schedule {request.SAScheduleTupleID}, asked for {facts.schedule}"
            raise Refusal("FAILED_MeteringSignatureNotValid", text)
        if request.MeterInfo != facts.meter:
            text = f"the receipt is not for the reading that was shown: {_differences(request.MeterInfo, facts.meter)}"
            raise Refusal("FAILED_MeteringSignatureNotValid", text)
        if facts.contract is None or secc.pending is None:
            raise Refusal("FAILED_MeteringSignatureNotValid", "there is no contract to verify a receipt with")
        try:
            verify_message(message, facts.contract.key, ISO2_SUITES)  # type: ignore[arg-type]
        except SignatureError as error:
            raise Refusal("FAILED_MeteringSignatureNotValid", str(error)) from error
        secc.emit(ReceiptReceived(message, secc.pending.exi, facts.contract.certificates[0]))

    def check_ongoing(self, now: float, limit: float | None, what: str) -> None:
        """A vehicle waits 60 s at most, unless it waits for its driver."""
        since = self.secc.facts.ongoing_since
        if since is not None and limit is not None and now - since > limit:
            raise Refusal("FAILED", f"{what} took longer than {limit:g} s")


def _differences(found: Any, shown: Any) -> str:
    """Field by field; octets of signatures are not told."""
    names = [name for name in found.__struct_fields__ if getattr(found, name) != getattr(shown, name, None)]
    told = ((name, getattr(found, name), getattr(shown, name, None)) for name in names)
    return ", ".join(
        f"another {name}" if isinstance(one, bytes) else f"{name} {one}, shown {other}" for name, one, other in told
    )
