"""The station's machine: time, late answers, pauses, renegotiation, faults of the station, and nonsense."""

from __future__ import annotations

from typing import Any

import pytest

from ports.errors import LocalError
from tests.conformance.tester import Tester
from tests.v2g.session.pair import AutoStation, Pair
from v2g.exi.codec import encode
from v2g.exi.generated.sap.types import supportedAppProtocolRes
from v2g.session.events import (
    AuthorizationWanted,
    Close,
    CurrentWanted,
    Ended,
    Event,
    Ignored,
    ParametersWanted,
    PowerWanted,
    Refused,
    SessionStarted,
    StateChanged,
    Tolerated,
)
from v2g.session.handshake import choose, offer
from v2g.session.least_message import least_body
from v2g.session.physical import number, scaled
from v2g.session.refusal import Refusal
from v2g.session.schedules import check_profile, shortened
from v2g.session.secc import Secc, SeccSettings
from v2g.session.station_side import Schedule, ScheduleOffer
from v2g.session.vehicle_side import VehicleState
from v2g.v2gtp import Frame, PayloadType


def of(tester: Tester, kind: type[Any]) -> list[Any]:
    return [event for event in tester.events if isinstance(event, kind)]


@pytest.mark.parametrize("identifier", [bytes(8), b"", b"\0", b"\x01"])
@pytest.mark.parametrize(
    "request_name", ["ServiceDiscoveryReq", "AuthorizationReq", "ChargingStatusReq", "SessionStopReq"]
)
def test_no_other_session_is_served(identifier: bytes, request_name: str) -> None:
    tester = Tester().reach(request_name)
    assert tester.send(request_name, session=identifier).ResponseCode == "FAILED_UnknownSession"
    assert of(tester, Ended)[0].outcome == "failed"


def test_the_vehicle_has_two_seconds_to_close() -> None:
    tester = Tester().reach("ServiceDiscoveryReq")
    tester.send("AuthorizationReq")
    tester.wait(1.9)
    assert tester.closed_at is None
    assert tester.send("ServiceDiscoveryReq") is None
    assert "the session is over" in of(tester, Ignored)[-1].text
    tester.wait(0.2)
    assert tester.closed_at == 2.0


def test_power_is_off_after_any_end() -> None:
    for end in (
        lambda tester: tester.send("ServiceDiscoveryReq"),
        lambda tester: tester.wait(60),
        lambda tester: tester.events.extend(tester.secc.closed(tester.now)),
        lambda tester: tester.events.extend(tester.secc.abort("fault", tester.now)),
    ):
        tester = Tester("DC").reach("PowerDeliveryReq Stop")
        end(tester)
        assert [event.on for event in of(tester, PowerWanted)] == [True, False]


def test_a_contactor_that_is_slow_delays_the_answer() -> None:
    tester = Tester().reach("PowerDeliveryReq Start")
    tester.station.slow = frozenset({"PowerWanted"})
    assert tester.send("PowerDeliveryReq Start") is None
    assert tester.secc.deadline == tester.now + 4.5
    tester.wait(3.0)
    tester.station.power_on = True
    events = tester.secc.update(tester.now)
    assert any(type(event).__name__ == "Send" for event in events)
    assert tester.secc.state == "first charging status"


def test_a_contactor_that_never_closes_is_told_in_time() -> None:
    tester = Tester().reach("PowerDeliveryReq Start")
    tester.station.slow = frozenset({"PowerWanted"})
    assert tester.send("PowerDeliveryReq Start") is None
    (answer,) = tester.wait(4.5)
    assert answer.Body.BodyElement.ResponseCode == "FAILED_PowerDeliveryNotApplied"


def test_a_contactor_fault_has_its_own_code() -> None:
    tester = Tester().reach("PowerDeliveryReq Start")
    tester.station.contactor_fault = True
    assert tester.send("PowerDeliveryReq Start").ResponseCode == "FAILED_ContactorError"


def test_a_tripped_rcd_refuses_power() -> None:
    tester = Tester().reach("PowerDeliveryReq Start")
    tester.station.rcd = True
    assert tester.send("PowerDeliveryReq Start").ResponseCode == "FAILED_PowerDeliveryNotApplied"


@pytest.mark.parametrize("code", ["EVSE_Malfunction", "EVSE_EmergencyShutdown", "EVSE_Shutdown", "EVSE_NotReady"])
def test_a_broken_dc_station_refuses_power(code: str) -> None:
    tester = Tester("DC").reach("PowerDeliveryReq Start")
    tester.station.status_code = code
    assert tester.send("PowerDeliveryReq Start").ResponseCode == "FAILED_PowerDeliveryNotApplied"


