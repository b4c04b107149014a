"""What a station of DIN SPEC 70121 takes in each state; DC and external payment only.

Requirement numbers as cited by EVerest/everest-core `modules/EVSE/EvseV2G/din_server.hpp`.
"""

from __future__ import annotations

from v2g.session.iso2_station_table import (
    AUTHORIZATION,
    CABLE_CHECK,
    CHARGING_DC,
    DISCOVERY,
    END,
    PARAMETERS,
    PRE_CHARGE,
    PRE_CHARGED,
    SELECTION,
    SETUP,
    STARTED_DC,
    STOPPED_DC,
)
from v2g.session.state_table import OK, Row, StateTable

STOPPABLE = (
    *(DISCOVERY, SELECTION, AUTHORIZATION, PARAMETERS, CABLE_CHECK, PRE_CHARGE, PRE_CHARGED),
    *(STARTED_DC, CHARGING_DC, STOPPED_DC),
)

ROWS = (
    Row(SETUP, "SessionSetupReq", OK, DISCOVERY, "[V2G-DC-439]"),
    Row(DISCOVERY, "ServiceDiscoveryReq", OK, SELECTION, "[V2G-DC-441]"),
    Row(SELECTION, "ServicePaymentSelectionReq", OK, AUTHORIZATION, "[V2G-DC-444]"),
    Row(AUTHORIZATION, "ContractAuthenticationReq", "ongoing", AUTHORIZATION, "[V2G-DC-497]"),
    Row(AUTHORIZATION, "ContractAuthenticationReq", "finished", PARAMETERS, "[V2G-DC-495]"),
    Row(PARAMETERS, "ChargeParameterDiscoveryReq", "ongoing", PARAMETERS, "[V2G-DC-498]"),
    Row(PARAMETERS, "ChargeParameterDiscoveryReq", "DC", CABLE_CHECK, "[V2G-DC-453]"),
    Row(PARAMETERS, "ChargeParameterDiscoveryReq", "DC renegotiated", CABLE_CHECK, "[V2G-DC-453]"),
    Row(CABLE_CHECK, "CableCheckReq", "ongoing", CABLE_CHECK, "[V2G-DC-499]"),
    Row(CABLE_CHECK, "CableCheckReq", "finished", PRE_CHARGE, "[V2G-DC-455]"),
    Row(PRE_CHARGE, "PreChargeReq", OK, PRE_CHARGED, "[V2G-DC-458]"),
    Row(PRE_CHARGED, "PreChargeReq", OK, PRE_CHARGED, "[V2G-DC-458]"),
    Row(PRE_CHARGED, "PowerDeliveryReq", "start", STARTED_DC, "[V2G-DC-462]"),
    Row(PRE_CHARGED, "PowerDeliveryReq", "stop", STOPPED_DC, "[V2G-DC-459]"),
    Row(STARTED_DC, "CurrentDemandReq", "charging", CHARGING_DC, "[V2G-DC-465]"),
    Row(STARTED_DC, "PowerDeliveryReq", "stop", STOPPED_DC, "[V2G-DC-459]"),
    Row(CHARGING_DC, "CurrentDemandReq", "charging", CHARGING_DC, "[V2G-DC-465]"),
    Row(CHARGING_DC, "PowerDeliveryReq", "stop", STOPPED_DC, "[V2G-DC-459]"),
    Row(STOPPED_DC, "WeldingDetectionReq", OK, STOPPED_DC, "[V2G-DC-459]"),
    *(Row(state, "SessionStopReq", OK, END, "[V2G-DC-459]") for state in STOPPABLE),
)

DIN_STATION = StateTable(ROWS)
