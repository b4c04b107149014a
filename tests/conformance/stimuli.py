"""What the test system does in a case, and what it has to see. Every function raises AssertionError."""

from __future__ import annotations

from typing import Any

from tests.conformance.tester import SEQUENCE, TERMINATION, WRONG_SESSION, Change, Tester
from v2g.session.timers import SECC_COMMUNICATION_SETUP_TIMEOUT, SECC_ONGOING_PERFORMANCE


def closed(tester: Tester) -> None:
    """TCP is closed within the termination timeout."""
    tester.wait(TERMINATION)
    assert tester.closed_at is not None, "TCP is still open"


def refused(tester: Tester, answer: Any, *codes: str) -> None:
    """The answer has one of these codes, and TCP is closed."""
    assert answer is not None, "no answer"
    assert answer.ResponseCode in codes, answer.ResponseCode
    closed(tester)


def instead(tester: Tester, request: str, sent: str = "ServiceDiscoveryReq") -> None:
    """Another message than the one whose turn it is: its own response, FAILED_SequenceError."""
    answer = tester.reach(request).send(sent)
    assert type(answer).__name__ == sent.replace("Req", "ResType")
    refused(tester, answer, "FAILED_SequenceError")


def unknown_session(tester: Tester, request: str) -> None:
    """A request of another session: its own response, FAILED_UnknownSession."""
    answer = tester.reach(request).send(request, session=WRONG_SESSION)
    assert type(answer).__name__ == request.partition(" ")[0].replace("Req", "ResType")
    refused(tester, answer, "FAILED_UnknownSession")


def silence(tester: Tester, request: str) -> None:
    """Nothing is sent: TCP is closed when the sequence timeout is over, not before."""
    tester.reach(request)
    start = tester.now
    assert tester.wait(SEQUENCE - 0.1) == []
    assert tester.closed_at is None, f"closed after {tester.now - start:g} s already"
    tester.wait(0.1)
    closed(tester)


def silence_before_setup(tester: Tester, request: str) -> None:
    """As `silence`; before SessionSetupRes the communication setup timeout comes first."""
    tester.reach(request)
    assert tester.wait(SECC_COMMUNICATION_SETUP_TIMEOUT - 0.1) == []
    assert tester.closed_at is None
    tester.wait(SEQUENCE)
    closed(tester)


def setup_timeout(tester: Tester, request: str) -> None:
    """TCP is closed when the communication setup timeout is over."""
    tester.reach(request).wait(SECC_COMMUNICATION_SETUP_TIMEOUT)
    closed(tester)
    assert tester.closed_at == SECC_COMMUNICATION_SETUP_TIMEOUT


def good(tester: Tester, request: str, change: Change | None = None, code: str = "OK") -> Any:
    """A request in order: OK, every mandatory parameter, the session goes on."""
    answer = tester.reach(request).good(request, change)
    assert answer.ResponseCode == code, answer.ResponseCode
    assert tester.closed_at is None
    return answer


def bad(
    tester: Tester, request: str, change: Change | None, *codes: str, sign: Any = None, after: Change | None = None
) -> None:
    """A request with something wrong in it. after: changed when it was signed already."""
    tester.reach(request)
    if after is None:
        refused(tester, tester.send(request, change, sign=sign), *codes)
        return
    message = tester.message(request, change, sign=sign)
    after(message.Body.BodyElement)
    refused(tester, tester.send_message(request, message), *codes)


def ongoing(tester: Tester, request: str, processing: str = "Ongoing", limit: float = SECC_ONGOING_PERFORMANCE) -> None:
    """The station never finishes: it says so again and again, then ends the session."""
    tester.reach(request)
    start = tester.now
    seen = 0
    while (answer := tester.send(request)) is not None and answer.ResponseCode == "OK":
        assert answer.EVSEProcessing == processing
        assert tester.now - start <= limit + 1.0, "the station goes on for ever"
        seen += 1
        tester.wait(1.0)
    assert seen >= int(limit)
    closed(tester)
