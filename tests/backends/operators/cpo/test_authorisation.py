from __future__ import annotations

from pathlib import Path
from typing import Any

from backends.operators.cpo.authorisation import LocalList
from backends.operators.cpo.schema import TRANSACTIONS
from hil_rigs.virtual_clock import VirtualClock
from ports.authorisation import Authorisation, AuthorisationRequest, AuthorisationStatus, ContractStatus
from ports.errors import PeerError, RigError
from tests.backends.operators.cpo.parts import Word, accepting, event, running_cpo, station, virtual

CARD = "04A1B2C3"
TOKEN = {"idToken": CARD, "type": "ISO14443"}


# what 1.6 has no word for is Invalid there
WORDS = {
    AuthorisationStatus.ACCEPTED: "Accepted",
    AuthorisationStatus.BLOCKED: "Blocked",
    AuthorisationStatus.EXPIRED: "Expired",
    AuthorisationStatus.CONCURRENT: "ConcurrentTx",
    AuthorisationStatus.INVALID: "Invalid",
    AuthorisationStatus.NO_CREDIT: "Invalid",
    AuthorisationStatus.NOT_ALLOWED_HERE: "Invalid",
    AuthorisationStatus.NOT_NOW: "Invalid",
    AuthorisationStatus.UNKNOWN: "Invalid",
}


@virtual
async def test_every_word_reaches_both_versions(tmp_path: Path, clock: VirtualClock) -> None:
    assert set(WORDS) == set(AuthorisationStatus)
    word = Word(answers={status.value: Authorisation(status) for status in WORDS})
    async with running_cpo(tmp_path, clock, authorisers=[word]) as cpo:
        async with station(cpo.running) as wire:
            for status in WORDS:
                said = (await wire.ask("Authorize", {"idToken": {"idToken": status.value, "type": "ISO14443"}}))[2]
                assert said == {"idTokenInfo": {"status": status.value}}
        async with station(cpo.running, "ocpp1.6") as wire:
            for status, for_16 in WORDS.items():
                said = (await wire.ask("Authorize", {"idTag": status.value}))[2]
                assert said == {"idTagInfo": {"status": for_16}}
    assert {(one.evse_id, one.id_type) for one in word.asked} == {("DE*PLB*E1", "ISO14443"), ("DE*PLB*E1", "CENTRAL")}


@virtual
async def test_what_an_id_tag_of_1_6_may_be(tmp_path: Path, clock: VirtualClock) -> None:
    class Customers(Word):
        async def authorise(self, request: AuthorisationRequest) -> Authorisation:
            known = {("DEABCC123ABC56", "EMAID"), ("04A1B2C3", "ISO14443"), ("app-user-1", "CENTRAL")}
            accepted = (request.id, request.id_type) in known
            return Authorisation(AuthorisationStatus.ACCEPTED if accepted else AuthorisationStatus.UNKNOWN)

    async with running_cpo(tmp_path, clock, authorisers=[Customers()]) as cpo:
        async with station(cpo.running, "ocpp1.6") as wire:
            # the first might be the UID of a card, too
            for tag in ("DEABCC123ABC56", "04A1B2C3", "app-user-1"):
                assert (await wire.ask("Authorize", {"idTag": tag}))[2] == {"idTagInfo": {"status": "Accepted"}}
            start = {"connectorId": 1, "idTag": "DEABCC123ABC56", "meterStart": 0, "timestamp": "2026-01-01T12:00:00Z"}
            assert (await wire.ask("StartTransaction", start))[2]["idTagInfo"] == {"status": "Accepted"}
        (row,) = await cpo.rows(TRANSACTIONS)
    assert (row["id_token"], row["id_type"]) == ("DEABCC123ABC56", "EMAID")


