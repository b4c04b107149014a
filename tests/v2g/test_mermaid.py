"""Sequence diagrams."""

from __future__ import annotations

from v2g.capture import Sender
from v2g.mermaid import Arrow, sequence_diagram

REQ, RES = Arrow(Sender.VEHICLE, "CurrentDemandReq"), Arrow(Sender.STATION, "CurrentDemandRes")


def test_a_session_is_drawn_with_its_loops_folded():
    arrows = [Arrow(Sender.VEHICLE, "SessionSetupReq"), Arrow(Sender.STATION, "SessionSetupRes", "OK; #1")]
    text = sequence_diagram([*arrows, *[REQ, RES] * 3, REQ])
    assert text.splitlines() == [
        "sequenceDiagram",
        "    participant V as Vehicle",
        "    participant S as Station",
        "    V->>S: SessionSetupReq",
        "    S-->>V: SessionSetupRes",
        "    Note over V,S: OK#59; #35;1",
        "    loop 3 times",
        "        V->>S: CurrentDemandReq",
        "        S-->>V: CurrentDemandRes",
        "    end",
        "    V->>S: CurrentDemandReq",
    ]


def test_repeated_requests_without_answer_are_folded_too():
    text = sequence_diagram([Arrow(Sender.VEHICLE, "SDP_REQUEST")] * 50)
    assert "    loop 50 times\n        V->>S: SDP_REQUEST\n    end\n" in text


def test_an_answer_with_a_remark_is_not_folded_away():
    text = sequence_diagram([REQ, RES, REQ, Arrow(Sender.STATION, "CurrentDemandRes", "FAILED"), REQ, RES])
    assert text.count("Note over V,S: FAILED") == 1
    assert "loop" not in text


def test_an_empty_session_is_a_valid_diagram():
    assert sequence_diagram([]).startswith("sequenceDiagram\n")
