"""Every fault strikes the message it names, and the other side ends as the standard says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ports.errors import LocalError
from tests.v2g.session.pair import AutoStation, Pair
from v2g.session.events import Ignored, PowerWanted, Received, Send
from v2g.session.fault_page import fault_page
from v2g.session.faults import FAULTS, KINDS, FaultPlan, read_fault
from v2g.session.vehicle_side import VehicleState
from v2g.v2gtp import parse_frame


def struck(side: str, *faults: dict[str, Any], mode: str = "AC_three_phase_core") -> Pair:
    """A session in which faults strike one side's messages."""
    plan = FaultPlan([read_fault(fault) for fault in faults])
    pair = Pair(AutoStation(modes=(mode,)), VehicleState(mode=mode), **{side: {"hook": plan}})
    pair.run()
    assert plan.struck, "the fault never struck"
    return pair


def test_the_page_of_faults_is_up_to_date() -> None:
    page = Path(__file__).parents[3] / "docs" / "session-faults.md"
    text = page.read_text(encoding="utf-8")
    assert text == fault_page(), "run python -m v2g.session.fault_page docs/session-faults.md"


def test_every_fault_has_a_name_and_a_text() -> None:
    assert len(FAULTS) == len(KINDS) == 17
    assert all(kind.__doc__ for kind in KINDS)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"fault": "explode", "message": "X"}, "known are"),
        ({"fault": "delay", "message": "X"}, "seconds"),
        ({"fault": "drop", "message": "X", "nht": 2}, "nht"),
        ({"fault": "drop"}, "message"),
    ],
)
def test_a_wrong_fault_is_named(values: dict[str, Any], text: str) -> None:
    with pytest.raises(LocalError, match=text):
        read_fault(values)


def test_without_faults_the_octets_are_the_same() -> None:
    plain, hooked = Pair(), Pair(secc={"hook": FaultPlan([])}, evcc={"hook": FaultPlan([])})
    plain.run()
    hooked.run()
    assert [e.octets for e in plain.found(Send)] == [e.octets for e in hooked.found(Send)]


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"fault": "wrong session", "message": "PowerDeliveryReq"}, "FAILED_UnknownSession"),
        ({"fault": "wrong session", "message": "PowerDeliveryReq", "session_id": "00" * 8}, "FAILED_UnknownSession"),
        ({"fault": "wrong session", "message": "PowerDeliveryReq", "session_id": ""}, "FAILED_UnknownSession"),
        (
            {"fault": "wrong order", "message": "PowerDeliveryReq", "instead": "ServiceDiscoveryReq"},
            "FAILED_SequenceError",
        ),
        ({"fault": "repeat", "message": "PowerDeliveryReq"}, "FAILED_SequenceError"),
        (
            {
                "fault": "replace field",
                "message": "PowerDeliveryReq",
                "field": "Body.BodyElement.SAScheduleTupleID",
                "value": 9,
            },
            "FAILED_TariffSelectionInvalid",
        ),
        (
            {
                "fault": "replace field",
                "message": "PowerDeliveryReq",
                "field": "Body.BodyElement.ChargingProfile.ProfileEntry.0.ChargingProfileEntryMaxPower.Value",
                "value": 30000,
            },
            "FAILED_ChargingProfileInvalid",
        ),
        (
            {"fault": "replace field", "message": "SessionStopReq", "field": "Body.BodyElement.ChargingSession"},
            "FAILED",
        ),
        (
            {
                "fault": "replace field",
                "message": "PowerDeliveryReq",
                "field": "Body.BodyElement.ChargeProgress",
                "value": "Begin",
                "how": "untyped",
            },
            "FAILED",
        ),
        ({"fault": "replace bits", "message": "PowerDeliveryReq", "path": "ChargeProgress", "bits": "11"}, "FAILED"),
        ({"fault": "event code", "message": "PowerDeliveryReq", "element": "PowerDeliveryReq", "code": 6}, None),
    ],
)
def test_the_station_refuses_a_broken_request(values: dict[str, Any], code: str | None) -> None:
    pair = struck("evcc", values)
    if code is None:
        assert pair.ended("vehicle").outcome in ("failed", "timed out")
        return
    assert [found for _, found in pair.refused()] == [code]
    assert pair.ended("station").outcome == "failed"
    assert pair.ended("vehicle").outcome == "failed"


