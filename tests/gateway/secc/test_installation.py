"""Requests for contracts on their way to the pool and back: in time or refused, unchanged, and no key in any trace."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firmware_sim.vehicle.certificate_store import CertificateStore
from firmware_sim.vehicle.evcc_setup import Plan
from firmware_sim.vehicle.wish import Seconds
from ports.contracts import ContractAction, ContractAnswer
from ports.errors import PeerError, RigError
from tests.gateway.backend_doubles import Pool, Words
from tests.gateway.secc.bench import Bench, find, on_bench
from tests.gateway.secc.test_contract import plug_and_wait
from tests.gateway.secc.test_contract_backends import quick_and_soak, settings
from tests.v2g.session.pki import OTHER_EMAID, make_pki
from v2g.exi.codec import decode, encode
from v2g.session.faults import FaultPlan, read_fault

NAMESPACE = "urn:iso:15118:2:2013:MsgDef"


def without_contract(folder: Path, pool: Pool | None, *words: Words, **evcc: Any) -> dict[str, Any]:
    """A vehicle that has a provisioning certificate only, at a station that reaches a pool."""
    found = settings(folder, *(words or (Words(),)))
    found["secc"] |= {"contract_source": pool}
    store = CertificateStore()
    store.add_root(make_pki().v2g_root.certificate)
    found["evcc"] |= {"contract": None, "provisioning": make_pki().provisioned(), "store": store} | evcc
    return found


def sent(bench: Bench, name: str) -> list[Any]:
    """Messages of one name as the station's session saw them."""
    return [e for e in bench.trace if e.kind in ("v2g.rx", "v2g.tx") and e.data.get("message") == name]


def latency(bench: Bench) -> float:
    """From the vehicle's request to the station's answer, at the station."""
    asked = next(e for e in sent(bench, "CertificateInstallationReq") if e.kind == "v2g.rx")
    answered = next(e for e in sent(bench, "CertificateInstallationRes") if e.kind == "v2g.tx")
    return answered.at - asked.at


async def good_session_follows(bench: Bench, pool: Pool, answer: float = 1.0) -> None:
    """The next plugging-in: the vehicle asks again, and the pool is well."""
    assert bench.evcc is not None
    assert not bench.told("power.contactor")
    assert bench.backend.records == []
    assert not bench.told("session.bug")
    pool.delay_s, pool.trouble, pool.make = answer, None, Pool().make
    bench.evcc.setup = replace(bench.evcc.setup, hook=lambda: lambda point, unit: [unit])
    await bench.unplug()
    await bench.plug(Seconds(30))
    await bench.charging()
    assert bench.codes("CertificateInstallationRes")[-1] == "OK"


@pytest.mark.parametrize("delay_s", [0.0, 4.4])
def test_a_contract_comes_through_the_pool_unchanged_and_pays(tmp_path: Path, delay_s: float) -> None:
    pool, words = Pool(), Words()
    pool.delay_s = delay_s

    async def main(bench: Bench) -> None:
        await plug_and_wait(bench)
        assert bench.outcomes() == ["terminated"]
        assert bench.codes("CertificateInstallationRes") == ["OK"]
        ((action, exi, namespace, seconds),) = pool.asked
        (request,) = sent(bench, "CertificateInstallationReq")[:1]
        assert (action, namespace) == (ContractAction.INSTALL, NAMESPACE)
        assert bytes(request.raw)[8:] == exi
        assert 4.4 < seconds < 4.5
        assert latency(bench) == pytest.approx(delay_s, abs=0.01)
        assert words.asked[0].id == OTHER_EMAID
        (told,) = bench.told("secc.certificate")
        assert (told.data["outcome"], told.data["source"], told.data["action"]) == ("answered", "pool", "install")
        assert told.data["latency_s"] == pytest.approx(delay_s, abs=0.01)
        assert told.data["request_sha256"] == hashlib.sha256(exi).hexdigest()
        assert len(str(told.data["answer_sha256"])) == 64

    on_bench(main, **without_contract(tmp_path, pool, words))


