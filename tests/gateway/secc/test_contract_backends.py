"""Contracts that backends decide on: OCSP, then one authoriser's word; a refusal leaves the next session whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.authorisation import IdToken, ListEntry, LocalList
from gateway.controller import Controller
from gateway.forwarder import Forwarder
from gateway.policy import GatewayIdentity, OcspPolicy, Policy
from gateway.transaction import State
from ocmf.terms import IdType
from ports.authorisation import Authorisation, AuthorisationStatus, ContractStatus
from ports.contracts import CertificateStatus
from ports.errors import LocalError, PeerError, RigError
from tests.gateway.backend_doubles import ACCEPTED, Responder, Words
from tests.gateway.secc.bench import CARD, Bench, on_bench
from tests.gateway.secc.test_contract import NOW, plug_and_wait, pnc
from tests.v2g.session.pki import EMAID, make_pki
from tests.v2g.test_certificates import Issued
from v2g.session.faults import FaultPlan, read_fault
from v2g.session.vehicle_side import ContractCredentials
from v2g.signature_suites import signer

ONLY_CARDS = LocalList([ListEntry(token=CARD)])
QUICK = {"sample_s": 60.0}


def settings(
    folder: Path,
    *authorisers: Words,
    responder: Responder | None = None,
    policy: Policy | None = None,
    contract: ContractCredentials | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A bench whose contracts stand in no list."""
    found = pnc(folder, contract)
    found["evcc"] |= {"fallback": False}
    found["controller"] = {"authorisers": authorisers, "certificate_status": responder}
    return found | {"cards": ONLY_CARDS, "policy": policy or Policy(**QUICK)} | more


async def good_session_follows(bench: Bench, words: Words | None = None) -> None:
    """The same vehicle, once more, and all is well."""
    assert bench.evcc is not None
    assert bench.connector.machine.state is State.PLUGGED
    assert not bench.told("session.bug")
    assert not bench.told("session.crash")
    assert not bench.told("power.contactor")
    assert bench.backend.records == []
    if words is not None:
        words.word, words.delay_s = ACCEPTED, 0.1
    bench.evcc.setup = replace(bench.evcc.setup, contract=make_pki().credentials(), hook=lambda: _no_fault)
    bench.evcc.try_again()
    await bench.charging()
    assert bench.codes("AuthorizationRes")[-1] == "OK"


def _no_fault(point: str, unit: Any) -> list[Any]:
    return [unit]


@pytest.mark.parametrize("flag", ["OCPP_AUTH", "OCPP_AUTH_TLS"])
def test_the_backend_is_asked_once_with_the_whole_contract(tmp_path: Path, flag: str) -> None:
    words, responder = Words(flag=flag), Responder()
    words.delay_s = 7.0

    async def main(bench: Bench) -> None:
        await plug_and_wait(bench)
        assert bench.outcomes() == ["terminated"]
        (request,) = words.asked
        assert (request.id, request.id_type, request.connector) == (EMAID, "EMAID", "c1")
        assert request.evse_id == "DE*PLB*E0001"
        assert request.certificates == make_pki().credentials().certificates
        payload = json.loads(bench.backend.records[0].ocmf.split("|")[1])
        assert (payload["IS"], payload["IL"], payload["IT"], payload["ID"]) == (True, "SECURE", "EMAID", EMAID)
        assert payload["IF"] == ["RFID_NONE", flag, "ISO15118_PNC"]
        # while the backend thought, the vehicle was told so, many times
        waiting = [e for e in bench.told("v2g.tx") if e.data["message"] == "AuthorizationRes"]
        assert len(waiting) > 20
        assert bench.at("session.authorised") - bench.told("session.ocsp")[0].at == pytest.approx(7.0, abs=0.1)

    on_bench(main, **settings(tmp_path, words, responder=responder))


def test_a_contract_in_the_local_list_needs_no_backend(tmp_path: Path) -> None:
    words = Words()
    cards = LocalList([ListEntry(token=IdToken(EMAID, IdType.EMAID))])

    async def main(bench: Bench) -> None:
        await plug_and_wait(bench)
        assert words.asked == []
        payload = json.loads(bench.backend.records[0].ocmf.split("|")[1])
        assert payload["IF"] == ["RFID_NONE", "OCPP_WHITELIST", "ISO15118_PNC"]
        assert payload["IL"] == "SECURE"

    on_bench(main, **settings(tmp_path, words, cards=cards))


