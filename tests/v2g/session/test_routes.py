"""Whole sessions between our two machines."""

from __future__ import annotations

import pytest

from tests.v2g.session import chaos
from tests.v2g.session.pair import AutoStation, Pair
from v2g.session.machine import CLOSED, Machine
from v2g.session.vehicle_side import VehicleState

START = ["supportedAppProtocol", "SessionSetup", "ServiceDiscovery"]
DC = ["CableCheck", "PreCharge", "PowerDelivery", "CurrentDemand", "PowerDelivery", "WeldingDetection", "SessionStop"]
ROUTES = {
    "AC EIM": (
        "AC_three_phase_core",
        ("iso2",),
        [
            *START,
            *("PaymentServiceSelection", "Authorization", "ChargeParameterDiscovery"),
            *("PowerDelivery", "ChargingStatus", "PowerDelivery", "SessionStop"),
        ],
    ),
    "DC EIM": (
        "DC_extended",
        ("iso2",),
        [*START, "PaymentServiceSelection", "Authorization", "ChargeParameterDiscovery", *DC],
    ),
    "DIN": (
        "DC_extended",
        ("din",),
        [*START, "ServicePaymentSelection", "ContractAuthentication", "ChargeParameterDiscovery", *DC],
    ),
}


@pytest.mark.parametrize("route", ROUTES)
def test_route_with_payment_at_the_station(route: str) -> None:
    mode, protocols, messages = ROUTES[route]
    pair = Pair(AutoStation(modes=(mode,)), VehicleState(mode=mode, protocols=protocols))
    pair.run()
    assert pair.sent("vehicle") == [f"{name}Req" for name in messages]
    assert pair.sent("station") == [f"{name}Res" for name in messages]
    assert pair.ended("vehicle").outcome == pair.ended("station").outcome == "terminated"
    assert pair.refused() == []
    assert not pair.station.power_on


@pytest.mark.parametrize("mode", ["AC_three_phase_core", "DC_extended"])
def test_a_station_may_offer_both(mode: str) -> None:
    pair = Pair(AutoStation(modes=("AC_three_phase_core", "DC_extended")), VehicleState(mode=mode))
    pair.run()
    statuses = {type(answer.EVSEStatus).__name__ for answer in pair.answers("PowerDeliveryRes")}
    assert statuses == {f"{mode[:2]}_EVSEStatusType"}
    assert pair.ended("station").outcome == "terminated"


class Killed(Exception):
    """One side is gone."""


class Cut(list[tuple[str, str]]):
    """A trace that ends the session after some messages."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length

    def append(self, entry: tuple[str, str]) -> None:
        super().append(entry)
        if len(self) == self.length:
            raise Killed


def of_route(route: str) -> Pair:
    """A session that has not begun."""
    station, vehicle, tls = chaos.sides(route)
    return Pair(station, vehicle, tls=tls)


def messages_of(route: str) -> int:
    """How many messages both sides send in the good session."""
    pair = of_route(route)
    pair.run()
    return len(pair.trace)


@pytest.mark.parametrize("killed", ["vehicle", "station"])
@pytest.mark.parametrize("route", chaos.ROUTES)
def test_a_side_that_dies_after_any_message_leaves_the_other_ready(route: str, killed: str) -> None:
    for boundary in range(1, messages_of(route)):
        pair = of_route(route)
        pair.trace = Cut(boundary)
        with pytest.raises(Killed):
            pair.run()
        survivor: Machine = pair.secc if killed == "vehicle" else pair.evcc
        for event in survivor.closed(pair.now):
            pair.station.follow(event)
        assert survivor.ended is not None
        assert survivor.deadline is None
        assert survivor.state == CLOSED
        assert (not pair.station.power_on) if killed == "vehicle" else pair.evcc.pilot == "B"