def test_a_failed_cable_check_is_refused() -> None:
    tester = Tester("DC", station={"isolation": "Fault"}).reach("CableCheckReq")
    assert tester.send("CableCheckReq").ResponseCode == "FAILED"


def test_a_second_request_before_the_answer_is_out_of_sequence() -> None:
    tester = Tester().reach("PowerDeliveryReq Start")
    tester.station.slow = frozenset({"PowerWanted"})
    assert tester.send("PowerDeliveryReq Start") is None
    assert tester.send("PowerDeliveryReq Start").ResponseCode == "FAILED_SequenceError"


def test_a_driver_may_take_minutes() -> None:
    tester = Tester().reach("AuthorizationReq")
    tester.station.slow = frozenset({"AuthorizationWanted"})
    for _ in range(600):
        assert tester.send("AuthorizationReq").EVSEProcessing == "Ongoing_WaitingForCustomerInteraction"
        tester.wait(1.0)
    tester.station.authorization = "OK"
    assert tester.send("AuthorizationReq").EVSEProcessing == "Finished"
    assert len(of(tester, AuthorizationWanted)) == 1


@pytest.mark.parametrize("octets", [b"\x80", b"\x00", b"\xff" * 40, bytes(300)])
def test_octets_that_are_no_message_are_ignored(octets: bytes) -> None:
    tester = Tester().reach("ServiceDiscoveryReq")
    assert tester.exchange(bytes(Frame(PayloadType.EXI, octets))) is None
    assert of(tester, Ignored)
    tester.good("ServiceDiscoveryReq")


def test_an_answer_is_no_request() -> None:
    tester = Tester().reach("ServiceDiscoveryReq")
    message = tester.message("SessionSetupReq")
    message.Body.BodyElement = least_body("iso2", "SessionSetupRes")
    assert tester.exchange(bytes(Frame(PayloadType.EXI, encode(message)))) is None
    tester.good("ServiceDiscoveryReq")


def test_six_octets_of_a_header_are_no_decision() -> None:
    tester = Tester().reach("SessionSetupReq")
    frame = bytes(Frame(PayloadType.EXI, encode(tester.message("SessionSetupReq"))))
    assert tester.exchange(frame[:6]) is None
    tester.wait(5)
    assert tester.exchange(frame[6:]) is not None


def test_glued_frames_are_both_answered() -> None:
    tester = Tester().reach("ServiceDiscoveryReq")
    frames = [
        bytes(Frame(PayloadType.EXI, encode(tester.message(name))))
        for name in ("ServiceDiscoveryReq", "PaymentServiceSelectionReq")
    ]
    events = tester.secc.receive(b"".join(frames), tester.now)
    assert [event.name for event in events if type(event).__name__ == "Send"] == [
        "ServiceDiscoveryRes",
        "PaymentServiceSelectionRes",
    ]


def test_sessions_share_nothing() -> None:
    one, other = Tester().reach("AuthorizationReq"), Tester("DC").reach("CableCheckReq")
    one.send("ServiceDiscoveryReq")
    other.good("CableCheckReq")
    assert one.secc.facts is not other.secc.facts


def test_a_pilot_in_a_ends_the_session_at_once() -> None:
    tester = Tester().reach("ChargingStatusReq")
    tester.station.pilot = "A"
    tester.changed()
    assert of(tester, Close)[0].reason == "control pilot in state A"
    assert of(tester, Ended)[0].outcome == "aborted"


def test_an_evse_id_that_does_not_fit_is_our_own_fault() -> None:
    tester = Tester(station={"evse_id": "X" * 60}).reach("SessionSetupReq")
    with pytest.raises(LocalError, match="EVSEID"):
        tester.send("SessionSetupReq")


# whole sessions with our vehicle


def paused_and_joined(mode: str) -> tuple[Pair, Pair]:
    first = Pair(AutoStation(modes=(mode,)), VehicleState(mode=mode))
    first.after_loops = "pause"
    first.run()
    kept_by_station, kept_by_vehicle = first.ended("station").paused, first.ended("vehicle").paused
    second = Pair(
        AutoStation(modes=(mode,)),
        VehicleState(mode=mode),
        secc={"paused": kept_by_station},
        evcc={"paused": kept_by_vehicle},
    )
    second.run()
    return first, second


@pytest.mark.parametrize("mode", ["AC_three_phase_core", "DC_extended"])
def test_a_session_sleeps_and_goes_on(mode: str) -> None:
    first, second = paused_and_joined(mode)
    assert first.ended("station").outcome == first.ended("vehicle").outcome == "paused"
    (old,), (new,) = first.found(SessionStarted), second.found(SessionStarted)
    assert (old.resumed, new.resumed, new.session_id) == (False, True, old.session_id)
    assert second.ended("station").outcome == "terminated"