def test_the_vehicle_gets_the_pools_octets(tmp_path: Path) -> None:
    answers: list[bytes] = []

    def make(kind: str, session: bytes) -> ContractAnswer:
        answers.append(make_pki().installation(kind, session) + b"\0")
        return ContractAnswer(answers[-1])

    async def main(bench: Bench) -> None:
        await plug_and_wait(bench)
        (told,) = [e for e in sent(bench, "CertificateInstallationRes") if e.kind == "v2g.tx"]
        frame = bytes.fromhex("01fe8001") + len(answers[0]).to_bytes(4, "big") + answers[0]
        assert told.data["sha256"] == hashlib.sha256(frame).hexdigest()

    on_bench(main, **without_contract(tmp_path, Pool(make)))


@pytest.mark.parametrize("delay_s", [4.6])
def test_an_answer_that_comes_too_late_is_refused_in_time_and_dropped(tmp_path: Path, delay_s: float) -> None:
    pool = Pool()
    pool.delay_s = delay_s

    async def main(bench: Bench) -> None:
        await plug_and_wait(bench)
        await bench.clock.sleep(30)
        assert bench.codes("CertificateInstallationRes") == ["FAILED"]
        assert 4.4 < latency(bench) <= 4.5
        assert [e.data["outcome"] for e in bench.told("secc.certificate")] == ["late", "dropped"]
        assert bench.outcomes() == ["failed"]
        await good_session_follows(bench, pool)

    on_bench(main, **without_contract(tmp_path, pool))


def refusal(code: str) -> Callable[[str, bytes], ContractAnswer]:
    """A pool that says no in a message of its own."""

    def make(kind: str, session: bytes) -> ContractAnswer:
        message: Any = decode("iso2", make_pki().installation(kind, session))
        message.Body.BodyElement.ResponseCode = code
        return ContractAnswer(encode(message), accepted=False)

    return make


def other_session(kind: str, session: bytes) -> ContractAnswer:
    return ContractAnswer(make_pki().installation(kind, bytes(reversed(session))))


NONE = "FAILED_NoCertificateAvailable"
POOLS: dict[str, tuple[Callable[[str, bytes], ContractAnswer] | Exception, str, str]] = {
    "404 without a body": (lambda _k, _s: ContractAnswer(b"", accepted=False), NONE, "none"),
    "404 with an answer": (refusal(NONE), NONE, "none"),
    "404 with another code": (refusal("FAILED_CertificateRevoked"), "FAILED_CertificateRevoked", "none"),
    "404 with plain FAILED": (refusal("FAILED"), NONE, "none"),
    "404 with a page": (lambda _k, _s: ContractAnswer(b"<html>", accepted=False), NONE, "none"),
    "down": (RigError("pool: connection refused"), "FAILED", "failed"),
    "refuses": (PeerError("pool: 403"), "FAILED", "failed"),
    "for another session": (other_session, "FAILED", "answered"),
    "no EXI": (lambda _k, _s: ContractAnswer(b"<html>"), "FAILED", "answered"),
    "nothing": (lambda _k, _s: ContractAnswer(b""), "FAILED", "answered"),
}


@pytest.mark.parametrize("what", quick_and_soak(POOLS, "404 without a body", "404 with an answer", "down"))
def test_what_the_pool_cannot_do_has_its_code(tmp_path: Path, what: str) -> None:
    answer, code, outcome = POOLS[what]
    pool = Pool() if isinstance(answer, Exception) else Pool(answer)
    pool.trouble = answer if isinstance(answer, Exception) else None

    async def main(bench: Bench) -> None:
        await plug_and_wait(bench)
        assert bench.codes("CertificateInstallationRes") == [code]
        assert [e.data["outcome"] for e in bench.told("secc.certificate")] == [outcome]
        assert len(pool.asked) == 1
        await good_session_follows(bench, pool)

    on_bench(main, **without_contract(tmp_path, pool))


def test_a_station_without_a_pool_does_not_offer_the_service(tmp_path: Path) -> None:
    async def main(bench: Bench) -> None:
        await plug_and_wait(bench)
        (found, *_) = [e.data for e in bench.told("v2g.StationFound")]
        assert found["services"] == []
        assert "CertificateInstallationReq" not in bench.messages()

    on_bench(main, **without_contract(tmp_path, None))


def altered(field: str, value: str, message: str = "CertificateInstallationReq") -> dict[str, Any]:
    what = {"fault": "replace field", "message": message, "field": field, "value": value}
    return {"hook": lambda: FaultPlan([read_fault(what)])}


