"""Whole sessions between our two machines."""

from __future__ import annotations

import pytest

from tests.v2g.session.pair import AutoStation, Pair
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