@virtual
async def test_the_first_who_knows_is_believed(tmp_path: Path, clock: VirtualClock) -> None:
    away, odd = Word("away", error=RigError("no route")), Word("odd", error=PeerError("nonsense"))
    blocked = LocalList({CARD: AuthorisationStatus.BLOCKED})
    never = accepting(CARD)
    async with running_cpo(tmp_path, clock, authorisers=[away, odd, Word("silent"), blocked, never]) as cpo:
        async with station(cpo.running) as wire:
            assert (await wire.ask("Authorize", {"idToken": TOKEN}))[2] == {"idTokenInfo": {"status": "Blocked"}}
            unknown = {"idToken": {"idToken": "AA", "type": "ISO14443"}}
            never.answers.clear()
            assert (await wire.ask("Authorize", unknown))[2] == {"idTokenInfo": {"status": "Unknown"}}
            nobody = {"idToken": {"idToken": "", "type": "NoAuthorization"}}
            assert (await wire.ask("Authorize", nobody))[2] == {"idTokenInfo": {"status": "Accepted"}}
        detail = cpo.traced("csms.authorised")[-1]["detail"]
    assert "away did not answer: no route" in detail
    assert "odd made no sense: nonsense" in detail
    assert "silent does not know it" in detail


@virtual
async def test_a_transaction_uses_the_answer_that_began_it(tmp_path: Path, clock: VirtualClock) -> None:
    word = accepting(CARD)
    async with running_cpo(tmp_path, clock, authorisers=[word]) as cpo, station(cpo.running) as wire:
        await wire.ask("Authorize", {"idToken": TOKEN})
        await wire.ask("TransactionEvent", event("Started", 0, idToken=TOKEN))
        assert len(word.asked) == 1
        await clock.sleep(3600)
        word.answers[CARD] = Authorisation(AuthorisationStatus.NO_CREDIT)
        answer = await wire.ask("TransactionEvent", event("Updated", 1, idToken=TOKEN))
        assert answer[2] == {"idTokenInfo": {"status": "NoCredit"}}


@virtual
async def test_a_contract_that_the_mo_cancelled(tmp_path: Path, clock: VirtualClock) -> None:
    cancelled = Authorisation(AuthorisationStatus.BLOCKED, ContractStatus.CONTRACT_CANCELLED)
    async with running_cpo(tmp_path, clock, authorisers=[Word(answers={"DEPLBC00000042": cancelled})]) as cpo:
        async with station(cpo.running) as wire:
            token = {"idToken": {"idToken": "DEPLBC00000042", "type": "eMAID"}}
            answer = (await wire.ask("Authorize", token))[2]
    assert answer == {"idTokenInfo": {"status": "Blocked"}, "certificateStatus": "ContractCancelled"}


@virtual
async def test_hash_data_that_is_none(tmp_path: Path, clock: VirtualClock) -> None:
    data: dict[str, Any] = {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": "00" * 32,
        "issuerKeyHash": "11" * 32,
        "serialNumber": "1",
        "responderURL": "http://127.0.0.1/",
    }
    async with running_cpo(tmp_path, clock, authorisers=[accepting("E")]) as cpo, station(cpo.running) as wire:
        for broken in (
            {"issuerNameHash": "zz"},
            {"issuerKeyHash": "00"},
            {"serialNumber": "no"},
            {"hashAlgorithm": "SHA512"},
        ):
            asked = {"idToken": {"idToken": "E", "type": "eMAID"}, "iso15118CertificateHashData": [data | broken]}
            answer = (await wire.ask("Authorize", asked))[2]
            assert answer == {"idTokenInfo": {"status": "Invalid"}, "certificateStatus": "CertChainError"}
            status = (await wire.ask("GetCertificateStatus", {"ocspRequestData": data | broken}))[2]
            assert status["status"] == "Failed"
        # a responder in our own network is not asked unless that is allowed
        status = (await wire.ask("GetCertificateStatus", {"ocspRequestData": data}))[2]
        assert "no public address" in status["statusInfo"]["additionalInfo"]
