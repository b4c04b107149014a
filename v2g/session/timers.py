"""How long things may take, in seconds.

ISO 15118-2 tables 109 and 110, DIN SPEC 70121 tables 75 to 77. Figures checked against public implementations:
EcoG-io/iso15118 `shared/messages/*/timeouts.py`, V2GClarity/RISE-V2G `TimeRestrictions.java`,
rcuquemelle/ISO15118_4_TestEnv `docs/timer_schema.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class MessageTime(NamedTuple):
    """timeout: how long the vehicle waits for the answer. performance: when the station has to have sent it."""

    timeout: float
    performance: float


USUAL = MessageTime(2.0, 1.5)
LONG = MessageTime(5.0, 4.5)
FAST = MessageTime(0.25, 0.025)

# request -> times; what is not named has USUAL
ISO2_TIMES: Mapping[str, MessageTime] = MappingProxyType(
    {
        "ServiceDetailReq": LONG,
        "PaymentDetailsReq": LONG,
        "CertificateInstallationReq": LONG,
        "CertificateUpdateReq": LONG,
        "PowerDeliveryReq": LONG,
        "CurrentDemandReq": FAST,
    }
)
DIN_TIMES: Mapping[str, MessageTime] = MappingProxyType({"CurrentDemandReq": FAST})
TIMES: Mapping[str, Mapping[str, MessageTime]] = MappingProxyType(
    {"sap": MappingProxyType({}), "din": DIN_TIMES, "iso2": ISO2_TIMES}
)

SECC_SEQUENCE_TIMEOUT = 60.0  # V2G_SECC_Sequence_Timeout
SECC_COMMUNICATION_SETUP_TIMEOUT = 20.0  # V2G_SECC_CommunicationSetup_Timeout: up to SessionSetupRes
SECC_ONGOING_PERFORMANCE = 55.0  # V2G_SECC_Ongoing_Performance_Time: -2 only
EVCC_ONGOING_TIMEOUT = 60.0  # V2G_EVCC_Ongoing_Timeout: Authorization, ChargeParameterDiscovery
COMMUNICATION_SETUP_TIMEOUT = 20.0  # V2G_EVCC_CommunicationSetup_Timeout: up to SessionSetupRes
CABLE_CHECK_TIMEOUT = 40.0  # V2G_EVCC_CableCheck_Timeout
PRE_CHARGE_TIMEOUT = 7.0  # V2G_EVCC_PreCharge_Timeout
DIN_READY_TO_CHARGE_TIMEOUT = 150.0  # V2G_EVCC_ReadyToCharge_Timeout
CLOSE_AFTER = 2.0  # a station waits so long for the vehicle to close TCP, then does it itself; 5 s at most


def times_of(protocol: str, request: str) -> MessageTime:
    """Times of a request in a protocol ("sap", "din", "iso2")."""
    return TIMES[protocol].get(request, USUAL)
