"""From the cable check to the end of the session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

from tests.conformance.case import rows
from tests.conformance.stimuli import bad, closed, good, instead, refused, silence, unknown_session
from tests.conformance.tester import METER, Change, Tester, physical
from tests.v2g.session.pki import make_pki
from v2g.exi.generated.iso2.types import DC_EVErrorCodeType
from v2g.session.events import Ended
from v2g.session.physical import number
from v2g.signature_suites import signer

START, STOP, RENEGOTIATE = "PowerDeliveryReq Start", "PowerDeliveryReq Stop", "PowerDeliveryReq Renegotiate"
CABLE, PRE, WELDING, END = "CableCheckReq", "PreChargeReq", "WeldingDetectionReq", "SessionStopReq"
RECEIPT = "MeteringReceiptReq"
AGING_LOOPS = 500


def ac() -> Tester:
    """AC, external payment."""
    return Tester("AC")


def dc() -> Tester:
    """DC, external payment."""
    return Tester("DC")


def receipts(charging: str) -> Tester:
    """A contract, and a station that wants receipts."""
    return Tester(charging, "pnc", station={"receipt_required": True, "meter": METER})


# cable check, pre-charge


def _cable(state: str, *, slow: bool = False) -> None:
    tester = dc().reach(CABLE)
    if slow:
        tester.station.slow = frozenset({"CableCheckWanted"})
    rounds = 0
    tester.station.pilot = state
    answer = tester.send_message(CABLE, tester.message(CABLE))
    while answer.EVSEProcessing == "Ongoing":
        assert answer.ResponseCode == "OK"
        rounds += 1
        tester.wait(1.0)
        if rounds == 30:
            tester.station.isolation = "Valid"
        answer = tester.send_message(CABLE, tester.message(CABLE))
    assert (answer.ResponseCode, answer.EVSEProcessing) == ("OK", "Finished")
    assert answer.DC_EVSEStatus.EVSEIsolationStatus == "Valid"
    assert (rounds == 30) is slow


def _no_pilot_c() -> None:
    tester = dc().reach(CABLE)
    tester.keep_pilot = True
    refused(tester, tester.send(CABLE), "FAILED")


def _pre_charge() -> None:
    tester = dc().reach(PRE)
    for _ in range(3):
        answer = tester.good(PRE)
        assert answer.DC_EVSEStatus.EVSEStatusCode == "EVSE_Ready"
    assert number(answer.EVSEPresentVoltage) == 400


# power delivery


def _state_d() -> None:
    tester = ac().reach(START)
    tester.station.pilot = "D"
    assert tester.send_message(START, tester.message(START)).ResponseCode == "OK"


def _profile(request: Any) -> None:
    request.ChargingProfile.ProfileEntry[0].ChargingProfileEntryMaxPower = physical("W", 30000)


def _tuple(request: Any) -> None:
    request.SAScheduleTupleID = 99


def _renegotiated(charging: str) -> None:
    tester = Tester(charging).renegotiate()
    tester.good("ChargeParameterDiscoveryReq")
    tester.good(START)
    tester.good(tester.loop)


def _renegotiate(charging: str) -> None:
    tester = Tester(charging).reach(STOP)
    tester.good(RENEGOTIATE)
    assert tester.station.power_on, "renegotiation does not open the contactor"


def _too_early(charging: str) -> None:
    tester = Tester(charging).reach(START)
    refused(tester, tester.send(RENEGOTIATE), "FAILED")


def _stop(charging: str) -> None:
    tester = Tester(charging)
    good(tester, STOP)
    assert not tester.station.power_on


def _error(code: str) -> Change:
    def change(request: Any) -> None:
        status = request.EVPowerDeliveryParameter.DC_EVStatus
        status.EVErrorCode, status.EVReady = code, False

    return change


ERRORS = [code for code in get_args(DC_EVErrorCodeType) if not code.startswith(("NO_ERROR", "Reserved"))]


def _errors() -> dict[int, Callable[[], object] | str]:
    """PowerDelivery 14 to 21: one per error code, in the order of the schema."""

    def run(code: str) -> Callable[[], object]:
        return lambda: good(dc(), STOP, _error(code))

    return {n: run(code) for n, code in enumerate(ERRORS, 14)}


# the loop


def _loop(charging: str, *, receipt: bool, meter: str = "") -> None:
    """meter: "", "info" or "reading"."""
    report = {"": None, "info": replace(METER, reading=None), "reading": METER}[meter or ("info" if receipt else "")]
    station = {"meter": report, "receipt_required": receipt}
    tester = Tester(charging, "pnc" if receipt else "eim", station=station)
    answer = good(tester, tester.loop)
    assert answer.ReceiptRequired is receipt
    if meter:
        assert answer.MeterInfo.MeterID == METER.meter_id
        assert answer.MeterInfo.MeterReading == (METER.reading if meter == "reading" else None)


def _loop_cases(charging: str) -> dict[int, Callable[[], object] | str]:
    request = Tester(charging).loop
    return {
        1: lambda: _loop(charging, receipt=False),
        2: lambda: _loop(charging, receipt=True),
        3: lambda: instead(Tester(charging), request),
        4: lambda: unknown_session(Tester(charging), request),
        5: lambda: silence(Tester(charging), request),
        6: lambda: _loop(charging, receipt=False, meter="info"),
        7: lambda: _loop(charging, receipt=True, meter="info"),
        8: lambda: _loop(charging, receipt=False, meter="reading"),
        9: lambda: _loop(charging, receipt=True, meter="reading"),
    }


def _reading(request: Any) -> None:
    request.MeterInfo = type(request.MeterInfo)(MeterID=METER.meter_id, MeterReading=999_999)


def _renamed(request: Any) -> None:
    request.Id = "id2"


def _receipt_cases(charging: str) -> dict[int, Callable[[], object] | str]:
    invalid = "FAILED_MeteringSignatureNotValid"
    return {
        1: lambda: good(receipts(charging), RECEIPT),
        2: lambda: instead(receipts(charging), RECEIPT),
        3: lambda: unknown_session(receipts(charging), RECEIPT),
        4: lambda: bad(receipts(charging), RECEIPT, _reading, invalid),
        5: lambda: silence(receipts(charging), RECEIPT),
        6: lambda: bad(receipts(charging), RECEIPT, None, invalid, sign=signer(make_pki().cps.key)),
        7: lambda: bad(receipts(charging), RECEIPT, None, invalid, after=_renamed),
    }


# the end


def _terminate(tester: Tester, *, skip_welding: bool = False, loops: int = 1) -> None:
    tester.reach(STOP)
    for _ in range(loops - 1):
        tester.good(tester.loop)
        tester.wait(0.1)
    tester.good(STOP)
    if not tester.is_ac and not skip_welding:
        tester.good(WELDING)
    tester.good(END)
    closed(tester)
    (ended,) = [event for event in tester.events if isinstance(event, Ended)]
    assert (ended.outcome, ended.paused) == ("terminated", None)


def _stopped_dc(run: Callable[[Tester, str], None]) -> None:
    """After PowerDeliveryReq (Stop), without welding detection, SessionStopReq is due."""
    tester = dc().reach(STOP)
    tester.good(STOP)
    tester.route = lambda: iter((END,))  # type: ignore[method-assign]
    run(tester, END)


def _still_in_c(request: str) -> None:
    tester = dc().reach(STOP)
    tester.good(STOP)
    tester.keep_pilot = True
    refused(tester, tester.send(request), "FAILED")


def _abnormal(charging: str, pilot: str) -> None:
    """The pilot shows a fault in the loop: TCP is closed, power is off."""
    tester = Tester(charging).reach(STOP)
    tester.station.pilot = pilot
    tester.changed()
    closed(tester)
    assert not tester.station.power_on
    (ended,) = [event for event in tester.events if isinstance(event, Ended)]
    assert ended.outcome == "aborted"


CASES = (
    *rows(
        "DC",
        "CableCheck",
        {
            1: lambda: _cable("C"),
            2: lambda: _cable("D"),
            3: lambda: instead(dc(), CABLE),
            4: lambda: unknown_session(dc(), CABLE),
            5: lambda: silence(dc(), CABLE),
            6: lambda: _cable("C", slow=True),
            7: lambda: _cable("D", slow=True),
            8: _no_pilot_c,
        },
    ),
    *rows(
        "DC",
        "PreCharge",
        {
            1: _pre_charge,
            2: lambda: instead(dc(), PRE),
            3: lambda: unknown_session(dc(), PRE),
            4: lambda: silence(dc(), PRE),
        },
    ),
    *rows(
        "AC",
        "PowerDelivery",
        {
            1: lambda: good(ac(), START),
            2: _state_d,
            3: lambda: _renegotiate("AC"),
            4: lambda: _renegotiated("AC"),
            5: lambda: _stop("AC"),
            6: lambda: instead(ac(), START),
            7: lambda: instead(ac(), STOP),
            8: lambda: unknown_session(ac(), START),
            9: lambda: unknown_session(ac(), STOP),
            10: lambda: bad(ac(), START, _profile, "FAILED_ChargingProfileInvalid"),
            11: lambda: bad(ac(), START, _tuple, "FAILED_TariffSelectionInvalid"),
            12: lambda: silence(ac(), START),
            13: lambda: silence(ac(), STOP),
            14: lambda: _too_early("AC"),
        },
    ),
    *rows(
        "DC",
        "PowerDelivery",
        {
            1: lambda: good(dc(), START),
            2: lambda: _stop("DC"),
            3: lambda: instead(dc(), START),
            4: lambda: instead(dc(), STOP),
            5: lambda: unknown_session(dc(), START),
            6: lambda: unknown_session(dc(), STOP),
            7: lambda: bad(dc(), START, _profile, "FAILED_ChargingProfileInvalid"),
            8: lambda: bad(dc(), START, _tuple, "FAILED_TariffSelectionInvalid"),
            9: lambda: silence(dc(), START),
            10: lambda: silence(dc(), STOP),
            11: lambda: _renegotiate("DC"),
            12: lambda: _renegotiated("DC"),
            13: lambda: _too_early("DC"),
            **_errors(),
        },
    ),
    *rows("AC", "ChargingStatus", _loop_cases("AC")),
    *rows("DC", "CurrentDemand", _loop_cases("DC")),
    *rows("AC", "MeteringReceipt", _receipt_cases("AC")),
    *rows("DC", "MeteringReceipt", _receipt_cases("DC")),
    *rows(
        "DC",
        "WeldingDetection",
        {
            1: lambda: good(dc(), WELDING),
            2: lambda: instead(dc(), WELDING),
            3: lambda: unknown_session(dc(), WELDING),
            4: lambda: silence(dc(), WELDING),
            5: lambda: _still_in_c(WELDING),
        },
    ),
    *rows(
        "AC",
        "SessionStop",
        {
            1: lambda: _terminate(ac()),
            2: lambda: instead(ac(), END),
            3: lambda: unknown_session(ac(), END),
            4: lambda: silence(ac(), END),
            11: lambda: _terminate(ac(), loops=AGING_LOOPS),
        },
    ),
    *rows(
        "DC",
        "SessionStop",
        {
            1: lambda: _terminate(dc(), skip_welding=True),
            2: lambda: _terminate(dc()),
            3: lambda: _stopped_dc(instead),
            4: lambda: _stopped_dc(unknown_session),
            5: lambda: _stopped_dc(silence),
            6: lambda: _still_in_c(END),
            7: lambda: instead(dc(), END),
            8: lambda: unknown_session(dc(), END),
            9: lambda: silence(dc(), END),
            10: lambda: _terminate(dc(), loops=AGING_LOOPS),
        },
    ),
    *rows("CMN", "Abnormal", {1: "a missing diode is seen by the firmware before SLAC; there is no session yet"}),
    *rows("AC", "Abnormal", {1: lambda: _abnormal("AC", "E"), 2: lambda: _abnormal("AC", "A")}),
    *rows("DC", "Abnormal", {1: lambda: _abnormal("DC", "E"), 2: lambda: _abnormal("DC", "A")}),
)
