"""The observer: order, numbers, and those who wait."""

from __future__ import annotations

import asyncio

from hil_rigs.scenario.channels import CHANNELS
from hil_rigs.scenario.observer import Observer
from hil_rigs.scenario.pattern import Pattern, parse_pattern
from ports.trace import TraceEvent


def pattern(text: str) -> Pattern:
    return parse_pattern(text, CHANNELS)


def contactor(at: float, *, closed: bool) -> TraceEvent:
    return TraceEvent(at, "power", "power.contactor", "1", {"closed": closed})


def test_events_become_observations_of_their_channel() -> None:
    observer = Observer()
    observer(
        TraceEvent(1.0, "v2g", "v2g.tx", "1.secc", {"message": "SessionStopRes", "decoded": {"ResponseCode": "OK"}})
    )
    observer(TraceEvent(1.5, "v2g", "v2g.rx", "1.evcc", {"message": "SessionStopRes"}))
    observer(TraceEvent(2.0, "else", "unheard.of", "x"))
    observer(contactor(3.0, closed=True))
    assert [str(one) for one in observer.seen] == [
        "wire.v2g SessionStopRes @1.secc",
        "evcc SessionStopRes @1.evcc",
        "wire.power contactor @1",
    ]
    assert observer.find(pattern("wire.v2g * ResponseCode=OK direction=tx")) is observer.seen[0]


def ocpp(at: float, kind: str, *message: object) -> TraceEvent:
    return TraceEvent(at, "backend", kind, "csms", {"message": list(message)})


def test_ocpp_frames_are_named_by_action_and_answers_after_their_calls() -> None:
    observer = Observer()
    observer(ocpp(1.0, "ocpp.sent", 2, "a", "Authorize", {"idToken": {"idToken": "X"}}))
    observer(ocpp(1.1, "csms.received", 2, "a", "Authorize", {}))
    observer(ocpp(1.2, "csms.sent", 3, "a", {"idTokenInfo": {"status": "Blocked"}}))
    observer(ocpp(1.3, "ocpp.received", 4, "a", "InternalError", "", {}))
    observer(ocpp(1.4, "ocpp.received", 3, "never asked", {}))
    observer(TraceEvent(1.5, "backend", "ocpp.up", "csms", {}))
    assert [f"{one.channel} {one.name}" for one in observer.seen] == [
        "ocpp Authorize",
        "csms Authorize",
        "csms AuthorizeResponse",
        "ocpp AuthorizeError",
        "ocpp Response",
        "ocpp up",
    ]
    assert observer.find(pattern("csms AuthorizeResponse status=Blocked")) is observer.seen[2]


def test_the_nth_that_matches_is_found_from_a_number_on() -> None:
    observer = Observer()
    for at in range(5):
        observer(contactor(at, closed=at % 2 == 0))
    assert observer.find(pattern("wire.power contactor closed=true #2")) is observer.seen[2]
    assert observer.find(pattern("wire.power contactor closed=true #2"), since=1) is observer.seen[4]
    assert observer.find(pattern("wire.power contactor #6")) is None
    assert observer.find(pattern("wire.power contactor closed=false"), until=1) is None


async def test_a_wait_ends_with_the_observation_and_at_once_for_one_of_the_past() -> None:
    observer = Observer()
    waiting = asyncio.create_task(observer.wait(pattern("wire.power contactor closed=true #2")))
    await asyncio.sleep(0)
    observer(contactor(1.0, closed=True))
    observer(contactor(2.0, closed=False))
    await asyncio.sleep(0)
    assert not waiting.done()
    observer(contactor(3.0, closed=True))
    assert (await waiting).at == 3.0
    assert (await observer.wait(pattern("wire.power contactor"))).at == 1.0
    assert (await observer.wait(pattern("wire.power contactor"), since=1)).at == 2.0


async def test_a_cancelled_wait_is_forgotten() -> None:
    observer = Observer()
    waiting = asyncio.create_task(observer.wait(pattern("wire.power contactor")))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    observer(contactor(1.0, closed=True))
    assert len(observer.seen) == 1
