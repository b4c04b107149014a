"""The ISO 15118-4 case list for stations, by ID (CMN, AC, DC), as rcuquemelle/ISO15118_4_TestEnv implements it.

The list covers what a station's session machine, V2GTP and SDP answer; what belongs to pilot, SLAC or the life of a
server is listed as not applicable, with the reason. No sentence of the standard or of that project is repeated here.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.conformance import cases_charging, cases_contract, cases_parameters, cases_setup
from tests.conformance.case import FILES, Case

CASES = (*cases_setup.CASES, *cases_contract.CASES, *cases_parameters.CASES, *cases_charging.CASES)

# how many cases each family has in the source
COUNTS = {
    "CMN": {
        "SDP": 7,
        "V2GTPSDP": 5,
        "V2GTPSessionSetup": 5,
        "SupportedAppProtocol": 6,
        "SessionSetup": 4,
        "ServiceDiscovery": 4,
        "ServiceDetail": 12,
        "PaymentServiceSelection": 10,
        "PaymentDetails": 10,
        "CertificateInstallation": 8,
        "CertificateUpdate": 17,
        "Authorization": 17,
        "ChargeParameterDiscovery": 2,
        "Abnormal": 1,
    },
    "AC": {
        "SessionSetup": 6,
        "ServiceDiscovery": 2,
        "ChargeParameterDiscovery": 36,
        "PowerDelivery": 14,
        "ChargingStatus": 9,
        "MeteringReceipt": 7,
        "SessionStop": 5,
        "Abnormal": 2,
    },
    "DC": {
        "SessionSetup": 6,
        "ServiceDiscovery": 2,
        "ChargeParameterDiscovery": 36,
        "CableCheck": 8,
        "PreCharge": 4,
        "PowerDelivery": 21,
        "CurrentDemand": 9,
        "MeteringReceipt": 7,
        "WeldingDetection": 5,
        "SessionStop": 10,
        "Abnormal": 2,
    },
}


def test_the_list_is_complete() -> None:
    found: dict[str, Counter[str]] = {group: Counter() for group in COUNTS}
    for case in CASES:
        found[case.group][case.family] += 1
    assert {group: dict(counts) for group, counts in found.items()} == COUNTS
    assert len({case.id for case in CASES}) == len(CASES) == 299
    assert {case.family for case in CASES} == set(FILES)


def test_enough_is_applicable() -> None:
    assert sum(case.run is not None for case in CASES) >= 250


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_case(case: Case) -> None:
    if case.run is None:
        pytest.skip(f"not applicable: {case.not_applicable}")
    case.run()
