"""The OCSP responder: statuses, forms of requests, delegated signers, hostile octets."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from random import Random
from urllib.parse import quote

import httpx
import pytest
from asn1crypto import core, ocsp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from backends.pki.authorities import CertificateAuthorities, Issued, Order
from backends.pki.build_realm import build_realm
from backends.pki.ocsp_app import crl_routes, ocsp_routes
from backends.pki.ocsp_request import read_ocsp_request
from backends.pki.ocsp_responder import OcspResponder
from backends.pki.revocation import Status, ocsp_request, read_ocsp_response
from ports.errors import PeerError
from tests.doubles import ManualClock

REQUEST: bytes = ocsp.OCSPRequest(
    {
        "tbs_request": {
            "request_list": [
                {
                    "req_cert": {
                        "hash_algorithm": {"algorithm": "sha1"},
                        "issuer_name_hash": bytes(20),
                        "issuer_key_hash": bytes(20),
                        "serial_number": 1 << 100,
                    }
                }
            ],
            "request_extensions": [
                {"extn_id": "nonce", "extn_value": core.ParsableOctetString(core.OctetString(bytes(16)).dump())}
            ],
        }
    }
).dump()


def test_the_request_that_is_damaged_is_a_good_one() -> None:
    assert read_ocsp_request(REQUEST).nonce == bytes(16)


@pytest.fixture
def responder(authorities: CertificateAuthorities) -> OcspResponder:
    return OcspResponder(authorities)


@pytest.fixture
async def http(authorities: CertificateAuthorities, responder: OcspResponder) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=[*ocsp_routes(responder), *crl_routes(authorities)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ocsp.test") as client:
        yield client


async def status(responder: OcspResponder, one: Issued, clock: ManualClock, hash_name: str = "sha1") -> Status:
    issuer = one.chain[1].x509
    answer = await responder.answer(ocsp_request(one.certificate, issuer, hash_name))
    return (await read_ocsp_response(answer.der, one.certificate, issuer, clock.now())).status


def said(octets: bytes) -> str:
    return str(ocsp.OCSPResponse.load(octets)["response_status"].native)


@pytest.mark.parametrize("hash_name", ["sha1", "sha256"])
async def test_every_certificate_below_a_root_is_good_until_it_is_revoked(
    responder: OcspResponder,
    authorities: CertificateAuthorities,
    issued: dict[str, Issued],
    clock: ManualClock,
    hash_name: str,
) -> None:
    for one in issued.values():
        if not one.stored.is_root:
            assert await status(responder, one, clock, hash_name) is Status.GOOD
    await authorities.revoke(issued["mo-sub2"].stored.fingerprint, "ca_compromise", actor="t")
    assert await status(responder, issued["mo-sub2"], clock, hash_name) is Status.REVOKED
    assert await status(responder, issued["contract"], clock, hash_name) is Status.GOOD


@pytest.mark.parametrize(("preset", "algorithm"), [("iso20-strict", "secp521r1"), ("iso20-strict", "ed448")])
async def test_responses_of_other_curves(
    authorities: CertificateAuthorities, responder: OcspResponder, clock: ManualClock, preset: str, algorithm: str
) -> None:
    one = (await build_realm(authorities, "p256", preset, algorithm=algorithm))["vehicle"]
    answer = await responder.answer(ocsp_request(one.certificate, one.chain[1].x509))
    basic = ocsp.OCSPResponse.load(answer.der).basic_ocsp_response
    assert basic["certs"][0].public_key.dump() != one.chain[1].x509.public_key.dump()
    assert await status(responder, one, clock) is Status.GOOD
    assert len(base64.b64encode(answer.der)) <= 5500  # OCPP 2.0.1 GetCertificateStatusResponse.ocspResult


@pytest.mark.parametrize("hash_name", ["sha384", "sha512"])
async def test_ids_of_rare_hashes_are_known_too(
    responder: OcspResponder, issued: dict[str, Issued], hash_name: str
) -> None:
    request = ocsp_request(issued["secc"].certificate, issued["cpo-sub2"].certificate, hash_name)
    answer = ocsp.OCSPResponse.load((await responder.answer(request)).der)
    assert answer.response_data["responses"][0]["cert_status"].name == "good"


async def test_reason_and_time_of_a_revocation(
    authorities: CertificateAuthorities, responder: OcspResponder, issued: dict[str, Issued], clock: ManualClock
) -> None:
    at = clock.now()
    await authorities.revoke(issued["contract"].stored.fingerprint, "superseded", actor="t")
    clock.advance(100)
    answer = await responder.answer(ocsp_request(issued["contract"].certificate, issued["mo-sub2"].certificate))
    single = ocsp.OCSPResponse.load(answer.der).response_data["responses"][0]["cert_status"]
    assert single.native["revocation_time"] == at
    assert single.native["revocation_reason"] == "superseded"


@pytest.mark.parametrize(("offset", "holds"), [(-1, True), (0, True), (2, False)])
async def test_an_answer_holds_until_its_next_update(
    responder: OcspResponder, issued: dict[str, Issued], clock: ManualClock, offset: int, holds: bool
) -> None:
    leaf, issuer = issued["secc"].certificate, issued["cpo-sub2"].certificate
    answer = await responder.answer(ocsp_request(leaf, issuer))
    assert answer.fresh_s == 3600
    clock.advance(3600 + offset)  # the reader tolerates one second
    if holds:
        assert (await read_ocsp_response(answer.der, leaf, issuer, clock.now())).status is Status.GOOD
    else:
        with pytest.raises(PeerError, match="does not hold"):
            await read_ocsp_response(answer.der, leaf, issuer, clock.now())


async def test_signers_are_renewed_before_they_end_and_kept_across_restarts(
    authorities: CertificateAuthorities, issued: dict[str, Issued], clock: ManualClock
) -> None:
    leaf, issuer = issued["secc"].certificate, issued["cpo-sub2"].certificate

    async def signer(responder: OcspResponder) -> bytes:
        der = (await responder.answer(ocsp_request(leaf, issuer))).der
        used: bytes = ocsp.OCSPResponse.load(der).basic_ocsp_response["certs"][0].dump()
        return used

    first = OcspResponder(authorities)
    used = await signer(first)
    assert await signer(OcspResponder(authorities)) == used
    clock.advance(29 * 86400 - 1)
    assert await signer(first) == used
    clock.advance(1)
    assert await signer(first) != used


async def test_the_signer_of_a_ca_near_its_end_is_not_made_anew_for_every_answer(
    authorities: CertificateAuthorities, issued: dict[str, Issued], clock: ManualClock
) -> None:
    clock.civil = issued["cpo-sub2"].certificate.not_valid_after - timedelta(hours=2)
    responder = OcspResponder(authorities)
    leaf, issuer = issued["secc"].certificate, issued["cpo-sub2"].certificate
    one, two = [(await responder.answer(ocsp_request(leaf, issuer))).der for _ in range(2)]
    certs = [ocsp.OCSPResponse.load(der).basic_ocsp_response["certs"][0].dump() for der in (one, two)]
    assert certs[0] == certs[1]
    clock.advance(5400)
    late = await responder.answer(ocsp_request(leaf, issuer))
    assert late.fresh_s == 1800  # never beyond the signer


async def test_unknown_serials_and_foreign_issuers(
    authorities: CertificateAuthorities, responder: OcspResponder, issued: dict[str, Issued], clock: ManualClock
) -> None:
    never = issued["secc"].certificate.copy()
    never["tbs_certificate"]["serial_number"] = 7
    answer = await responder.answer(ocsp_request(never, issued["cpo-sub2"].certificate))
    verdict = await read_ocsp_response(answer.der, never, issued["cpo-sub2"].certificate, clock.now())
    assert verdict.status is Status.UNKNOWN
    # a leaf is no issuer of ours
    answer = await responder.answer(ocsp_request(issued["secc"].certificate, issued["contract"].certificate))
    assert said(answer.der) == "unauthorized"


async def test_a_request_for_several_certificates_of_several_cas(
    responder: OcspResponder, issued: dict[str, Issued]
) -> None:
    requests = [
        ocsp.OCSPRequest.load(ocsp_request(issued[kind].certificate, issued[kind].chain[1].x509))["tbs_request"]
        for kind in ("secc", "contract")
    ]
    both = ocsp.OCSPRequest({"tbs_request": {"request_list": [r["request_list"][0] for r in requests]}})
    answer = ocsp.OCSPResponse.load((await responder.answer(both.dump())).der)
    assert [one["cert_status"].name for one in answer.response_data["responses"]] == ["good", "unknown"]


async def test_new_cas_are_found(
    authorities: CertificateAuthorities, responder: OcspResponder, issued: dict[str, Issued], clock: ManualClock
) -> None:
    assert await status(responder, issued["secc"], clock) is Status.GOOD
    await authorities.issue(Order(realm="p256", kind="mo-sub2"), actor="t")
    new = await authorities.issue(Order(realm="p256", kind="contract"), actor="t")
    assert await status(responder, new, clock) is Status.GOOD


def with_nonce(request: bytes, nonce: bytes, critical: bool = False, identifier: str = "nonce") -> bytes:
    parsed = ocsp.OCSPRequest.load(request)
    tbs = {
        "request_list": parsed["tbs_request"]["request_list"],
        "request_extensions": [
            {
                "extn_id": identifier,
                "critical": critical,
                "extn_value": core.ParsableOctetString(core.OctetString(nonce).dump()),
            }
        ],
    }
    octets: bytes = ocsp.OCSPRequest({"tbs_request": tbs}).dump()
    return octets


@pytest.mark.parametrize("length", [1, 16, 32, 128])
async def test_the_nonce_comes_back_and_such_an_answer_is_not_kept(
    responder: OcspResponder, issued: dict[str, Issued], length: int
) -> None:
    request = ocsp_request(issued["secc"].certificate, issued["cpo-sub2"].certificate)
    answer = await responder.answer(with_nonce(request, bytes(length)))
    assert answer.fresh_s == 0
    assert bytes(ocsp.OCSPResponse.load(answer.der).nonce_value) == bytes(length)


async def test_requests_beyond_the_limits_are_malformed(responder: OcspResponder, issued: dict[str, Issued]) -> None:
    request = ocsp_request(issued["secc"].certificate, issued["cpo-sub2"].certificate)
    one = ocsp.OCSPRequest.load(request)["tbs_request"]["request_list"][0]
    many = ocsp.OCSPRequest({"tbs_request": {"request_list": [one] * 17}}).dump()
    none = ocsp.OCSPRequest({"tbs_request": {"request_list": []}}).dump()
    deep = b"\x30\x80" * 4000
    nested = b""
    for _ in range(30):
        nested = b"\x30" + (bytes([len(nested)]) if len(nested) < 128 else b"\x81" + bytes([len(nested)])) + nested
    wrong = [
        b"",
        b"\x30",
        many,
        none,
        deep,
        nested,
        request + b"\x00",
        b"\x30\x84\xff\xff\xff\xff",
        request + bytes(9000),
        with_nonce(request, b""),
        with_nonce(request, bytes(129)),
        with_nonce(request, b"x", critical=True, identifier="1.3.6.1.4.1.32473.9"),
        request.replace(bytes.fromhex("2b0e03021a"), bytes.fromhex("2b0e030299")),
    ]
    for octets in wrong:
        assert said((await responder.answer(octets)).der) == "malformed_request", octets[:20]


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=300))
def test_any_octets_are_read_or_refused(octets: bytes) -> None:
    with contextlib.suppress(PeerError):
        read_ocsp_request(octets)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_damage_to_a_request_is_read_or_refused(data: st.DataObject) -> None:
    request = bytearray(REQUEST)
    for _ in range(data.draw(st.integers(1, 4))):
        request[data.draw(st.integers(0, len(request) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(PeerError):
        read_ocsp_request(bytes(request))


async def test_post_and_get_with_and_without_padding(
    http: httpx.AsyncClient, issued: dict[str, Issued], clock: ManualClock
) -> None:
    leaf, issuer = issued["secc"].certificate, issued["cpo-sub2"].certificate
    request = ocsp_request(leaf, issuer)
    text = base64.b64encode(request).decode()
    answers = [
        await http.post("/ocsp", content=request, headers={"content-type": "application/ocsp-request"}),
        await http.get(f"/ocsp/{quote(text, safe='')}"),
        await http.get(f"/ocsp/{text}"),
        await http.get(f"/ocsp/{text.rstrip('=')}"),
    ]
    for answer in answers:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/ocsp-response"
        assert (await read_ocsp_response(answer.content, leaf, issuer, clock.now())).status is Status.GOOD
    assert answers[1].headers["cache-control"].startswith("max-age=3600")
    for broken in (await http.get("/ocsp/%%%"), await http.post("/ocsp", content=bytes(20_000))):
        assert said(broken.content) == "malformed_request"


async def test_a_key_that_is_away_is_try_later(
    authorities: CertificateAuthorities, issued: dict[str, Issued], clock: ManualClock
) -> None:
    for file in authorities.keys.folder.rglob("cpo-sub2*"):
        file.unlink()
    await authorities.close()
    authorities.keys._opened.clear()
    answer = await OcspResponder(authorities).answer(
        ocsp_request(issued["secc"].certificate, issued["cpo-sub2"].certificate)
    )
    assert said(answer.der) == "try_later"


async def test_revocation_lists_over_http(
    http: httpx.AsyncClient, authorities: CertificateAuthorities, issued: dict[str, Issued]
) -> None:
    from asn1crypto import crl

    ca = issued["mo-sub2"].stored.fingerprint
    empty = crl.CertificateList.load((await http.get(f"/crl/{ca}.crl")).content)
    assert empty["tbs_cert_list"]["revoked_certificates"].native is None
    await authorities.revoke(issued["contract"].stored.fingerprint, "key_compromise", actor="t")
    full = crl.CertificateList.load((await http.get(f"/crl/{ca.upper()}.crl")).content)
    entry = full["tbs_cert_list"]["revoked_certificates"][0]
    assert entry["user_certificate"].native == issued["contract"].certificate.serial_number
    assert entry.crl_reason_value.native == "key_compromise"
    for wrong in ("00", issued["contract"].stored.fingerprint):
        assert (await http.get(f"/crl/{wrong}.crl")).status_code == 404


async def test_damaged_requests_never_break_the_responder(responder: OcspResponder, issued: dict[str, Issued]) -> None:
    request = with_nonce(ocsp_request(issued["secc"].certificate, issued["cpo-sub2"].certificate), bytes(16))
    random = Random(1)
    for _ in range(1000):
        damaged = bytearray(request)
        for _ in range(random.randint(1, 3)):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        answer = await responder.answer(bytes(damaged))
        assert said(answer.der) in {"successful", "malformed_request", "unauthorized"}
