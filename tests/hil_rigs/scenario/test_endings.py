"""Why nobody charges, as a wait in vain tells it."""

from __future__ import annotations

from hil_rigs.scenario.endings import endings
from hil_rigs.scenario.observer import Observer
from ports.trace import TraceEvent

START = 1000.0  # the boot was before the rig was up


def seen(*events: tuple[float, str, dict[str, object]]) -> str:
    observer = Observer()
    for at, kind, data in events:
        observer(TraceEvent(START + at, "session", kind, "csms" if kind.startswith("csms") else "1", data))
    return endings(observer.seen, START)


IN: tuple[float, str, dict[str, object]] = (1.0, "session.authorised", {})
NO: tuple[float, str, dict[str, object]] = (2.0, "csms.authorised", {"status": "Unknown", "detail": "nobody to ask"})


def state(at: float, phase: str, why: str) -> tuple[float, str, dict[str, object]]:
    return at, "session.state", {"phase": phase, "why": why}


def test_the_first_state_of_an_end_says_why_and_the_csms_its_no() -> None:
    stops = state(2.0, "STOP", "deauthorised by csms (Unknown)"), state(3.0, "STOP", "reading good")
    assert seen(IN, NO, *stops, state(4.0, "PLUG", "record kept")) == (
        "; transaction ended at 2.000 s: deauthorised by csms (Unknown); csms said Unknown: nobody to ask"
    )


def test_a_refused_card_says_why() -> None:
    assert (
        seen((1.0, "session.refused", {"why": "not in the local list"}))
        == "; refused at 1.000 s: not in the local list"
    )


def test_what_was_before_the_newest_authorisation_says_nothing() -> None:
    assert seen(state(0.5, "STOP", "pilot A"), IN, NO, state(2.5, "CHARGE", "record signed")) == ""
    assert seen(NO) == ""
    accepted = (2.0, "csms.authorised", {"status": "Accepted", "detail": ""})
    assert seen(IN, NO, accepted, state(3.0, "STOP", "pilot A")) == "; transaction ended at 3.000 s: pilot A"
