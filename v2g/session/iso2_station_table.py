"""What a station of ISO 15118-2 takes in each state (8.8.4).

The states are named after what the station waits for. Requirement numbers as cited by EVerest/everest-core
`modules/EVSE/EvseV2G/iso_server.hpp` and EcoG-io/iso15118 `secc/states/iso15118_2_states.py`.
"""

from __future__ import annotations

from v2g.session.state_table import OK, Row, StateTable

SETUP = "session setup"
DISCOVERY = "service discovery"
SELECTION = "service selection"
CONTRACT = "contract or certificate"
DETAILS = "payment details"
AUTHORIZATION = "authorization"
PARAMETERS = "charge parameters"
CABLE_CHECK = "cable check"
PRE_CHARGE = "pre-charge"
PRE_CHARGED = "pre-charge or power"
READY_AC = "AC power"
READY_DC = "DC power or cable check"
STARTED_AC = "first charging status"
CHARGING_AC = "charging status"
RECEIPT_AC = "AC receipt"
STARTED_DC = "first current demand"
CHARGING_DC = "current demand"
RECEIPT_DC = "DC receipt"
STOPPED_AC = "session stop"
STOPPED_DC = "welding detection or session stop"
END = "end"

# a vehicle may give up in these; SessionStopReq leads to the end
STOPPABLE = (
    *(DISCOVERY, SELECTION, CONTRACT, DETAILS, AUTHORIZATION, PARAMETERS, CABLE_CHECK, PRE_CHARGE, PRE_CHARGED),
    *(READY_AC, READY_DC, STOPPED_AC, STOPPED_DC),
)
# a VW ID gives up there when no current flows, without PowerDeliveryReq (capture vw-ac-iso2 of tux-evse)
STOPPED_WITHOUT_POWER_DELIVERY = (STARTED_AC, CHARGING_AC, STARTED_DC, CHARGING_DC)

