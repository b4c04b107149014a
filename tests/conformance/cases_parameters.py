"""ChargeParameterDiscovery: plain, renegotiated and after a pause; with tariff, departure time, limited entries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.conformance.case import rows
from tests.conformance.cases_setup import SAME_WAKE_UP
from tests.conformance.stimuli import bad, instead, ongoing, silence, unknown_session
from tests.conformance.tester import Change, Tester, physical
from tests.v2g.session.pki import make_pki
from v2g.exi.generated.iso2 import types as t
from v2g.session.events import ParametersWanted
from v2g.session.physical import number
from v2g.session.station_side import Schedule, ScheduleOffer
from v2g.signature_suites import P256, signer
from v2g.signed_elements import Named
from v2g.xmldsig import sign_elements

PARAMETERS = "ChargeParameterDiscoveryReq"
MAX_ENTRIES = 2
STEPS = ((0, 11000.0), (600, 7000.0), (1200, 9000.0), (1800, 5000.0))
DEPARTURE = 7200


def schedules(tariff: bool) -> ScheduleOffer:
    """A schedule of four steps; with a signed tariff of two."""
    if not tariff:
        return ScheduleOffer((Schedule(1, STEPS),))
    entries = [
        t.SalesTariffEntryType(TimeInterval=t.RelativeTimeIntervalType(start=start), EPriceLevel=level)
        for start, level in ((0, 1), (900, 2))
    ]
    one = t.SalesTariffType(Id="id1", SalesTariffID=1, NumEPriceLevels=2, SalesTariffEntry=entries)
    signature = sign_elements([Named("SalesTariff", one)], signer(make_pki().mo_sub_2.key), P256, "iso2")
    return ScheduleOffer((Schedule(1, STEPS, tariff=one),), signature)


def found(
    charging: str, before: str = "", *, tariff: bool = False, departure: bool = False, entries: bool = False
) -> None:
    """A request in order. before: "", "renegotiation" or "pause". entries: MaxEntriesSAScheduleTuple is given."""
    offer = schedules(tariff)
    if before == "pause":
        paused = _paused(charging)
        tester = Tester(charging, paused=paused, station={"schedules": offer}).reach(PARAMETERS)
    elif before == "renegotiation":
        tester = Tester(charging).renegotiate()
        tester.station.schedules = offer
    else:
        tester = Tester(charging, station={"schedules": offer}).reach(PARAMETERS)

    def change(request: Any) -> None:
        request.MaxEntriesSAScheduleTuple = MAX_ENTRIES if entries else None
        request.EVChargeParameter.DepartureTime = DEPARTURE if departure else None

    answer = tester.good(PARAMETERS, change)
    assert answer.EVSEProcessing == "Finished"
    _check(tester, answer, before, tariff=tariff, departure=departure, entries=entries)


def _paused(charging: str) -> Any:
    """A session that paused with the second of two schedules."""
    both = ScheduleOffer((Schedule(1, ((0, 3000.0),)), Schedule(2, ((0, 4000.0),))))
    tester = Tester(charging, station={"schedules": both})
    tester.schedule = 2
    return tester.pause()


def _check(tester: Tester, answer: Any, before: str, *, tariff: bool, departure: bool, entries: bool) -> None:
    tuples = answer.SASchedules.SAScheduleTuple
    assert [one.SAScheduleTupleID for one in tuples] == ([2, 1] if before == "pause" else [1])
    if before == "pause":  # the schedule chosen before is offered again
        assert number(tuples[0].PMaxSchedule.PMaxScheduleEntry[0].PMax) == 4000
    schedule = tuples[-1]
    steps = [(e.TimeInterval.start, number(e.PMax)) for e in schedule.PMaxSchedule.PMaxScheduleEntry]
    assert steps == ([(0, 11000), (600, 5000)] if entries else list(STEPS))
    assert (schedule.SalesTariff is not None) is tariff
    if tariff and entries:
        assert len(schedule.SalesTariff.SalesTariffEntry) <= MAX_ENTRIES
    wanted = [event for event in tester.events if isinstance(event, ParametersWanted)][-1]
    assert wanted.departure_time == (DEPARTURE if departure else None)
    assert wanted.max_entries == (MAX_ENTRIES if entries else None)
    assert wanted.renegotiation is (before == "renegotiation")


def _mode(value: str) -> Change:
    def change(request: Any) -> None:
        request.RequestedEnergyTransferMode = value

    return change


def _current(request: Any) -> None:
    field = "EVMaxCurrent" if hasattr(request.EVChargeParameter, "EVMaxCurrent") else "EVMaximumCurrentLimit"
    setattr(request.EVChargeParameter, field, physical("A", -100))


def _departing(request: Any) -> None:
    request.EVChargeParameter.DepartureTime = DEPARTURE


def never(charging: str) -> Tester:
    """A station that never has a schedule."""
    tester = Tester(charging)
    tester.station.slow = frozenset({"ParametersWanted"})
    return tester


def cases(charging: str, first: dict[int, Callable[[], object] | str]) -> dict[int, Callable[[], object] | str]:
    """The numbers that AC and DC share, with those that they do not."""
    renegotiation, pause = "renegotiation", "pause"
    # number -> (before, tariff, departure time, limited entries)
    table: dict[int, tuple[str, bool, bool, bool]] = {
        6: ("", False, True, False),
        7: (pause, False, False, False),
        8: ("", True, False, False),
        9: (renegotiation, True, False, False),
        10: ("", True, True, False),
        11: (pause, True, False, False),
        12: ("", False, False, True),
        13: ("", True, False, True),
        15: ("", True, True, True),
        16: ("", False, True, True),
        17: (pause, False, True, False),
        18: (pause, True, True, False),
        19: (pause, False, False, True),
        20: (pause, True, False, True),
        21: (pause, True, True, True),
        22: (pause, False, True, True),
        23: (renegotiation, False, True, False),
        24: (renegotiation, True, True, False),
        25: (renegotiation, False, False, True),
        26: (renegotiation, True, False, True),
        27: (renegotiation, True, True, True),
        28: (renegotiation, False, True, True),
    }

    def run(row: tuple[str, bool, bool, bool]) -> Callable[[], object]:
        before, tariff, departure, entries = row
        return lambda: found(charging, before, tariff=tariff, departure=departure, entries=entries)

    shared = {number: run(row) for number, row in table.items()}
    last = {14: lambda: ongoing(never(charging), PARAMETERS), **dict.fromkeys(range(29, 37), SAME_WAKE_UP)}
    return {number: ({**first, **shared, **last})[number] for number in range(1, 37)}


CASES = (
    *rows(
        "CMN",
        "ChargeParameterDiscovery",
        {1: lambda: instead(Tester("DC"), PARAMETERS), 2: lambda: silence(Tester("DC"), PARAMETERS)},
    ),
    *rows(
        "AC",
        "ChargeParameterDiscovery",
        cases(
            "AC",
            {
                1: lambda: found("AC"),
                2: lambda: found("AC", "renegotiation"),
                3: lambda: unknown_session(Tester(), PARAMETERS),
                4: lambda: bad(Tester(), PARAMETERS, _mode("DC_extended"), "FAILED_WrongEnergyTransferMode"),
                5: lambda: bad(Tester(), PARAMETERS, _current, "FAILED_WrongChargeParameter"),
            },
        ),
    ),
    *rows(
        "DC",
        "ChargeParameterDiscovery",
        cases(
            "DC",
            {
                1: lambda: found("DC"),
                2: lambda: unknown_session(Tester("DC"), PARAMETERS),
                3: lambda: bad(
                    Tester("DC", station={"modes": ("DC_core",)}), PARAMETERS, None, "FAILED_WrongEnergyTransferMode"
                ),
                4: lambda: bad(Tester("DC"), PARAMETERS, _current, "FAILED_WrongChargeParameter"),
                5: lambda: found("DC", "renegotiation"),
            },
        ),
    ),
)