@pytest.mark.parametrize("mode", ["AC_three_phase_core", "DC_extended"])
@pytest.mark.parametrize("who", ["vehicle", "station"])
def test_renegotiation(mode: str, who: str) -> None:
    pair = Pair(AutoStation(modes=(mode,)), VehicleState(mode=mode), loops=6)

    def ask(side: str, event: Event) -> None:
        if type(event).__name__ == "PowerState" and pair.loops == 4:
            if who == "vehicle":
                pair.vehicle.wish = "renegotiate"
            else:
                pair.station.notification = "ReNegotiation"
            pair.station.schedules = ScheduleOffer((Schedule(7, ((0, 5000.0),)),))

    pair.on_event = ask
    pair.run()
    assert [event.renegotiation for event in pair.found(ParametersWanted)] == [False, True]
    assert pair.sent().count("ChargeParameterDiscoveryReq") == 2
    assert pair.sent().count("CableCheckReq") == (mode == "DC_extended"), "no cable check again"
    wanted = [event for event in pair.found(PowerWanted) if event.on]
    assert len(wanted) == 1, "the contactor stays closed"
    assert pair.secc.facts.schedule == 7
    assert pair.ended("station").outcome == pair.ended("vehicle").outcome == "terminated"


@pytest.mark.parametrize("mode", ["AC_three_phase_core", "DC_extended"])
def test_a_station_may_ask_to_stop(mode: str) -> None:
    pair = Pair(AutoStation(modes=(mode,), notification="StopCharging"), VehicleState(mode=mode), loops=99)
    pair.run()
    assert pair.loops == 98
    assert pair.ended("vehicle").outcome == "terminated"


@pytest.mark.parametrize("wish", ["stop", "pause"])
@pytest.mark.parametrize("protocol", ["iso2", "din"])
def test_a_vehicle_may_give_up_before_power_flows(wish: str, protocol: str) -> None:
    vehicle = VehicleState(mode="DC_extended", protocols=(protocol,), wish=wish)
    pair = Pair(AutoStation(modes=("DC_extended",)), vehicle)
    pair.run()
    assert pair.sent()[-2:] == ["ServiceDiscoveryReq", "SessionStopReq"]
    assert pair.ended("station").outcome == ("paused" if (wish, protocol) == ("pause", "iso2") else "terminated")
    assert pair.found(PowerWanted) == []


def test_without_a_common_protocol_nothing_happens() -> None:
    pair = Pair(AutoStation(), VehicleState(protocols=("din",)))
    pair.run()
    assert pair.ended("station").outcome == pair.ended("vehicle").outcome == "failed"
    assert pair.trace == [("vehicle", "supportedAppProtocolReq"), ("station", "supportedAppProtocolRes")]


def test_din_is_not_spoken_over_tls() -> None:
    answer, version = choose(offer(["din", "iso2"]), ["din", "iso2"], tls=True)
    assert version is not None
    assert (answer.SchemaID, version.protocol) == (2, "iso2")
    assert choose(offer(["din"]), ["din"], tls=True)[1] is None


def test_the_vehicles_priority_decides() -> None:
    request = offer(["iso2", "din"])
    request.AppProtocol[0].Priority, request.AppProtocol[1].Priority = 5, 2
    assert choose(request, ["iso2", "din"], tls=False)[1].protocol == "din"  # type: ignore[union-attr]


def test_another_major_version_is_no_match() -> None:
    request = offer(["iso2"])
    request.AppProtocol[0].VersionNumberMajor = 3
    answer, version = choose(request, ["iso2"], tls=False)
    assert (answer.ResponseCode, answer.SchemaID, version) == ("Failed_NoNegotiation", None, None)


def test_the_vw_way_of_giving_up_is_tolerated() -> None:
    tester = Tester().reach("ChargingStatusReq")
    assert tester.send("SessionStopReq").ResponseCode == "OK"
    assert "without PowerDeliveryReq" in of(tester, Tolerated)[0].text
    assert [event.on for event in of(tester, PowerWanted)] == [True, False]


# small parts


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, (0, 0)), (400, (0, 400)), (361.2, (-1, 3612)), (11040, (0, 11040)), (350000, (2, 3500)), (-0.5, (-1, -5))],
)
def test_physical_values_are_exact_where_they_can_be(value: float, expected: tuple[int, int]) -> None:
    assert scaled(value) == expected


def test_a_value_beyond_all_reason_is_refused() -> None:
    with pytest.raises(LocalError, match="32767E3"):
        scaled(1e9)
    with pytest.raises(LocalError, match="nan is no physical value"):
        scaled(float("nan"))


def test_a_value_between_the_steps_is_rounded() -> None:
    multiplier, integer = scaled(12345.6789)
    assert abs(integer * 10.0**multiplier - 12345.6789) < 0.51
    assert number(type("P", (), {"Value": integer, "Multiplier": multiplier})) == integer * 10.0**multiplier


