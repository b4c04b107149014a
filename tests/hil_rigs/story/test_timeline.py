"""One order for events and recorded messages, also where one of both lacks something."""

from __future__ import annotations

from hil_rigs.evidence.event_hash import Event
from hil_rigs.story.happenings import Happenings
from hil_rigs.story.recorded import Recorded
from hil_rigs.story.step import Lane, Step
from hil_rigs.story.timeline import Timeline
from v2g.capture import Sender
from v2g.session_decoder import DecodedFrame, SessionFrame
from v2g.v2gtp import Frame, PayloadType

CIVIL = 1_795_158_000.0


def seen(at: float, name: str, source: str = "1.secc") -> Event:
    return Event(at, "v2g", "v2g.rx" if name.endswith("Req") else "v2g.tx", source, {"message": name})


def recorded(at: float, name: str) -> Recorded:
    sender = Sender.VEHICLE if name.endswith("Req") else Sender.STATION
    frame = SessionFrame(Frame(PayloadType.EXI, b""), 1, CIVIL + at, 0, sender)
    step = Step(CIVIL + at, "1", Lane.VEHICLE, Lane.STATION, name, "ISO 15118-2")
    return Recorded(step, DecodedFrame(frame, "iso2", name, None, sender))


def told(events: list[Event], messages: list[Recorded]) -> list[tuple[float, str]]:
    timeline = Timeline(Happenings({}))
    for event in events:
        timeline.see(event)
    timeline.join("1", messages)
    return [(round(step.at, 3), step.text) for step in timeline.steps()]


def record(page: str) -> Event:
    return Event(5.0, "journal", "journal.signed", "m", {"page": page})


def test_messages_take_the_places_of_their_events_also_at_one_instant() -> None:
    events = [seen(5.0, "AReq"), record("T1"), seen(5.0, "ARes"), seen(5.0, "ARes", "1.evcc")]
    messages = [recorded(0.0, "AReq"), recorded(0.0, "ARes")]
    assert told(events, messages) == [(5.0, "AReq"), (5.0, "signature of T1"), (5.0, "ARes")]


def test_a_message_that_the_trace_lacks_follows_the_one_before() -> None:
    events = [seen(5.0, "AReq"), record("T1"), seen(6.0, "BReq")]
    messages = [recorded(0.0, "AReq"), recorded(0.5, "rubbish"), recorded(1.0, "BReq")]
    assert told(events, messages) == [(5.0, "AReq"), (5.5, "rubbish"), (5.0, "signature of T1"), (6.0, "BReq")]


def test_a_message_that_the_recording_lacks_holds_up_nothing() -> None:
    events = [seen(5.0, "AReq"), seen(6.0, "BReq"), seen(7.0, "CReq")]
    assert told(events, [recorded(0.0, "AReq"), recorded(2.0, "CReq")]) == [(5.0, "AReq"), (7.0, "CReq")]


def test_a_recording_without_a_trace_is_told_from_its_beginning() -> None:
    assert told([], [recorded(3.0, "AReq"), recorded(4.0, "ARes")]) == [(0.0, "AReq"), (1.0, "ARes")]


def ocpp(kind: str, *message: object) -> Event:
    return Event(1.0, "backend", kind, "csms", {"message": list(message)})


def test_results_of_calls_say_what_they_answer() -> None:
    teller = Happenings({})
    call = teller.tell(ocpp("ocpp.sent", 2, "7", "Authorize", {"idToken": {}}))
    result = teller.tell(ocpp("ocpp.received", 3, "7", {"idTokenInfo": {"status": "Blocked"}}))
    again = teller.tell(ocpp("ocpp.received", 4, "7", "InternalError", "", {}))
    assert call is not None
    assert result is not None
    assert again is not None
    assert (call.text, call.sender, call.receiver) == ("Authorize", Lane.STATION, Lane.CPO)
    assert (result.text, result.remark, result.sender) == ("Authorize answered", "Blocked", Lane.CPO)
    assert again.text == "unknown call: InternalError"
    assert teller.tell(ocpp("ocpp.sent", "no frame")) is None


def test_who_asks_over_oicp_depends_on_who_is_asked() -> None:
    teller = Happenings({"mo": "operator.mo", "hub": "operator.hub"})

    def ends(source: str) -> tuple[Lane, Lane]:
        step = teller.tell(Event(1.0, "backend", "oicp.request", source, {"path": "/x", "status": 200}))
        assert step is not None
        return step.sender, step.receiver

    assert ends("hub") == (Lane.CPO, Lane.HUB)
    assert ends("mo") == (Lane.HUB, Lane.MO)
