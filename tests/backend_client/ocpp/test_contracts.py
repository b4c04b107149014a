"""Plug & Charge through a CSMS: chains, limits, OCSP answers that are held to their signature and time."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from backend_client.ocpp.certificate_status import hash_data, read_status, status_request
from backend_client.ocpp.contracts import authorize_request, certificate_request, read_certificate_answer
from backend_client.ocpp.schemas import SchemaError, check
from backend_client.ocpp.settings import Version
from ports.authorisation import AuthorisationRequest, AuthorisationStatus, ContractStatus
from ports.contracts import CertificateStatus, ContractAction
from ports.errors import PeerError, RigError
from tests.backend_client.ocpp.bench import Bench

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
ISO2 = "urn:iso:15118:2:2013:MsgDef"


class Ca:
    """Issues certificates with the address of a responder."""

    def __init__(
        self, name: str, issuer: Ca | None = None, *, url: str = "http://ocsp.example", ocsp_signing: bool = False
    ) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(self.key.public_key())
            .serial_number(int.from_bytes(name.encode()))
            .not_valid_before(NOW - timedelta(days=10))
            .not_valid_after(NOW + timedelta(days=10))
        )
        if url:
            access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url))
            builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
        if ocsp_signing:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=False)
        self.certificate = builder.sign((issuer or self).key, hashes.SHA256())
        self.der = self.certificate.public_bytes(Encoding.DER)


ROOT = Ca("MO Root", url="")
SUB = Ca("MO Sub", ROOT)
LEAF = Ca("DEPLGC00000001", SUB)
RESPONDER = Ca("Responder", SUB, ocsp_signing=True)
STRANGER = Ca("Stranger", SUB)


def contract(*chain: Ca) -> AuthorisationRequest:
    return AuthorisationRequest(
        "c1", "DE*PLG*E1", "DEPLGC000000012", "EMAID", tuple(one.der for one in (chain or (LEAF, SUB)))
    )


def ocsp_answer(
    signer: Ca = RESPONDER,
    *,
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
    about: Ca = LEAF,
    at: datetime = NOW,
) -> dict[str, Any]:
    revoked = status is ocsp.OCSPCertStatus.REVOKED
    response = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            about.certificate,
            SUB.certificate,
            hashes.SHA256(),
            status,
            at,
            at + timedelta(hours=1),
            at if revoked else None,
            x509.ReasonFlags.key_compromise if revoked else None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, signer.certificate)
        .certificates([signer.certificate])
        .sign(signer.key, hashes.SHA256())
    )
    text = base64.b64encode(response.public_bytes(Encoding.DER)).decode()
    return {"status": "Accepted", "ocspResult": text}


def test_a_contract_goes_as_pem_with_hash_data() -> None:
    body = authorize_request(contract(LEAF, SUB, ROOT))
    check(Version.V201, "Authorize", body)
    assert body["idToken"] == {"idToken": "DEPLGC000000012", "type": "eMAID"}
    assert len(x509.load_pem_x509_certificates(body["certificate"].encode())) == 3
    first, second = body["iso15118CertificateHashData"]
    assert first == hash_data(LEAF.certificate, SUB.certificate)
    assert first["serialNumber"] == f"{LEAF.certificate.serial_number:x}"
    assert second["responderURL"] == "http://ocsp.example"


def test_a_chain_that_is_too_long_goes_as_its_leaf() -> None:
    body = authorize_request(contract(LEAF, *[SUB] * 20))
    assert len(x509.load_pem_x509_certificates(body["certificate"].encode())) == 1
    check(Version.V201, "Authorize", body)


def test_what_is_no_certificate_is_refused() -> None:
    request = AuthorisationRequest("c1", "e", "DEPLGC000000012", "EMAID", (b"junk",))
    with pytest.raises(PeerError, match="not a certificate"):
        authorize_request(request)


def test_requests_and_answers_of_a_vehicle_have_limits() -> None:
    fitting = certificate_request(ContractAction.UPDATE, b"x" * 4200, ISO2)
    check(Version.V201, "Get15118EVCertificate", fitting)
    with pytest.raises(PeerError, match=r"5604 characters in base64, .* 5600 \(4200 octets, this one has 4201"):
        certificate_request(ContractAction.UPDATE, b"x" * 4201, ISO2)
    with pytest.raises(SchemaError, match="exiResponse"):
        check(Version.V201, "Get15118EVCertificate", {"status": "Accepted", "exiResponse": "x" * 7501}, answer=True)
    with pytest.raises(PeerError, match="not base64"):
        read_certificate_answer({"status": "Accepted", "exiResponse": "?"})
    with pytest.raises(PeerError, match="sent no exiResponse"):
        read_certificate_answer({"status": "Accepted", "exiResponse": ""})
    failed = read_certificate_answer(
        {"status": "Failed", "exiResponse": "", "statusInfo": {"reasonCode": "NoContract", "additionalInfo": "none"}}
    )
    assert (failed.accepted, failed.exi, failed.detail) == (False, b"", "NoContract: none")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (ocsp_answer(), CertificateStatus.GOOD),
        (ocsp_answer(SUB), CertificateStatus.GOOD),
        (ocsp_answer(status=ocsp.OCSPCertStatus.REVOKED), CertificateStatus.REVOKED),
        (ocsp_answer(status=ocsp.OCSPCertStatus.UNKNOWN), CertificateStatus.UNKNOWN),
    ],
)
def test_an_ocsp_answer_is_read(answer: dict[str, Any], expected: CertificateStatus) -> None:
    assert read_status(answer, LEAF.der, SUB.der, NOW + timedelta(minutes=1)) is expected


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"status": "Failed", "statusInfo": {"reasonCode": "Away"}}, "no certificate status: Away"),
        ({"status": "Accepted"}, "no OCSP response"),
        ({"status": "Accepted", "ocspResult": "AAAA"}, "no OCSP response"),
        ({"status": "Accepted", "ocspResult": "?"}, "not base64"),
        (ocsp_answer(about=STRANGER), "about another certificate"),
        (ocsp_answer(STRANGER), "not signed by a responder"),
        (ocsp_answer(Ca("Responder", ROOT, ocsp_signing=True)), "not signed by a responder"),
        (ocsp_answer(at=NOW - timedelta(hours=2)), "is valid from"),
        (ocsp_answer(at=NOW + timedelta(hours=2)), "is valid from"),
    ],
)
def test_an_ocsp_answer_that_proves_nothing_is_refused(answer: dict[str, Any], message: str) -> None:
    with pytest.raises(PeerError, match=message):
        read_status(answer, LEAF.der, SUB.der, NOW + timedelta(minutes=1))


def test_an_ocsp_answer_that_was_changed_is_refused() -> None:
    octets = bytearray(base64.b64decode(ocsp_answer(SUB)["ocspResult"]))
    octets[octets.index(b"\x80\x00", 40)] = 0x82  # good becomes unknown
    changed = {"status": "Accepted", "ocspResult": base64.b64encode(octets).decode()}
    with pytest.raises(PeerError, match="not signed by a responder"):
        read_status(changed, LEAF.der, SUB.der, NOW + timedelta(minutes=1))


OCSP_OCTETS = base64.b64decode(ocsp_answer()["ocspResult"])


@settings(max_examples=100)
@given(st.integers(0, len(OCSP_OCTETS) - 1), st.integers(1, 255), st.booleans())
def test_no_spoiled_octet_makes_another_verdict(at: int, change: int, cut: bool) -> None:
    octets = bytearray(OCSP_OCTETS)
    octets[at] ^= change
    spoiled = bytes(octets[:at] if cut else octets)
    answer = {"status": "Accepted", "ocspResult": base64.b64encode(spoiled).decode()}
    with contextlib.suppress(PeerError):
        assert read_status(answer, LEAF.der, SUB.der, NOW + timedelta(minutes=1)) is CertificateStatus.GOOD


@given(st.binary(max_size=200))
def test_any_octets_are_an_answer_or_an_error_of_the_peer(octets: bytes) -> None:
    answer = {"status": "Accepted", "ocspResult": base64.b64encode(octets).decode()}
    with pytest.raises(PeerError):
        read_status(answer, LEAF.der, SUB.der, NOW)


def test_without_the_address_of_a_responder_nobody_can_be_asked() -> None:
    with pytest.raises(PeerError, match="names no OCSP responder"):
        status_request(Ca("silent", SUB, url="").der, SUB.der)
    with pytest.raises(PeerError, match="names no OCSP responder"):
        status_request(Ca("long", SUB, url="http://" + "x" * 600).der, SUB.der)


async def test_all_of_it_over_a_link(bench: Bench) -> None:
    csms = await bench.csms_of("2.0.1")
    link = await bench.link()
    csms.answers["Authorize"] = {"idTokenInfo": {"status": "Blocked"}, "certificateStatus": "CertificateRevoked"}
    answer = await link.authorise(contract())
    assert (answer.status, answer.contract) == (AuthorisationStatus.BLOCKED, ContractStatus.CERTIFICATE_REVOKED)
    csms.answers["Get15118EVCertificate"] = {"status": "Accepted", "exiResponse": base64.b64encode(b"exi").decode()}
    assert (await link.fetch(ContractAction.INSTALL, b"request", ISO2, 4.0)).exi == b"exi"
    (asked,) = csms.of("Get15118EVCertificate")
    assert asked == {
        "iso15118SchemaVersion": ISO2,
        "action": "Install",
        "exiRequest": base64.b64encode(b"request").decode(),
    }
    shown = repr(bench.trace)
    assert base64.b64encode(b"request").decode() in shown
    assert f"sha256 {hashlib.sha256(base64.b64encode(b'exi')).hexdigest()}" in shown
    with pytest.raises(PeerError, match="no certificate status"):
        await link.status(LEAF.der, SUB.der, 4.0)
    assert csms.of("GetCertificateStatus")[0]["ocspRequestData"]["responderURL"] == "http://ocsp.example"
    await csms.stop()
    await bench.until("ocpp.down")
    with pytest.raises(RigError, match="is away"):
        await link.fetch(ContractAction.INSTALL, b"request", ISO2, 4.0)