ROWS = (
    Row(SETUP, "SessionSetupReq", OK, DISCOVERY, "[V2G2-543]"),
    Row(DISCOVERY, "ServiceDiscoveryReq", OK, SELECTION, "[V2G2-545]"),
    Row(SELECTION, "ServiceDetailReq", OK, SELECTION, "8.8.4"),
    Row(SELECTION, "PaymentServiceSelectionReq", "external payment", AUTHORIZATION, "[V2G2-551]"),
    Row(SELECTION, "PaymentServiceSelectionReq", "contract", CONTRACT, "[V2G2-551]"),
    Row(CONTRACT, "CertificateInstallationReq", OK, DETAILS, "[V2G2-557]"),
    Row(CONTRACT, "CertificateUpdateReq", OK, DETAILS, "[V2G2-554]"),
    Row(CONTRACT, "PaymentDetailsReq", OK, AUTHORIZATION, "[V2G2-560]"),
    Row(DETAILS, "PaymentDetailsReq", OK, AUTHORIZATION, "[V2G2-558]"),
    Row(AUTHORIZATION, "AuthorizationReq", "ongoing", AUTHORIZATION, "[V2G2-687]"),
    Row(AUTHORIZATION, "AuthorizationReq", "finished", PARAMETERS, "[V2G2-573]"),
    Row(PARAMETERS, "ChargeParameterDiscoveryReq", "ongoing", PARAMETERS, "[V2G2-688]"),
    Row(PARAMETERS, "ChargeParameterDiscoveryReq", "AC", READY_AC, "8.8.4"),
    Row(PARAMETERS, "ChargeParameterDiscoveryReq", "DC", CABLE_CHECK, "[V2G2-582]"),
    Row(PARAMETERS, "ChargeParameterDiscoveryReq", "DC renegotiated", READY_DC, "[V2G2-813]"),
    Row(CABLE_CHECK, "CableCheckReq", "ongoing", CABLE_CHECK, "[V2G2-621]"),
    Row(CABLE_CHECK, "CableCheckReq", "finished", PRE_CHARGE, "[V2G2-584]"),
    Row(PRE_CHARGE, "PreChargeReq", OK, PRE_CHARGED, "[V2G2-587]"),
    Row(PRE_CHARGED, "PreChargeReq", OK, PRE_CHARGED, "[V2G2-587]"),
    Row(PRE_CHARGED, "PowerDeliveryReq", "start", STARTED_DC, "[V2G2-590]"),
    Row(PRE_CHARGED, "PowerDeliveryReq", "stop", STOPPED_DC, "[V2G2-597]"),
    Row(PRE_CHARGED, "PowerDeliveryReq", "renegotiate", PARAMETERS, "[V2G2-813]"),
    Row(READY_DC, "CableCheckReq", "ongoing", CABLE_CHECK, "[V2G2-621]"),
    Row(READY_DC, "CableCheckReq", "finished", PRE_CHARGE, "[V2G2-584]"),
    Row(READY_DC, "PowerDeliveryReq", "start", STARTED_DC, "[V2G2-590]"),
    Row(READY_DC, "PowerDeliveryReq", "stop", STOPPED_DC, "[V2G2-597]"),
    Row(READY_DC, "PowerDeliveryReq", "renegotiate", PARAMETERS, "[V2G2-813]"),
    Row(READY_AC, "PowerDeliveryReq", "start", STARTED_AC, "8.8.4"),
    Row(READY_AC, "PowerDeliveryReq", "stop", STOPPED_AC, "8.8.4"),
    Row(READY_AC, "PowerDeliveryReq", "renegotiate", PARAMETERS, "[V2G2-813]"),
    Row(STARTED_AC, "ChargingStatusReq", "charging", CHARGING_AC, "8.8.4"),
    Row(STARTED_AC, "ChargingStatusReq", "receipt", RECEIPT_AC, "8.8.4"),
    Row(STARTED_AC, "PowerDeliveryReq", "stop", STOPPED_AC, "8.8.4"),
    Row(STARTED_AC, "PowerDeliveryReq", "renegotiate", PARAMETERS, "8.8.4"),
    Row(CHARGING_AC, "ChargingStatusReq", "charging", CHARGING_AC, "8.8.4"),
    Row(CHARGING_AC, "ChargingStatusReq", "receipt", RECEIPT_AC, "8.8.4"),
    Row(CHARGING_AC, "PowerDeliveryReq", "stop", STOPPED_AC, "8.8.4"),
    Row(CHARGING_AC, "PowerDeliveryReq", "renegotiate", PARAMETERS, "[V2G2-813]"),
    Row(RECEIPT_AC, "MeteringReceiptReq", OK, CHARGING_AC, "8.8.4"),
    Row(STARTED_DC, "CurrentDemandReq", "charging", CHARGING_DC, "[V2G2-590]"),
    Row(STARTED_DC, "CurrentDemandReq", "receipt", RECEIPT_DC, "[V2G2-795]"),
    Row(STARTED_DC, "PowerDeliveryReq", "stop", STOPPED_DC, "8.8.4"),
    Row(STARTED_DC, "PowerDeliveryReq", "renegotiate", PARAMETERS, "8.8.4"),
    Row(CHARGING_DC, "CurrentDemandReq", "charging", CHARGING_DC, "[V2G2-797]"),
    Row(CHARGING_DC, "CurrentDemandReq", "receipt", RECEIPT_DC, "[V2G2-795]"),
    Row(CHARGING_DC, "PowerDeliveryReq", "stop", STOPPED_DC, "[V2G2-597]"),
    Row(CHARGING_DC, "PowerDeliveryReq", "renegotiate", PARAMETERS, "[V2G2-813]"),
    Row(RECEIPT_DC, "MeteringReceiptReq", OK, CHARGING_DC, "[V2G2-797]"),
    Row(STOPPED_DC, "WeldingDetectionReq", OK, STOPPED_DC, "[V2G2-601]"),
    *(Row(state, "SessionStopReq", OK, END, "8.8.4") for state in STOPPABLE),
    *(Row(state, "SessionStopReq", OK, END, "vw-ac-iso2") for state in STOPPED_WITHOUT_POWER_DELIVERY),
)

ISO2_STATION = StateTable(ROWS)