def test_a_profile_within_the_steps_passes() -> None:
    check_profile(Schedule(1, ((0, 10.0), (100, 5.0))), [(0, 10.0), (100, 5.0), (200, 4.0)])


@pytest.mark.parametrize("profile", [[(0, 10.0)], [(50, 11.0)], [(0, 1.0), (99, 10.0)]])
def test_a_profile_that_goes_over_a_step_is_refused(profile: list[tuple[int, float]]) -> None:
    with pytest.raises(Refusal, match="FAILED_ChargingProfileInvalid"):
        check_profile(Schedule(1, ((0, 10.0), (100, 5.0))), profile)


def test_a_shortened_schedule_never_allows_more() -> None:
    schedule = Schedule(1, ((0, 4.0), (10, 3.0), (20, 9.0), (30, 2.0)))
    assert shortened(schedule, 1).entries == ((0, 2.0),)
    assert shortened(schedule, 3).entries == ((0, 4.0), (10, 3.0), (20, 2.0))
    assert shortened(schedule, 4) == shortened(schedule, None) == schedule


def test_nothing_is_answered_before_anything_was_asked() -> None:
    secc = Secc(AutoStation(), now=0.0, settings=SeccSettings())
    with pytest.raises(LocalError, match="nothing to answer"):
        secc._answer(0.0)
    assert secc.update(1.0) == []
    assert [type(event) for event in secc.update(20.0)] == [Ended, StateChanged, Close]
    assert secc.closed(21.0) == secc.abort("late", 21.0) == []


def test_a_refusal_names_its_reason() -> None:
    tester = Tester().reach("ServiceDiscoveryReq")
    tester.send("AuthorizationReq")
    (refused,) = of(tester, Refused)
    assert refused.reason == "AuthorizationReq while state is 'service discovery'"


def test_numbers_beyond_all_bounds_are_refused() -> None:
    tester = Tester("DC").reach("CurrentDemandReq")
    message = tester.message("CurrentDemandReq")
    message.Body.BodyElement.EVTargetCurrent.Value = 10**400
    answer = tester.exchange(bytes(Frame(PayloadType.EXI, encode(message, check=False))))
    assert answer.Body.BodyElement.ResponseCode == "FAILED"


def test_a_service_beyond_all_bounds_is_refused() -> None:
    tester = Tester().reach("PaymentServiceSelectionReq")
    message = tester.message("ServiceDetailReq")
    message.Body.BodyElement.ServiceID = 70000
    answer = tester.exchange(bytes(Frame(PayloadType.EXI, encode(message, check=False))))
    assert (answer.Body.BodyElement.ResponseCode, answer.Body.BodyElement.ServiceID) == ("FAILED_ServiceIDInvalid", 0)


def test_a_handshake_answer_is_no_request() -> None:
    tester = Tester()
    answer = supportedAppProtocolRes(ResponseCode="OK_SuccessfulNegotiation", SchemaID=1)
    assert tester.exchange(bytes(Frame(PayloadType.EXI, encode(answer)))) is None
    assert tester.secc.state == "handshake"


def test_a_document_that_is_no_message_is_ignored() -> None:
    tester = Tester().reach("ServiceDiscoveryReq")
    bare = encode(least_body("iso2", "ServiceDiscoveryReq"))
    assert tester.exchange(bytes(Frame(PayloadType.EXI, bare))) is None
    assert "no V2G_Message" in of(tester, Ignored)[0].text
    assert tester.send("ServiceDiscoveryReq").ResponseCode == "OK"


@pytest.mark.parametrize("charging", ["AC", "DC"])
def test_a_start_during_charging_is_out_of_sequence(charging: str) -> None:
    tester = Tester(charging).reach("PowerDeliveryReq Stop")
    assert tester.send("PowerDeliveryReq Start").ResponseCode == "FAILED_SequenceError"
    assert not tester.station.power_on


def test_less_than_nothing_is_nothing() -> None:
    tester = Tester("DC").reach("CurrentDemandReq")

    def backwards(body: Any) -> None:
        body.EVTargetVoltage.Value, body.EVTargetCurrent.Value = -400, -10

    assert tester.send("CurrentDemandReq", backwards).ResponseCode == "OK"
    assert [(event.voltage, event.current) for event in of(tester, CurrentWanted)][-1] == (0.0, 0.0)


def test_a_session_id_may_be_short() -> None:
    run = Pair(AutoStation(), VehicleState(), settings=SeccSettings(session_id_octets=4))
    run.run()
    (started,) = run.found(SessionStarted)
    assert len(started.session_id) == 4
    assert run.ended("vehicle").outcome == "terminated"
