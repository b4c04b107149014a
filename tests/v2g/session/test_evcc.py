"""What a vehicle does when the station is slow, wrong, or offers something else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ports.errors import LocalError
from tests.v2g.session.pair import AutoStation, Pair
from v2g.exi.codec import encode
from v2g.exi.generated.sap.types import supportedAppProtocolRes
from v2g.session import timers
from v2g.session.evcc import Evcc, EvccSettings
from v2g.session.events import (
    Close,
    Ended,
    Event,
    Ignored,
    PilotWanted,
    PowerState,
    Received,
    Refused,
    Send,
    StationFound,
    Tolerated,
)
from v2g.session.faults import FaultPlan, read_fault
from v2g.session.secc import SeccSettings
from v2g.session.station_side import CERTIFICATE_SERVICE, INTERNET_SERVICE, INTERNET_SERVICE_ID, Schedule, ScheduleOffer
from v2g.session.vehicle_side import VehicleState
from v2g.v2gtp import Frame, PayloadType

AC, DC = "AC_three_phase_core", "DC_extended"
PATIENT = SeccSettings(ongoing_timeout=1e6, setup_timeout=1e6, sequence_timeout=1e6)


def session(mode: str = AC, protocol: str = "iso2", **more: Any) -> Pair:
    """A pair that has not begun."""
    vehicle = VehicleState(mode=mode, protocols=(protocol,))
    station = AutoStation(modes=(mode,))
    station.slow = more.pop("slow", frozenset())
    return Pair(station, vehicle, **more)


def silent(name: str, **more: Any) -> dict[str, Any]:
    """A station that sends everything but this message."""
    return {"hook": FaultPlan([read_fault({"fault": "silence", "message": name, **more})])}


def timed(pair: Pair, first: str) -> float:
    """How long the vehicle waited, from the first `first` it sent to the end."""
    times: dict[str, float] = {}

    def note(who: str, event: Event) -> None:
        if who == "vehicle" and isinstance(event, Send):
            times.setdefault(event.name, pair.now)
        elif who == "vehicle" and isinstance(event, Ended):
            times["end"] = pair.now

    pair.on_event = note
    pair.run(2000.0)
    return times["end"] - times[first]


def give(pair: Pair, name: str, field: str, value: Any) -> Pair:
    """Let the station say something else in an answer."""
    fault = {"fault": "replace field", "message": name, "field": f"Body.BodyElement.{field}", "value": value}
    pair.secc._hook = pair.secc._channel._hook = FaultPlan([read_fault({**fault, "times": 0})])
    return pair


# time-outs


@pytest.mark.parametrize(
    ("mode", "protocol", "request_name", "seconds"),
    [
        (AC, "iso2", "supportedAppProtocolReq", 2.0),
        (AC, "iso2", "SessionSetupReq", 2.0),
        (AC, "iso2", "ServiceDiscoveryReq", 2.0),
        (AC, "iso2", "PaymentServiceSelectionReq", 2.0),
        (AC, "iso2", "AuthorizationReq", 2.0),
        (AC, "iso2", "ChargeParameterDiscoveryReq", 2.0),
        (AC, "iso2", "PowerDeliveryReq", 5.0),
        (AC, "iso2", "ChargingStatusReq", 2.0),
        (AC, "iso2", "SessionStopReq", 2.0),
        (DC, "iso2", "CableCheckReq", 2.0),
        (DC, "iso2", "PreChargeReq", 2.0),
        (DC, "iso2", "CurrentDemandReq", 0.25),
        (DC, "iso2", "WeldingDetectionReq", 2.0),
        (DC, "din", "ServicePaymentSelectionReq", 2.0),
        (DC, "din", "ContractAuthenticationReq", 2.0),
        (DC, "din", "PowerDeliveryReq", 2.0),
        (DC, "din", "CurrentDemandReq", 0.25),
    ],
)
def test_a_vehicle_waits_as_long_as_the_standard_says(
    mode: str, protocol: str, request_name: str, seconds: float
) -> None:
    pair = session(mode, protocol, secc=silent(request_name[:-3] + "Res"))
    assert timed(pair, request_name) == pytest.approx(seconds)
    ended = pair.ended("vehicle")
    assert (ended.outcome, ended.reason) == ("timed out", f"no answer to {request_name} in {seconds:g} s")
    assert pair.evcc.pilot == "B"


def test_a_time_out_can_be_changed() -> None:
    evcc = {"settings": EvccSettings(message_times={"CurrentDemandReq": 2.0})}
    pair = session(DC, secc=silent("CurrentDemandRes"), evcc=evcc)
    assert timed(pair, "CurrentDemandReq") == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("protocol", "slow", "request_name", "seconds", "what"),
    [
        ("din", "AuthorizationWanted", "ContractAuthenticationReq", 60.0, "ongoing"),
        ("iso2", "ParametersWanted", "ChargeParameterDiscoveryReq", 60.0, "ongoing"),
        ("iso2", "CableCheckWanted", "CableCheckReq", 40.0, "cable check"),
        ("iso2", "VoltageWanted", "PreChargeReq", 7.0, "pre-charge"),
        ("din", "ParametersWanted", "ChargeParameterDiscoveryReq", 60.0, "ongoing"),
        ("din", "CableCheckWanted", "CableCheckReq", 40.0, "cable check"),
        ("din", "VoltageWanted", "PreChargeReq", 7.0, "pre-charge"),
    ],
)
def test_a_station_may_not_be_busy_for_ever(
    protocol: str, slow: str, request_name: str, seconds: float, what: str
) -> None:
    pair = session(DC, protocol, slow=frozenset({slow}), settings=PATIENT)
    assert timed(pair, request_name) == pytest.approx(seconds, abs=0.3)
    assert (pair.ended("vehicle").outcome, pair.ended("vehicle").reason) == ("timed out", f"{what} took too long")


def test_a_contract_is_authorised_within_a_minute_or_not_at_all() -> None:
    pair = give(session(slow=frozenset({"AuthorizationWanted"})), "AuthorizationRes", "EVSEProcessing", "Ongoing")
    assert timed(pair, "AuthorizationReq") == pytest.approx(60.0, abs=0.3)
    assert pair.ended("vehicle").reason == "ongoing took too long"


def test_a_session_has_to_begin_within_twenty_seconds() -> None:
    evcc = {"settings": EvccSettings(message_times={"SessionSetupReq": 100.0})}
    pair = session(secc=silent("SessionSetupRes"), evcc=evcc)
    assert timed(pair, "supportedAppProtocolReq") == pytest.approx(20.0)
    assert pair.ended("vehicle").reason == "communication setup took too long"


def test_din_is_to_be_ready_in_two_and_a_half_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = session(DC, "din", slow=frozenset({"AuthorizationWanted"}), settings=PATIENT)

    with monkeypatch.context() as patch:
        patch.setattr(timers, "EVCC_ONGOING_TIMEOUT", 1e6)  # else 60 s come first
        assert timed(pair, "ServiceDiscoveryReq") == pytest.approx(150.0, abs=0.3)
    assert pair.ended("vehicle").reason == "ready to charge took too long"


def test_a_driver_may_take_as_long_as_he_likes() -> None:
    pair = session(slow=frozenset({"AuthorizationWanted"}))
    pair.station.waiting_for_customer = True

    def come_back(who: str, event: Event) -> None:
        if pair.now > 1000.0 + 600.0:
            pair.station.authorization = "OK"

    pair.on_event = come_back
    pair.run(2000.0)
    assert pair.ended("vehicle").outcome == "terminated"
    assert pair.now > 1600.0


# wrong answers


@pytest.mark.parametrize(
    ("mode", "protocol", "answer"),
    [
        (AC, "iso2", "SessionSetupRes"),
        (AC, "iso2", "ChargingStatusRes"),
        (AC, "iso2", "SessionStopRes"),
        (DC, "iso2", "CurrentDemandRes"),
        (DC, "din", "CableCheckRes"),
    ],
)
def test_a_refusal_ends_the_session(mode: str, protocol: str, answer: str) -> None:
    pair = give(session(mode, protocol), answer, "ResponseCode", "FAILED")
    pair.run()
    ended = pair.ended("vehicle")
    assert (ended.outcome, ended.reason) == ("failed", f"{answer}: FAILED")
    (refused,) = pair.found(Refused, "vehicle")
    assert (refused.name, refused.code) == (answer[:-3] + "Req", "FAILED")
    assert pair.evcc.pilot == "B"
    assert pair.evcc.state == "closed"


def test_a_code_that_nobody_defined_is_no_ok() -> None:
    fault = {"fault": "replace field", "message": "ChargingStatusRes", "field": "Body.BodyElement.ResponseCode"}
    plan = FaultPlan([read_fault({**fault, "value": "Splendid", "how": "untyped"})])
    pair = session(secc={"hook": plan})
    pair.run()
    assert pair.ended("vehicle").outcome == "failed"


def test_the_pilot_goes_to_c_and_back() -> None:
    pair = session()
    pair.run()
    assert [event.state for event in pair.found(PilotWanted)] == ["C", "B"]


def test_a_station_without_the_vehicles_mode_is_left() -> None:
    pair = Pair(AutoStation(modes=(DC,)), VehicleState(mode=AC))
    pair.run()
    assert "the vehicle needs AC_three_phase_core" in pair.ended("vehicle").reason
    assert pair.ended("station").outcome == "lost"


def test_din_offers_fit_or_are_left() -> None:
    pair = Pair(AutoStation(modes=("DC_core",)), VehicleState(mode=DC, protocols=("din",)))
    pair.run()
    assert "the station offers DC_core, the vehicle needs DC_extended" in pair.ended("vehicle").reason


@pytest.mark.parametrize("status", ["EVSE_Shutdown", "EVSE_EmergencyShutdown", "EVSE_Malfunction"])
def test_a_broken_station_is_told_to_stop(status: str) -> None:
    pair = give(session(DC), "CurrentDemandRes", "DC_EVSEStatus.EVSEStatusCode", status)
    pair.loops = 1000
    pair.run()
    assert len(pair.answers("CurrentDemandRes")) == 1
    assert pair.sent()[-3:] == ["PowerDeliveryReq", "WeldingDetectionReq", "SessionStopReq"]


def test_a_station_that_breaks_before_power_is_left() -> None:
    pair = give(session(DC), "CableCheckRes", "DC_EVSEStatus.EVSEStatusCode", "EVSE_Malfunction")
    pair.run()
    assert pair.ended("vehicle").reason == "the station is in EVSE_Malfunction"


def test_a_tripped_rcd_ends_charging() -> None:
    pair = give(session(AC), "ChargingStatusRes", "AC_EVSEStatus.RCD", True)
    pair.loops = 1000
    pair.run()
    assert len(pair.answers("ChargingStatusRes")) == 1
    assert pair.ended("vehicle").outcome == "terminated"


def test_an_answer_without_schedules_is_no_offer() -> None:
    pair = give(session(), "ChargeParameterDiscoveryRes", "SASchedules", None)
    pair.run()
    assert pair.ended("vehicle").reason == "ChargeParameterDiscoveryRes is finished and has no schedule"


def test_octets_after_the_end_are_ignored() -> None:
    pair = session()
    pair.run()
    (event,) = pair.evcc.receive(b"\x01\xfe", pair.now)
    assert isinstance(event, Ignored)
    assert pair.evcc.update(pair.now + 1000) == []
    assert pair.evcc.closed(pair.now) == []
    assert pair.evcc.abort("again", pair.now) == []


def test_an_answer_nobody_asked_for_is_ignored() -> None:
    fault = {"fault": "repeat", "message": "ChargingStatusRes"}
    pair = session(secc={"hook": FaultPlan([read_fault(fault)])})
    pair.run()
    assert [event.text for event in pair.found(Ignored, "vehicle")] == ["ChargingStatusRes: nothing was asked"]
    assert pair.ended("vehicle").outcome == "terminated"


# the handshake


def shaken(code: Any, number: int | None, protocols: tuple[str, ...] = ("iso2", "din")) -> tuple[Evcc, list[Event]]:
    """A vehicle after an answer to its offer."""
    answer = supportedAppProtocolRes(ResponseCode=code, SchemaID=number)
    evcc = Evcc(VehicleState(protocols=protocols), now=0.0)
    evcc.start(0.0)
    return evcc, evcc.receive(bytes(Frame(PayloadType.EXI, encode(answer))), 0.1)


@pytest.mark.parametrize(("number", "protocol"), [(1, "iso2"), (2, "din")])
def test_the_station_chooses(number: int, protocol: str) -> None:
    evcc, _ = shaken("OK_SuccessfulNegotiation", number)
    assert evcc.protocol == protocol


def test_a_single_offer_needs_no_number() -> None:
    evcc, _ = shaken("OK_SuccessfulNegotiationWithMinorDeviation", None, ("iso2",))
    assert evcc.protocol == "iso2"


@pytest.mark.parametrize(
    ("code", "number", "reason"),
    [
        ("OK_SuccessfulNegotiation", None, "SchemaID None"),
        ("OK_SuccessfulNegotiation", 0, "SchemaID 0"),
        ("OK_SuccessfulNegotiation", 3, "offered were 1 to 2"),
        ("Failed_NoNegotiation", None, "speaks none of iso2, din"),
        ("Failed_NoNegotiation", 1, "speaks none of iso2, din"),
    ],
)
def test_a_choice_of_nothing_ends_it(code: Any, number: int | None, reason: str) -> None:
    evcc, events = shaken(code, number)
    assert evcc.ended is not None
    assert reason in evcc.ended.reason
    assert isinstance(events[-1], Close)


def test_no_din_over_tls() -> None:
    evcc = Evcc(VehicleState(protocols=("iso2", "din")), now=0.0, tls=True)
    (send,) = [event for event in evcc.start(0.0) if isinstance(event, Send)]
    message: Any = send.message
    assert [entry.SchemaID for entry in message.AppProtocol] == [1]


# wishes


def test_services_are_looked_at_and_selected() -> None:
    station = AutoStation(services=(INTERNET_SERVICE,))
    pair = Pair(station, VehicleState(services=((INTERNET_SERVICE_ID, 3), (77, None))))
    pair.run()
    assert pair.sent()[2:5] == ["ServiceDiscoveryReq", "ServiceDetailReq", "PaymentServiceSelectionReq"]
    (found,) = pair.found(StationFound)
    assert found.services == (INTERNET_SERVICE_ID,)
    (request,) = [e for e in pair.found(Received, "station") if e.name == "PaymentServiceSelectionReq"]
    selected = request.message.Body.BodyElement.SelectedServiceList.SelectedService
    assert [(one.ServiceID, one.ParameterSetID) for one in selected] == [(1, None), (3, 3)]
    assert pair.ended("vehicle").outcome == "terminated"


def test_welding_is_detected_as_often_as_needed() -> None:
    pair = session(DC)
    pair.vehicle.welding_checked = False

    def check_at_the_third(who: str, event: Event) -> None:
        pair.vehicle.welding_checked = len([n for _, n in pair.trace if n == "WeldingDetectionReq"]) >= 3

    pair.on_event = check_at_the_third
    pair.run()
    assert len(pair.answers("WeldingDetectionRes")) == 3
    assert pair.ended("vehicle").outcome == "terminated"


def test_a_full_battery_ends_charging() -> None:
    pair = session(DC)
    pair.vehicle.complete = True
    pair.run()
    assert len(pair.answers("CurrentDemandRes")) == 1
    assert pair.ended("station").outcome == "terminated"


def test_the_vehicle_chooses_among_schedules_and_plans_below_its_own_limit() -> None:
    offer = ScheduleOffer((Schedule(1, ((0, 11000.0),)), Schedule(2, ((0, 22000.0), (3600, 4000.0)))))
    pair = Pair(AutoStation(schedules=offer), VehicleState(schedule=2, max_power=7000.0))
    pair.run()
    start = next(e for e in pair.found(Received, "station") if e.name == "PowerDeliveryReq").message.Body.BodyElement
    assert start.SAScheduleTupleID == 2
    entries = start.ChargingProfile.ProfileEntry
    powers = [
        (
            e.ChargingProfileEntryStart,
            e.ChargingProfileEntryMaxPower.Value * 10**e.ChargingProfileEntryMaxPower.Multiplier,
        )
        for e in entries
    ]
    assert powers == [(0, 7000), (3600, 4000)]


def test_the_loop_tells_what_the_station_says() -> None:
    pair = session(DC)
    pair.run()
    state = pair.found(PowerState)[0]
    assert state.voltage == pytest.approx(400.0)


# what our own side forgot


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"payment": "Contract"}, "set VehicleSide.contract"),
        ({"payment": "Contract", "certificate_action": "install"}, "VehicleSide.provisioning"),
    ],
)
def test_a_contract_that_is_not_there_is_our_own_mistake(more: dict[str, Any], text: str) -> None:
    station = AutoStation(payments=("Contract",), services=(CERTIFICATE_SERVICE,))
    pair = Pair(station, VehicleState(**more), tls=True)
    with pytest.raises(LocalError, match=text):
        pair.run()


def test_a_payment_that_is_not_offered_falls_back() -> None:
    pair = Pair(AutoStation(payments=("ExternalPayment",)), VehicleState(payment="Contract"))
    pair.run()
    assert [event.text for event in pair.found(Tolerated, "vehicle")] == [
        "the station does not offer payment by Contract"
    ]
    assert pair.ended("vehicle").outcome == "terminated"


STEPS: list[tuple[str, Callable[[Pair], Any], str]] = [
    ("aborted", lambda pair: pair.evcc.abort("unplugged", pair.now), "unplugged"),
    ("lost", lambda pair: pair.evcc.closed(pair.now), "the connection was closed"),
]


@pytest.mark.parametrize(("outcome", "step", "reason"), STEPS)
def test_the_vehicle_goes_to_b_whatever_happens(outcome: str, step: Callable[[Pair], Any], reason: str) -> None:
    pair = session(secc=silent("ChargingStatusRes"))
    pair.deal("vehicle", pair.evcc.start(pair.now))
    while pair.evcc.state != "ChargingStatusReq":
        pair.now += 0.1
        pair.deal("vehicle", pair.evcc.update(pair.now))
    assert pair.evcc.pilot == "C"
    events = step(pair)
    assert [type(e).__name__ for e in events][:2] == ["PilotWanted", "Ended"]
    assert pair.evcc.ended is not None
    assert (pair.evcc.ended.outcome, pair.evcc.ended.reason) == (outcome, reason)
    assert pair.evcc.deadline is None


# what a station says is repeated only as far as the schema allows it


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("SASchedules.SAScheduleTuple.0.PMaxSchedule.PMaxScheduleEntry.0.PMax.Multiplier", 4, "4 is above 3"),
        ("SASchedules.SAScheduleTuple.0.PMaxSchedule.PMaxScheduleEntry.0.PMax.Value", 10**40, "above 32767"),
        ("SASchedules.SAScheduleTuple.0.PMaxSchedule.PMaxScheduleEntry.0.TimeInterval.start", 1 << 40, "is above"),
    ],
)
def test_an_offer_outside_its_limits_is_none(field: str, value: int, text: str) -> None:
    pair = give(session(), "ChargeParameterDiscoveryRes", field, value)
    pair.station.schedules = ScheduleOffer((Schedule(1, ((0, 11000.0),)),))
    pair.run()
    assert pair.ended("vehicle").outcome == "failed"
    assert text in pair.ended("vehicle").reason
