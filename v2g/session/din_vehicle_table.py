"""What a vehicle of DIN SPEC 70121 sends after each answer. A state is the request in flight."""

from __future__ import annotations

from v2g.session.iso2_vehicle_table import END, HALT, START, TERMINATE
from v2g.session.state_table import OK, Row, StateTable

EARLY = {
    "ServiceDiscoveryReq": "ServiceDiscoveryRes",
    "ServicePaymentSelectionReq": "ServicePaymentSelectionRes",
    "ContractAuthenticationReq": "ContractAuthenticationRes",
    "ChargeParameterDiscoveryReq": "ChargeParameterDiscoveryRes",
    "CableCheckReq": "CableCheckRes",
    "PreChargeReq": "PreChargeRes",
}

ROWS = (
    Row("SessionSetupReq", "SessionSetupRes", OK, "ServiceDiscoveryReq", "[V2G-DC-439]"),
    Row("ServiceDiscoveryReq", "ServiceDiscoveryRes", "select", "ServicePaymentSelectionReq", "[V2G-DC-441]"),
    Row("ServicePaymentSelectionReq", "ServicePaymentSelectionRes", OK, "ContractAuthenticationReq", "[V2G-DC-444]"),
    Row(
        "ContractAuthenticationReq", "ContractAuthenticationRes", "ongoing", "ContractAuthenticationReq", "[V2G-DC-497]"
    ),
    Row(
        "ContractAuthenticationReq",
        "ContractAuthenticationRes",
        "finished",
        "ChargeParameterDiscoveryReq",
        "[V2G-DC-495]",
    ),
    Row(
        "ChargeParameterDiscoveryReq",
        "ChargeParameterDiscoveryRes",
        "ongoing",
        "ChargeParameterDiscoveryReq",
        "[V2G-DC-498]",
    ),
    Row("ChargeParameterDiscoveryReq", "ChargeParameterDiscoveryRes", "DC", "CableCheckReq", "[V2G-DC-453]"),
    Row("CableCheckReq", "CableCheckRes", "ongoing", "CableCheckReq", "[V2G-DC-499]"),
    Row("CableCheckReq", "CableCheckRes", "finished", "PreChargeReq", "[V2G-DC-455]"),
    Row("PreChargeReq", "PreChargeRes", "adjusting", "PreChargeReq", "[V2G-DC-458]"),
    Row("PreChargeReq", "PreChargeRes", "reached", START, "[V2G-DC-458]"),
    Row(START, "PowerDeliveryRes", "DC", "CurrentDemandReq", "[V2G-DC-462]"),
    Row(HALT, "PowerDeliveryRes", "DC", "WeldingDetectionReq", "[V2G-DC-459]"),
    Row("CurrentDemandReq", "CurrentDemandRes", "charge", "CurrentDemandReq", "[V2G-DC-465]"),
    Row("CurrentDemandReq", "CurrentDemandRes", "stop", HALT, "[V2G-DC-465]"),
    Row("WeldingDetectionReq", "WeldingDetectionRes", "again", "WeldingDetectionReq", "[V2G-DC-459]"),
    Row("WeldingDetectionReq", "WeldingDetectionRes", "terminate", TERMINATE, "[V2G-DC-459]"),
    Row(TERMINATE, "SessionStopRes", OK, END, "[V2G-DC-459]"),
    *(Row(request, answer, "give up", TERMINATE, "[V2G-DC-459]") for request, answer in EARLY.items()),
)

DIN_VEHICLE = StateTable(ROWS)
