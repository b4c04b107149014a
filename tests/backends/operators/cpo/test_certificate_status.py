"""OCSP by hashes: whose answers count. The responder is made of pyca/cryptography."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from backends.guarded_http import LOOPBACK, GuardedHttp
from backends.operators.cpo.certificate_status import CertificateId, StatusDesk
from backends.pki.revocation import RevocationRules, Status
from ports.errors import PeerError
from tests.backends.chains import NOW, Authority, issue, key, tree
from tests.doubles import ManualClock
from v2g.certificates import load

TREE = tree("MO")
LEAF = issue("DEPLBC00000042", 9, TREE.sub_2, ca=False, component="MO")


def signer(issuer: Authority, *, usage: bool = True) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A delegated responder of a CA."""
    private = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "OCSP")]))
        .issuer_name(issuer.certificate.subject)
        .public_key(private.public_key())
        .serial_number(77)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
    )
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=False)
    return builder.sign(key(issuer.number), hashes.SHA256()), private


@dataclass
class Responder:
    """Answers every request the same way."""

    issuer: Authority = TREE.sub_2
    serial: int = LEAF.certificate.serial_number
    by: Authority = TREE.sub_2
    delegated: bool = False
    usage: bool = True
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD
    age: timedelta = timedelta()
    http: int = 200
    raw: bytes | None = None
    extra: bytes = b""
    asked: list[bytes] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.content)
        return httpx.Response(self.http, stream=httpx.ByteStream(self.answer() if self.raw is None else self.raw))

    def answer(self) -> bytes:
        name = self.issuer.certificate.subject.public_bytes()
        spki = self.issuer.certificate.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
            hashlib.sha256(name).digest(),
            hashlib.sha256(spki).digest(),
            self.serial,
            hashes.SHA256(),
            self.status,
            NOW - self.age,
            NOW + timedelta(hours=1) - self.age,
            NOW - self.age if self.status is ocsp.OCSPCertStatus.REVOKED else None,
            None,
        )
        certificate, private = self.by.certificate, key(self.by.number)
        if self.delegated:
            certificate, private = signer(self.by, usage=self.usage)
            builder = builder.certificates([certificate])
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, certificate)
        return builder.sign(private, hashes.SHA256()).public_bytes(Encoding.DER)


def asked_for() -> CertificateId:
    issuer = load(TREE.sub_2.der)
    return CertificateId.of(
        {
            "hashAlgorithm": "SHA256",
            "issuerNameHash": hashlib.sha256(issuer.subject.dump()).hexdigest(),
            "issuerKeyHash": hashlib.sha256(bytes(issuer.public_key["public_key"])).hexdigest(),
            "serialNumber": f"{LEAF.certificate.serial_number:X}",
            "responderURL": "http://127.0.0.1/ocsp",
        }
    )


async def ask(responder: Responder, known: list[Authority] | None = None) -> tuple[Status, str]:
    http = GuardedHttp(allowed=LOOPBACK, transport=httpx.MockTransport(responder))
    try:
        desk = StatusDesk(http, RevocationRules(), ManualClock())
        issuers = [TREE.root, TREE.sub_1, TREE.sub_2] if known is None else known
        return await desk.status(asked_for(), [load(one.der) for one in issuers])
    finally:
        await http.close()


@pytest.mark.parametrize(
    ("responder", "status"),
    [
        (Responder(), Status.GOOD),
        (Responder(status=ocsp.OCSPCertStatus.REVOKED), Status.REVOKED),
        (Responder(status=ocsp.OCSPCertStatus.UNKNOWN), Status.UNKNOWN),
        (Responder(delegated=True), Status.GOOD),
    ],
)
async def test_answers_that_count(responder: Responder, status: Status) -> None:
    assert (await ask(responder))[0] is status
    request = ocsp.load_der_ocsp_request(responder.asked[0])
    assert request.serial_number == LEAF.certificate.serial_number
    assert request.hash_algorithm.name == "sha256"


@pytest.mark.parametrize(
    ("responder", "why"),
    [
        (Responder(by=TREE.root), "not signed by the issuer or for it"),
        (Responder(by=TREE.root, delegated=True), "not signed by the issuer or for it"),
        (Responder(delegated=True, usage=False), "not signed by the issuer or for it"),
        (Responder(serial=1), "another certificate"),
        (Responder(issuer=TREE.sub_1), "another certificate"),
        (Responder(age=timedelta(hours=2)), "not of now"),
        (Responder(age=timedelta(hours=-2)), "not of now"),
        (Responder(http=500), "answered 500"),
        (Responder(raw=b""), "octets"),
        (Responder(raw=b"\x30\x03\x0a\x01\x06"), "says unauthorized"),
        (Responder(raw=b"\x30\x03\x02\x01\x06"), "cannot be read"),
        (Responder(raw=b"\x30" * 70_000), "longer than"),
    ],
)
async def test_answers_that_do_not_count(responder: Responder, why: str) -> None:
    status, text = await ask(responder)
    assert status is Status.UNKNOWN
    assert why in text


async def test_an_issuer_that_nobody_knows() -> None:
    status, why = await ask(Responder(), [TREE.root])
    assert status is Status.UNKNOWN
    assert "is not known here" in why


async def test_a_result_has_to_fit_into_its_message() -> None:
    many = [signer(TREE.sub_2)[0] for _ in range(12)]
    certificate, private = signer(TREE.sub_2)
    responder = Responder()
    builder = ocsp.OCSPResponseBuilder().add_response(
        LEAF.certificate,
        TREE.sub_2.certificate,
        hashes.SHA256(),
        ocsp.OCSPCertStatus.GOOD,
        NOW,
        None,
        None,
        None,
    )
    builder = builder.certificates([certificate, *many]).responder_id(ocsp.OCSPResponderEncoding.HASH, certificate)
    responder.raw = builder.sign(private, hashes.SHA256()).public_bytes(Encoding.DER)
    http = GuardedHttp(allowed=LOOPBACK, transport=httpx.MockTransport(responder))
    desk = StatusDesk(http, RevocationRules(), ManualClock())
    with pytest.raises(PeerError, match="at most 5500 may be sent"):
        await desk.result(asked_for())
    responder.raw = None
    assert base64.b64decode(await desk.result(asked_for())) != b""
    await http.close()


@pytest.mark.parametrize("field_name", ["issuerNameHash", "issuerKeyHash", "serialNumber"])
@pytest.mark.parametrize("text", ["", "zz", "0", "00" * 64])
def test_hashes_that_are_none(field_name: str, text: str) -> None:
    data: dict[str, Any] = {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": "00" * 32,
        "issuerKeyHash": "00" * 32,
        "serialNumber": "1",
        "responderURL": "http://127.0.0.1/",
        field_name: text,
    }
    if field_name == "serialNumber" and text.isalnum() and text != "zz":
        assert CertificateId.of(data).serial == int(text, 16)
        return
    with pytest.raises(PeerError):
        CertificateId.of(data)