@pytest.mark.parametrize(
    "values",
    [
        {"fault": "drop", "message": "ChargingStatusRes"},
        {"fault": "silence", "message": "ChargingStatusRes"},
        {"fault": "delay", "message": "ChargingStatusRes", "seconds": 2.5},
        {"fault": "cut frame", "message": "ChargingStatusRes", "octets": 6},
        {"fault": "cut exi", "message": "ChargingStatusRes", "octets": 9},
        {"fault": "replace exi", "message": "ChargingStatusRes", "octets": "ffff", "at": 0},
        {"fault": "replace exi", "message": "ChargingStatusRes", "octets": "80"},
        {"fault": "replace header", "message": "ChargingStatusRes", "version": 255},
        {"fault": "replace header", "message": "ChargingStatusRes", "inverse": 1},
        {"fault": "replace header", "message": "ChargingStatusRes", "payload_type": 0x7001},
        {"fault": "replace header", "message": "ChargingStatusRes", "length": 1000},
        {"fault": "replace header", "message": "ChargingStatusRes", "length": 0},
    ],
)
def test_a_vehicle_waits_two_seconds_for_a_broken_answer(values: dict[str, Any]) -> None:
    pair = struck("secc", values)
    ended = pair.ended("vehicle")
    assert (ended.outcome, ended.reason) == ("timed out", "no answer to ChargingStatusReq in 2 s")
    assert pair.ended("station").outcome == "lost"
    assert pair.found(PowerWanted)[-1].on is False


def test_a_split_frame_is_put_together() -> None:
    pair = struck("evcc", {"fault": "split frame", "message": "*", "times": 0, "size": 1, "pause": 0.001})
    assert pair.ended("vehicle").outcome == pair.ended("station").outcome == "terminated"


def test_a_delay_within_the_time_out_is_no_problem() -> None:
    pair = struck("secc", {"fault": "delay", "message": "ChargingStatusRes", "nth": 2, "seconds": 1.9})
    assert pair.ended("vehicle").outcome == "terminated"


def test_a_fault_strikes_by_count() -> None:
    pair = struck("secc", {"fault": "drop", "message": "ChargingStatusRes", "nth": 3})
    assert len([e for e in pair.found(Received, "vehicle") if e.name == "ChargingStatusRes"]) == 2


def test_another_answer_is_not_taken() -> None:
    pair = struck("secc", {"fault": "wrong order", "message": "ChargingStatusRes", "instead": "PowerDeliveryRes"})
    assert "PowerDeliveryRes in answer to ChargingStatusReq" in pair.ended("vehicle").reason


def test_another_session_is_not_taken() -> None:
    pair = struck("secc", {"fault": "wrong session", "message": "ChargingStatusRes"})
    assert "of session ffffffffffffffff" in pair.ended("vehicle").reason


def test_a_length_of_nothing_is_ignored() -> None:
    pair = struck("secc", {"fault": "replace header", "message": "ChargingStatusRes", "length": 0})
    assert "without payload" in pair.found(Ignored, "vehicle")[0].text


def test_bits_and_event_codes_are_replaced_in_place() -> None:
    plain, changed = Pair(), None
    plain.run()
    changed = struck(
        "evcc", {"fault": "replace bits", "message": "SessionSetupReq", "path": "EVCCID", "bits": "00000100"}
    )
    before = next(e.octets for e in plain.found(Send, "vehicle") if e.name == "SessionSetupReq")
    after = next(e.octets for e in changed.found(Send, "vehicle") if e.name == "SessionSetupReq")
    assert parse_frame(before).payload != parse_frame(after).payload
    assert len(before) == len(after)


@pytest.mark.parametrize(
    "values",
    [
        {"fault": "replace field", "message": "SessionSetupReq", "field": "Body.BodyElement.Nothing", "value": 1},
        {"fault": "replace bits", "message": "SessionSetupReq", "path": "Nothing", "bits": "1"},
        {"fault": "event code", "message": "SessionSetupReq", "element": "Nothing", "code": 1},
        {"fault": "event code", "message": "SessionSetupReq", "element": "SessionSetupReq", "code": 64},
        {"fault": "wrong order", "message": "SessionSetupReq", "instead": "Nothing"},
    ],
)
def test_a_fault_that_cannot_strike_says_so(values: dict[str, Any]) -> None:
    pair = Pair(evcc={"hook": FaultPlan([read_fault(values)])})
    with pytest.raises(LocalError, match=r"Nothing|more than 6 bits"):
        pair.run()
