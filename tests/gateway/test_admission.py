"""Local list, OCSP and backends in their order, without any vehicle: every word and what follows from it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.authorisation import IdToken, RefusedError
from gateway.backend_word import CODES, LEVELS, BackendWord
from gateway.ocsp_check import OcspCheck
from gateway.patience import within
from gateway.policy import OcspPolicy, Policy
from gateway.transaction import State
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ocmf.terms import IdType, Level
from ports.authorisation import Authorisation, AuthorisationRequest, AuthorisationStatus, ContractStatus
from ports.contracts import CertificateStatus
from ports.errors import PeerError, RigError
from ports.trace import TraceEvent
from tests.gateway.backend_doubles import ACCEPTED, Responder, Words
from tests.gateway.point import CARD, Point
from tests.v2g.session.pki import EMAID, make_pki

START = datetime(2026, 11, 20, 8, tzinfo=UTC)
CHAIN = make_pki().credentials().certificates
CONTRACT = AuthorisationRequest("c1", "DE*PLB*E1", EMAID, "EMAID", CHAIN)
S, C = AuthorisationStatus, ContractStatus


def ask(
    request: AuthorisationRequest, *authorisers: Words, patience_s: float = 30.0
) -> tuple[object, list[TraceEvent]]:
    """The user, or the refusal."""
    trace: list[TraceEvent] = []

    async def main(clock: VirtualClock) -> object:
        try:
            return await BackendWord(authorisers, clock, trace.append).user(request, patience_s)
        except RefusedError as error:
            return error

    return run_virtual(main, start=START), trace


@pytest.mark.parametrize("status", list(S))
@pytest.mark.parametrize("contract", [None, *C])
def test_every_word_has_its_code_and_level(status: AuthorisationStatus, contract: ContractStatus | None) -> None:
    word = Authorisation(status, contract, "because")
    found, (told,) = ask(CONTRACT, Words(word))
    assert (told.data["status"], told.data["authoriser"], told.data["latency_s"]) == (status, "csms", 0.3)
    if word.is_accepted:
        assert not isinstance(found, RefusedError)
        return
    assert isinstance(found, RefusedError)
    assert found.code == CODES[contract]
    assert found.level is LEVELS.get(status, Level.NONE)
    assert "because" in str(found)


def test_codes_are_those_of_the_standard() -> None:
    assert CODES[C.CERTIFICATE_REVOKED] == "FAILED_CertificateRevoked"
    assert CODES[C.CONTRACT_CANCELLED] == "FAILED_ContractCanceled"
    assert set(CODES) == {None, *C}


def test_one_deadline_for_all_backends() -> None:
    silent, late = Words(name="a"), Words(name="b")
    silent.delay_s, late.delay_s = None, 1.0
    found, told = ask(CONTRACT, silent, late, patience_s=10.0)
    assert isinstance(found, RefusedError)
    assert "a: no answer within 10 s" in str(found)
    assert [event.at - told[0].at for event in told] == [0.0, 0.0]
    assert len(late.asked) == 1


@pytest.mark.parametrize("word", [RigError("away"), PeerError("nonsense"), Authorisation(S.UNKNOWN)])
def test_the_next_one_decides(word: Authorisation | Exception) -> None:
    first, second = Words(word), Words(Authorisation(S.BLOCKED), name="second")
    found, _ = ask(CONTRACT, first, second)
    assert isinstance(found, RefusedError)
    assert "second says of EMAID" in str(found)


def test_what_nobody_knows_is_unknown_also_when_others_are_away() -> None:
    found, _ = ask(CONTRACT, Words(Authorisation(S.UNKNOWN)), Words(RigError("away")))
    assert isinstance(found, RefusedError)
    assert found.level is Level.UNKNOWN
    assert "csms says of EMAID" in str(found)


OCSP: dict[str, tuple[CertificateStatus | Exception | None, str, str]] = {
    # what the responder says: code with the hard policy, code with the soft one; "" passes
    "good": (CertificateStatus.GOOD, "", ""),
    "revoked": (CertificateStatus.REVOKED, "FAILED_CertificateRevoked", "FAILED_CertificateRevoked"),
    "unknown": (CertificateStatus.UNKNOWN, "FAILED", ""),
    "down": (RigError("connection refused"), "FAILED", ""),
    "a bad answer": (PeerError("signature does not verify"), "FAILED", ""),
    "silent": (None, "FAILED", ""),
}


@pytest.mark.parametrize("what", OCSP)
@pytest.mark.parametrize("policy", list(OcspPolicy))
def test_ocsp_by_policy(policy: OcspPolicy, what: str) -> None:
    word, hard, soft = OCSP[what]
    responder, trace = Responder(word), []
    began: list[float] = []

    async def main(clock: VirtualClock) -> str:
        began.append(clock.monotonic())
        check = OcspCheck(responder, clock, trace.append)
        try:
            await check.check("c1", CHAIN, make_pki().mo_roots, Policy(ocsp=policy, ocsp_s=3.0))
        except RefusedError as error:
            return error.code
        return ""

    expected = {OcspPolicy.HARD: hard, OcspPolicy.SOFT: soft, OcspPolicy.OFF: ""}[policy]
    assert run_virtual(main, start=START) == expected
    (told,) = trace
    assert told.kind == "session.ocsp"
    assert (told.data["policy"], told.data["decision"]) == (policy.value, "refused" if expected else "passes")
    assert bool(responder.asked) is (policy is not OcspPolicy.OFF)
    assert told.at - began[0] <= 3.0


@pytest.mark.parametrize("policy", [OcspPolicy.HARD, OcspPolicy.SOFT])
def test_a_leaf_whose_issuer_is_not_known_cannot_be_looked_up(policy: OcspPolicy) -> None:
    responder, trace = Responder(), []

    async def main(clock: VirtualClock) -> bool:
        try:
            await OcspCheck(responder, clock, trace.append).check("c1", CHAIN[:1], None, Policy(ocsp=policy))
        except RefusedError:
            return False
        return True

    assert run_virtual(main, start=START) is (policy is OcspPolicy.SOFT)
    assert responder.asked == []
    assert "issuer" in str(trace[0].data["why"])


def play(folder: Path, session: Callable[[Point], Awaitable[None]], *authorisers: Words, list_at: int = 0) -> Point:
    async def main(clock: VirtualClock) -> Point:
        point = Point(clock, folder)
        point.arguments = {"authorisers": authorisers, "list_at": list_at}
        await point.start()
        await session(point)
        await point.controller.close()
        return point

    return run_virtual(main, start=START)


def test_the_local_list_comes_first_and_its_no_is_final(tmp_path: Path) -> None:
    words = Words()

    async def session(point: Point) -> None:
        for blocked in ("04A2B3FF", "04A2B3AA"):
            with pytest.raises(RefusedError):
                await point.controller.authorise("c1", IdToken(blocked))
        await point.controller.authorise("c1", CARD)
        assert words.asked == []

    play(tmp_path, session, words)


@pytest.mark.parametrize(
    ("word", "card", "flag"),
    [
        (ACCEPTED, CARD, "OCPP_AUTH_TLS"),  # its word, although the list knows the card
        (Authorisation(S.UNKNOWN), CARD, "OCPP_WHITELIST"),
        (RigError("away"), CARD, "OCPP_WHITELIST"),
        (Authorisation(S.BLOCKED), CARD, "csms says of ISO14443 04A2B3C4: Blocked"),
        (Authorisation(S.UNKNOWN), IdToken("0A0B0C0D"), "csms says of ISO14443 0A0B0C0D: Unknown"),
        (RigError("away"), IdToken("0A0B0C0D"), "no backend answered"),
        (RigError("away"), IdToken("04A2B3FF"), "is blocked"),
    ],
)
def test_a_backend_before_the_local_list(
    tmp_path: Path, word: Authorisation | Exception, card: IdToken, flag: str
) -> None:
    words = Words(word)

    async def session(point: Point) -> None:
        if flag.isupper():
            await point.controller.authorise("c1", card)
            assert flag in point.controller.by_name["c1"].machine.user.flags  # type: ignore[union-attr]
        else:
            with pytest.raises(RefusedError, match=flag):
                await point.controller.authorise("c1", card)
        assert len(words.asked) == 1

    play(tmp_path, session, words, list_at=1)


def test_a_silent_backend_before_the_list_leaves_no_time_to_the_one_behind_it(tmp_path: Path) -> None:
    silent, late = Words(name="a"), Words(name="b")
    silent.delay_s = None

    async def session(point: Point) -> None:
        before = point.clock.monotonic()
        with pytest.raises(RefusedError, match="b: no answer within"):
            await point.controller.authorise("c1", IdToken("0A0B0C0D"))
        assert point.clock.monotonic() - before == pytest.approx(Policy().authorise_s)

    play(tmp_path, session, silent, late, list_at=1)


def test_a_contract_goes_on_with_its_own_transaction_only(tmp_path: Path) -> None:
    words = Words()

    async def session(point: Point) -> None:
        admission, one = point.controller._admission, point.controller.by_name["c1"]
        await admission.present_contract(one, EMAID, CHAIN)
        await admission.present_contract(one, "de-abc-c123abc56", CHAIN)  # a session joined again
        assert len(words.asked) == 1
        for refused in (admission.present_contract(one, "DEABCC999XYZ99", CHAIN), admission.present(one, CARD)):
            with pytest.raises(RefusedError) as error:
                await refused
            assert error.value.level is Level.MISMATCH
        assert one.machine.state is State.AUTHORISED

    play(tmp_path, session, words)


def test_what_happens_at_the_connector_while_a_backend_thinks_counts(tmp_path: Path) -> None:
    words = Words()
    words.delay_s = 10.0

    async def session(point: Point) -> None:
        controller = point.controller
        asking = asyncio.create_task(controller.authorise("c1", IdToken("0A0B0C0D")))
        await point.clock.sleep(5)
        assert (await controller.request_start(1, "U1", "CENTRAL", "OCPP_RS")).accepted
        with pytest.raises(RefusedError, match="somebody else was faster"):
            await asking
        controller.stop("c1")
        assert controller.status()[0].state is State.AVAILABLE
        asking = asyncio.create_task(controller.authorise("c1", IdToken("0A0B0C0D")))
        await point.clock.sleep(5)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        words.delay_s = 0.1
        await controller.authorise("c1", IdToken("0A0B0C0D"))  # nothing of it stayed behind
        assert controller.status()[0].state is State.AUTHORISED

    play(tmp_path, session, words)


@pytest.mark.parametrize("token", [IdToken("DEABC", IdType.EMAID), IdToken("04A2B3"), IdToken(" ")])
def test_who_cannot_stand_in_a_record_is_refused(tmp_path: Path, token: IdToken) -> None:
    async def session(point: Point) -> None:
        with pytest.raises(RefusedError) as refused:
            await point.controller.authorise("c1", token)
        assert refused.value.level is Level.INVALID

    play(tmp_path, session, Words(ACCEPTED))


def test_patience_ends_the_work() -> None:
    ended: list[bool] = []

    async def main(clock: VirtualClock) -> None:
        async def work() -> None:
            try:
                await clock.sleep(100)
            finally:
                ended.append(True)

        with pytest.raises(TimeoutError, match="no answer within 2 s"):
            await within(clock, 2.0, work())
        await clock.sleep(0)

    run_virtual(main, start=START)
    assert ended == [True]
