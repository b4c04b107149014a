"""Status checks: own store, responders over HTTP, what is kept and for how long, hard and soft."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from asn1crypto.x509 import Certificate

from backends.guarded_http import GuardedHttp
from backends.pki.authorities import CertificateAuthorities, Issued, Order
from backends.pki.build_realm import build_realm
from backends.pki.ocsp_responder import OcspResponder
from backends.pki.revocation import (
    Policy,
    RevocationChecker,
    RevocationRules,
    Revoked,
    Status,
    StatusUnknown,
    ocsp_request,
    read_ocsp_response,
)
from backends.store.database import Database
from ports.errors import PeerError
from tests.doubles import ManualClock

Respond = Callable[[httpx.Request], "httpx.Response | None"]


def _ok(body: bytes) -> httpx.Response:
    return httpx.Response(200, stream=httpx.ByteStream(body))


class Wire(httpx.AsyncBaseTransport):
    """Responds for ocsp.test; counts requests. `fault` may answer instead."""

    def __init__(self, responder: OcspResponder) -> None:
        self.responder = responder
        self.requests: list[httpx.Request] = []
        self.fault: Respond = lambda _: None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.fault(request) or _ok((await self.responder.answer(request.content)).der)


@pytest.fixture
async def issued(authorities: CertificateAuthorities) -> dict[str, Issued]:
    return await build_realm(authorities, "r", "iso2-strict")


@pytest.fixture
def wire(authorities: CertificateAuthorities) -> Wire:
    return Wire(OcspResponder(authorities))


@pytest.fixture
async def http(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GuardedHttp]:
    async def lookup(host: str, port: int, **_: object) -> list[object]:
        return [(2, 1, 6, "", ("93.184.215.14", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
    client = GuardedHttp(transport=wire)
    yield client
    await client.close()


def path(one: Issued) -> list[Certificate]:
    return [stored.x509 for stored in one.chain]


async def test_own_certificates_are_answered_from_the_store_at_once(
    authorities: CertificateAuthorities, database: Database, issued: dict[str, Issued], clock: ManualClock
) -> None:
    checker = RevocationChecker(database=database)
    leaf = issued["contract"]
    await checker.require_good(path(leaf), clock.now())
    await authorities.revoke(leaf.stored.fingerprint, actor="t")
    assert await checker.status(leaf.certificate, leaf.sub_cas[0], clock.now()) is Status.REVOKED
    before = clock.now() - timedelta(seconds=1)
    assert await checker.status(leaf.certificate, leaf.sub_cas[0], before) is Status.GOOD
    with pytest.raises(Revoked, match=r"CN=DEPLBC00000001.*revoked 2026-01-01 12:00:00"):
        await checker.require_good(path(leaf), clock.now())


async def test_a_revoked_sub_ca_is_found(
    authorities: CertificateAuthorities, database: Database, issued: dict[str, Issued], clock: ManualClock
) -> None:
    await authorities.revoke(issued["mo-sub1"].stored.fingerprint, actor="t")
    with pytest.raises(Revoked, match="Sub-CA 1"):
        await RevocationChecker(database=database).require_good(path(issued["contract"]), clock.now())


async def test_others_are_asked_once_and_kept_until_their_next_update(
    authorities: CertificateAuthorities, issued: dict[str, Issued], clock: ManualClock, http: GuardedHttp, wire: Wire
) -> None:
    checker = RevocationChecker(http=http)
    chain = path(issued["contract"])
    await asyncio.gather(*(checker.require_good(chain, clock.now()) for _ in range(5)))
    assert len(wire.requests) == 3
    assert wire.requests[0].headers["host"] == "ocsp.test"
    assert wire.requests[0].url.host == "93.184.215.14"
    await authorities.revoke(issued["contract"].stored.fingerprint, actor="t")
    clock.advance(3599)
    await checker.require_good(chain, clock.now())
    assert len(wire.requests) == 3
    clock.advance(1)
    with pytest.raises(Revoked, match=r"ocsp\.test"):
        await checker.require_good(chain, clock.now())


async def test_a_dead_responder_is_not_asked_again_for_a_while(
    issued: dict[str, Issued], clock: ManualClock, http: GuardedHttp, wire: Wire
) -> None:
    wire.fault = lambda _: httpx.Response(503, stream=httpx.ByteStream(b"away"))
    hard, soft = (RevocationChecker(http=http, rules=RevocationRules(policy=policy)) for policy in Policy)
    leaf = path(issued["secc"])[:2]
    with pytest.raises(StatusUnknown, match="answered 503"):
        await hard.require_good(leaf, clock.now())
    clock.advance(9)
    assert await hard.status(*leaf, clock.now()) is Status.UNKNOWN
    assert len(wire.requests) == 1
    wire.fault = lambda _: None
    clock.advance(1)
    await hard.require_good(leaf, clock.now())
    wire.fault = lambda _: httpx.Response(503, stream=httpx.ByteStream(b"away"))
    await soft.require_good(leaf, clock.now())


async def test_a_slow_responder_costs_its_time_and_no_more(
    issued: dict[str, Issued], clock: ManualClock, http: GuardedHttp, wire: Wire
) -> None:
    class Never(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            await asyncio.Event().wait()
            yield b""

    wire.fault = lambda _: httpx.Response(200, stream=Never())
    checker = RevocationChecker(http=http, rules=RevocationRules(timeout_s=0.01))
    verdict = await checker.verdict(*path(issued["secc"])[:2], clock.now())
    assert verdict.status is Status.UNKNOWN
    assert "no answer within 0.01 s" in verdict.detail


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (httpx.Response(302, headers={"location": "http://127.0.0.1/"}, stream=httpx.ByteStream(b"")), "answered 302"),
        (_ok(b""), "0 octets"),
        (_ok(bytes(70_000)), "longer than"),
        (_ok(b"\x30\x03\x0a\x01\x06"), "says unauthorized"),
        (_ok(b"\x30\x03\x0a\x01\x00"), "cannot be read"),
    ],
)
async def test_answers_that_say_nothing(
    issued: dict[str, Issued],
    clock: ManualClock,
    http: GuardedHttp,
    wire: Wire,
    answer: httpx.Response,
    complaint: str,
) -> None:
    wire.fault = lambda _: answer
    verdict = await RevocationChecker(http=http).verdict(*path(issued["secc"])[:2], clock.now())
    assert verdict.status is Status.UNKNOWN
    assert complaint in verdict.detail


async def test_certificates_without_responder_follow_the_rule(
    authorities: CertificateAuthorities, issued: dict[str, Issued], clock: ManualClock, http: GuardedHttp
) -> None:
    bare = await authorities.issue(Order(realm="r", kind="contract", bad="no-ocsp"), actor="t")
    strict = RevocationChecker(http=http)
    with pytest.raises(StatusUnknown, match="names no OCSP"):
        await strict.require_good(path(bare)[:2], clock.now())
    lenient = RevocationChecker(http=http, rules=RevocationRules(no_responder=Status.GOOD))
    await lenient.require_good(path(bare)[:2], clock.now())
    with pytest.raises(StatusUnknown, match="not asked here"):
        await RevocationChecker().require_good(path(issued["secc"])[:2], clock.now())


async def test_responses_of_others_do_not_count(
    tmp_path: Path, authorities: CertificateAuthorities, issued: dict[str, Issued], clock: ManualClock
) -> None:
    leaf, issuer = path(issued["contract"])[:2]
    responder = OcspResponder(authorities)
    foreign = await build_realm(authorities, "other", "iso2-strict")
    clock.advance(1)
    good = (await responder.answer(ocsp_request(leaf, issuer))).der
    with pytest.raises(PeerError, match="another certificate"):
        await read_ocsp_response(good, foreign["contract"].certificate, issuer, clock.now())
    with pytest.raises(PeerError, match="does not hold"):
        await read_ocsp_response(good, leaf, foreign["mo-sub2"].certificate, clock.now())
    with pytest.raises(PeerError, match="does not hold"):
        await read_ocsp_response(good, leaf, issuer, clock.now() - timedelta(days=1))


async def test_no_damage_makes_a_revoked_certificate_good(
    authorities: CertificateAuthorities, issued: dict[str, Issued], clock: ManualClock
) -> None:
    leaf, issuer = path(issued["contract"])[:2]
    await authorities.revoke(issued["contract"].stored.fingerprint, "superseded", actor="t")
    answer = (await OcspResponder(authorities).answer(ocsp_request(leaf, issuer))).der
    for offset in range(0, len(answer), 3):
        for bit in (0x01, 0x40):
            damaged = bytearray(answer)
            damaged[offset] ^= bit
            with contextlib.suppress(PeerError):
                verdict = await read_ocsp_response(bytes(damaged), leaf, issuer, clock.now())
                # a revoked answer may survive where an encoding has two forms
                assert verdict.status is not Status.GOOD, offset


async def test_a_leaf_of_the_same_ca_is_no_delegated_signer(
    authorities: CertificateAuthorities, issued: dict[str, Issued], clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from backends.pki import ocsp_responder

    responder = OcspResponder(authorities)
    leaf = issued["contract"]
    signer = ocsp_responder._Signer(leaf.stored, await authorities.key_of(leaf.stored))
    responder._signers[issued["mo-sub2"].stored.fingerprint] = signer
    answer = await responder.answer(ocsp_request(leaf.certificate, leaf.sub_cas[0]))
    with pytest.raises(PeerError, match="does not hold"):
        await read_ocsp_response(answer.der, leaf.certificate, leaf.sub_cas[0], clock.now())