def quick_and_soak(table: Iterable[str], *quick: str) -> list[Any]:
    """Rows of a table as parameters: some always, the others in the long campaign; `test_admission` has them all."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.soak) for name in table]


S, C = AuthorisationStatus, ContractStatus
WORDS: dict[str, tuple[Authorisation | Exception, str]] = {
    "revoked": (Authorisation(S.BLOCKED, C.CERTIFICATE_REVOKED), "FAILED_CertificateRevoked"),
    "expired": (Authorisation(S.EXPIRED, C.CERTIFICATE_EXPIRED), "FAILED_CertificateExpired"),
    "signature": (Authorisation(S.INVALID, C.SIGNATURE_ERROR), "FAILED_SignatureError"),
    "none": (Authorisation(S.INVALID, C.NO_CERTIFICATE_AVAILABLE), "FAILED_NoCertificateAvailable"),
    "chain": (Authorisation(S.INVALID, C.CERT_CHAIN_ERROR), "FAILED_CertChainError"),
    "cancelled": (Authorisation(S.BLOCKED, C.CONTRACT_CANCELLED), "FAILED_ContractCanceled"),
    "blocked all the same": (Authorisation(S.BLOCKED, C.ACCEPTED), "FAILED"),
    "accepted, but its certificate": (Authorisation(S.ACCEPTED, C.CERTIFICATE_REVOKED), "FAILED_CertificateRevoked"),
    "no word on the certificate": (Authorisation(S.NO_CREDIT), "FAILED"),
    "nobody knows it": (Authorisation(S.UNKNOWN), "FAILED"),
    "away": (RigError("csms: not connected"), "FAILED"),
    "nonsense": (PeerError("csms: no status in the answer", b"{}"), "FAILED"),
}


@pytest.mark.parametrize("what", quick_and_soak(WORDS, "revoked", "away"))
def test_a_refusal_has_its_code_and_closes_no_relay(tmp_path: Path, what: str) -> None:
    word, code = WORDS[what]
    words = Words(word)

    async def main(bench: Bench) -> None:
        await plug_and_wait(bench)
        assert bench.codes("AuthorizationRes")[-1] == code
        assert bench.outcomes() == ["failed"]
        assert len(words.asked) == 1
        (refused,) = bench.told("session.refused")
        assert refused.data["code"] == code
        await good_session_follows(bench, words)

    on_bench(main, **settings(tmp_path, words))


def test_a_backend_that_says_nothing_is_given_the_time_of_the_policy(tmp_path: Path) -> None:
    words = Words()
    words.delay_s = None

    async def main(bench: Bench) -> None:
        await plug_and_wait(bench)
        assert bench.codes("AuthorizationRes")[-1] == "FAILED"
        assert bench.at("session.refused") - bench.told("session.ocsp")[0].at == pytest.approx(12.0, abs=0.1)
        assert bench.told("session.asked")[0].data["status"] == "no answer"
        await good_session_follows(bench, words)

    on_bench(main, **settings(tmp_path, words, policy=Policy(authorise_s=12.0)))


def test_the_next_authoriser_is_asked_when_one_is_away_or_knows_nothing(tmp_path: Path) -> None:
    away, ignorant, decides, last = (
        Words(RigError("away"), name="a"),
        Words(Authorisation(S.UNKNOWN), name="b"),
        Words(flag="OCPP_AUTH", name="c"),
        Words(name="d"),
    )

    async def main(bench: Bench) -> None:
        await plug_and_wait(bench)
        assert [len(one.asked) for one in (away, ignorant, decides, last)] == [1, 1, 1, 0]
        assert bench.outcomes() == ["terminated"]

    on_bench(main, **settings(tmp_path, away, ignorant, decides, last))


def test_a_vehicle_that_leaves_while_the_backend_thinks_begins_nothing(tmp_path: Path) -> None:
    words = Words()
    words.delay_s = 20.0

    async def main(bench: Bench) -> None:
        await bench.plug()
        await bench.clock.sleep(5)
        assert len(words.asked) == 1
        await bench.unplug()
        await bench.clock.sleep(60)
        assert not bench.told("session.authorised")
        assert bench.backend.records == []
        words.delay_s = 0.1
        await bench.plug()
        await bench.charging()
        assert len(words.asked) == 2

    on_bench(main, **settings(tmp_path, words))


def fault(**what: Any) -> dict[str, Any]:
    """A vehicle that does something wrong."""
    return {"hook": lambda: FaultPlan([read_fault(what)])}


def _wrong_key() -> dict[str, Any]:
    return {"contract": replace(make_pki().credentials(), sign=signer(make_pki().cps.key))}


def _other_emaid() -> dict[str, Any]:
    return {"contract": make_pki().credentials(emaid="DEABCC999XYZ99")}


BODY = {"fault": "replace field", "message": "AuthorizationReq", "field": "Body.BodyElement.Id", "value": "id7"}
CHALLENGE = BODY | {"field": "Body.BodyElement.GenChallenge", "value": "hex:" + "ab" * 16}
WRONG: dict[str, tuple[Callable[[], dict[str, Any]], str, str]] = {
    "wrong key": (_wrong_key, "AuthorizationRes", "FAILED_SignatureError"),
    "body changed after signing": (lambda: fault(**BODY), "AuthorizationRes", "FAILED_SignatureError"),
    "another challenge": (lambda: fault(**CHALLENGE), "AuthorizationRes", "FAILED_ChallengeInvalid"),
    "another EMAID than the certificate's": (_other_emaid, "PaymentDetailsRes", "FAILED_NoCertificateAvailable"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_the_session_refuses_reaches_no_backend(tmp_path: Path, what: str) -> None:
    make, answer, code = WRONG[what]
    words, responder = Words(), Responder()
    found = settings(tmp_path, words, responder=responder)
    found["evcc"] |= make()

    async def main(bench: Bench) -> None:
        await plug_and_wait(bench)
        assert bench.codes(answer)[-1] == code
        assert bench.outcomes() == ["failed"]
        assert words.asked == []
        assert responder.asked == []
        await good_session_follows(bench)
        assert [request.id for request in words.asked] == [EMAID]

    on_bench(main, **found)


def _contract(**dates: Any) -> ContractCredentials:
    pki = make_pki()
    return pki.credentials(Issued(EMAID, "MO", "contract", pki.mo_sub_2, **dates))


def _under(sub_1: Issued, sub_2: Issued) -> ContractCredentials:
    leaf = Issued(EMAID, "MO", "contract", sub_2, start=NOW)
    return replace(make_pki().credentials(leaf), certificates=(leaf.der, sub_2.der, sub_1.der))


def _old_sub_1() -> ContractCredentials:
    old = Issued("MO Sub 1", "MO", "ca", make_pki().mo_root, path=1, start=NOW - timedelta(days=800), years=1)
    return _under(old, Issued("MO Sub 2", "MO", "ca", old, path=0, start=NOW))


def _old_sub_2() -> ContractCredentials:
    pki = make_pki()
    old = Issued("MO Sub 2", "MO", "ca", pki.mo_sub_1, path=0, start=NOW - timedelta(days=800), years=1)
    return _under(pki.mo_sub_1, old)


TIMES: dict[str, tuple[Callable[[], ContractCredentials], str]] = {
    # plugged in, the vehicle shows its contract about a second later
    "valid for two more seconds": (
        lambda: _contract(start=NOW - timedelta(days=365) + timedelta(seconds=4), years=1),
        "OK",
    ),
    "expired a second ago": (
        lambda: _contract(start=NOW - timedelta(days=365) - timedelta(seconds=1), years=1),
        "FAILED_CertificateExpired",
    ),
    "sub-CA 1 expired": (_old_sub_1, "FAILED_NoCertificateAvailable"),
    "sub-CA 2 expired": (_old_sub_2, "FAILED_NoCertificateAvailable"),
}


@pytest.mark.parametrize("what", TIMES)
def test_validity_is_judged_by_the_stations_civil_clock(tmp_path: Path, what: str) -> None:
    make, code = TIMES[what]
    words = Words()

    async def main(bench: Bench) -> None:
        await plug_and_wait(bench)
        assert bench.codes("PaymentDetailsRes")[0].removesuffix("_CertificateExpiresSoon") == code
        if code != "OK":
            assert words.asked == []
            await good_session_follows(bench)

    on_bench(main, **settings(tmp_path, words, contract=make()))


OCSP: dict[str, tuple[OcspPolicy, Any, str, str]] = {
    "hard, good": (OcspPolicy.HARD, CertificateStatus.GOOD, "OK", "passes"),
    "hard, down": (OcspPolicy.HARD, RigError("ocsp: connection refused"), "FAILED", "refused"),
    "hard, silent": (OcspPolicy.HARD, None, "FAILED", "refused"),
    "hard, a bad answer": (OcspPolicy.HARD, PeerError("signature does not verify"), "FAILED", "refused"),
    "hard, unknown": (OcspPolicy.HARD, CertificateStatus.UNKNOWN, "FAILED", "refused"),
    "hard, revoked": (OcspPolicy.HARD, CertificateStatus.REVOKED, "FAILED_CertificateRevoked", "refused"),
    "soft, down": (OcspPolicy.SOFT, RigError("ocsp: connection refused"), "OK", "passes"),
    "soft, unknown": (OcspPolicy.SOFT, CertificateStatus.UNKNOWN, "OK", "passes"),
    "soft, revoked": (OcspPolicy.SOFT, CertificateStatus.REVOKED, "FAILED_CertificateRevoked", "refused"),
    "off": (OcspPolicy.OFF, CertificateStatus.REVOKED, "OK", "passes"),
}


@pytest.mark.parametrize("what", quick_and_soak(OCSP, "hard, down", "soft, down", "soft, revoked", "off"))
def test_ocsp_follows_the_policy_and_the_trace_names_it(tmp_path: Path, what: str) -> None:
    policy, status, code, decision = OCSP[what]
    words, responder = Words(), Responder(status)

    async def main(bench: Bench) -> None:
        await plug_and_wait(bench)
        assert bench.codes("AuthorizationRes")[-1] == code
        (told,) = bench.told("session.ocsp")
        assert (told.data["policy"], told.data["decision"], told.data["responder"]) == (policy.value, decision, "ocsp")
        # leaf, sub-CA 2 and sub-CA 1, each with its issuer; the root of the station closes the chain
        asked = 0 if policy is OcspPolicy.OFF else 3
        assert len(responder.asked) == asked
        pki = make_pki()
        assert responder.asked[:1] == ([(pki.contract.der, pki.mo_sub_2.der)] if asked else [])
        assert responder.asked[2:] == ([(pki.mo_sub_1.der, pki.mo_root.der)] if asked else [])
        assert len(words.asked) == (code == "OK")
        if code != "OK":
            responder.usual = CertificateStatus.GOOD
            await good_session_follows(bench)

    on_bench(main, **settings(tmp_path, words, responder=responder, policy=Policy(ocsp=policy, **QUICK)))


def test_a_revoked_sub_ca_is_found(tmp_path: Path) -> None:
    words, responder = Words(), Responder()
    responder.words[make_pki().mo_sub_1.der] = CertificateStatus.REVOKED

    async def main(bench: Bench) -> None:
        await plug_and_wait(bench)
        assert bench.codes("AuthorizationRes")[-1] == "FAILED_CertificateRevoked"
        assert "MO Sub 1" in str(bench.told("session.refused")[0].data["why"])
        assert words.asked == []

    on_bench(main, **settings(tmp_path, words, responder=responder))


def test_a_hard_policy_without_a_responder_is_our_own_fault(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        hard = replace(bench.setup, policy=Policy(ocsp=OcspPolicy.HARD))
        with pytest.raises(LocalError, match="no responder"):
            Controller(
                GatewayIdentity(identification="g", serial="G1", version="1"),
                [hard],
                bench.journal,
                Forwarder(bench.journal, {}, bench.clock),
                ONLY_CARDS,
                bench.clock,
            )

    on_bench(main, **settings(tmp_path, Words()))


def test_without_a_responder_the_trace_says_that_nobody_was_asked(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        await plug_and_wait(bench)
        (told,) = bench.told("session.ocsp")
        assert set(told.data["status"].values()) == {"not asked"}  # type: ignore[attr-defined]
        assert told.data["why"] == "no responder is given"

    on_bench(main, **settings(tmp_path, Words()))