REPLAYED: dict[str, tuple[dict[str, Any], str]] = {
    "the session of yesterday": (altered("Header.SessionID", "hex:1122334455667788"), "FAILED_UnknownSession"),
    "the Id of yesterday": (altered("Body.BodyElement.Id", "id9"), "FAILED_SignatureError"),
}


@pytest.mark.parametrize("what", REPLAYED)
def test_a_replayed_request_reaches_no_pool(tmp_path: Path, what: str) -> None:
    hook, code = REPLAYED[what]
    pool = Pool()

    async def main(bench: Bench) -> None:
        await plug_and_wait(bench)
        assert bench.codes("CertificateInstallationRes") == [code]
        assert pool.asked == []
        await good_session_follows(bench, pool)

    on_bench(main, **without_contract(tmp_path, pool, **hook))


def test_the_same_request_twice_reaches_the_pool_once(tmp_path: Path) -> None:
    pool = Pool()
    twice = {"fault": "repeat", "message": "CertificateInstallationReq", "copies": 2}

    async def main(bench: Bench) -> None:
        await plug_and_wait(bench)
        assert bench.codes("CertificateInstallationRes")[0] == "FAILED_SequenceError"
        assert len(pool.asked) == 1
        await bench.clock.sleep(30)
        await good_session_follows(bench, pool)

    on_bench(main, **without_contract(tmp_path, pool, hook=lambda: FaultPlan([read_fault(twice)])))


def test_no_trace_holds_a_key(tmp_path: Path) -> None:
    """Neither side's: not the sealed key, not what it is sealed with, in no form."""
    answers: list[bytes] = []

    def make(kind: str, session: bytes) -> ContractAnswer:
        answers.append(make_pki().installation(kind, session))
        return ContractAnswer(answers[-1])

    async def main(bench: Bench) -> None:
        await plug_and_wait(bench)
        assert bench.outcomes() == ["terminated"]
        body: Any = decode("iso2", answers[0])
        body = body.Body.BodyElement
        scalar = make_pki().new_contract.key.private_numbers().private_value.to_bytes(32, "big")
        for secret in (scalar, body.ContractSignatureEncryptedPrivateKey.value, body.DHpublickey.value):
            for event in bench.trace:
                assert secret not in event.raw
                assert secret.hex() not in repr(event.data).lower()
                assert repr(secret)[2:-1] not in repr(event.data)
        shown = find(sent(bench, "CertificateInstallationRes")[0].data["decoded"], "eMAID")
        assert OTHER_EMAID in str(shown)

    on_bench(main, **without_contract(tmp_path, Pool(make)))


def test_a_vehicle_that_leaves_does_not_wait_for_the_pool(tmp_path: Path) -> None:
    pool = Pool()
    pool.delay_s = 3.0

    async def main(bench: Bench) -> None:
        await bench.plug()
        while not pool.asked:
            await bench.clock.sleep(0.1)
        await bench.unplug()
        await bench.clock.sleep(10)
        assert not bench.told("session.bug")
        pool.delay_s = 0.5
        await bench.plug()
        await bench.charging()

    on_bench(main, **without_contract(tmp_path, pool))


def test_a_contract_is_updated_through_the_pool(tmp_path: Path) -> None:
    pool, words = Pool(), Words()

    async def main(bench: Bench) -> None:
        assert bench.evcc is not None
        bench.evcc.plan = Plan(certificate_action="update")
        await plug_and_wait(bench)
        assert [action for action, *_ in pool.asked] == [ContractAction.UPDATE]
        assert bench.codes("CertificateUpdateRes") == ["OK"]
        assert [request.id for request in words.asked] == [OTHER_EMAID]
        assert bench.outcomes() == ["terminated"]

    on_bench(main, **without_contract(tmp_path, pool, words, contract=make_pki().credentials()))


def test_a_bug_in_the_pools_client_is_told_and_refused_in_time(tmp_path: Path) -> None:
    pool = Pool()
    pool.trouble = RuntimeError("a bug of the client")

    async def main(bench: Bench) -> None:
        await plug_and_wait(bench)
        assert bench.codes("CertificateInstallationRes") == ["FAILED"]
        assert latency(bench) == pytest.approx(1.0, abs=0.01)
        assert bench.told("session.bug")

    with pytest.raises(BaseExceptionGroup, match="bugs"):
        on_bench(main, **without_contract(tmp_path, pool))
