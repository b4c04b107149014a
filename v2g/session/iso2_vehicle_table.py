"""What a vehicle of ISO 15118-2 sends after each answer (8.8.4).

A state is the request in flight; the outcome is what the vehicle makes of the answer.
"""

from __future__ import annotations

from v2g.session.state_table import OK, Row, StateTable

START = "PowerDeliveryReq Start"
HALT = "PowerDeliveryReq Stop"
RENEGOTIATION = "PowerDeliveryReq Renegotiate"
TERMINATE = "SessionStopReq Terminate"
PAUSE = "SessionStopReq Pause"
END = "end"

# before energy flows a vehicle may give up between any two requests
EARLY = {
    "ServiceDiscoveryReq": "ServiceDiscoveryRes",
    "ServiceDetailReq": "ServiceDetailRes",
    "PaymentServiceSelectionReq": "PaymentServiceSelectionRes",
    "PaymentDetailsReq": "PaymentDetailsRes",
    "AuthorizationReq": "AuthorizationRes",
    "ChargeParameterDiscoveryReq": "ChargeParameterDiscoveryRes",
    "CableCheckReq": "CableCheckRes",
    "PreChargeReq": "PreChargeRes",
}

ROWS = (
    Row("SessionSetupReq", "SessionSetupRes", OK, "ServiceDiscoveryReq", "[V2G2-543]"),
    Row("ServiceDiscoveryReq", "ServiceDiscoveryRes", "detail", "ServiceDetailReq", "[V2G2-545]"),
    Row("ServiceDiscoveryReq", "ServiceDiscoveryRes", "select", "PaymentServiceSelectionReq", "[V2G2-545]"),
    Row("ServiceDetailReq", "ServiceDetailRes", "detail", "ServiceDetailReq", "8.8.4"),
    Row("ServiceDetailReq", "ServiceDetailRes", "select", "PaymentServiceSelectionReq", "8.8.4"),
    Row(
        "PaymentServiceSelectionReq", "PaymentServiceSelectionRes", "external payment", "AuthorizationReq", "[V2G2-551]"
    ),
    Row("PaymentServiceSelectionReq", "PaymentServiceSelectionRes", "contract", "PaymentDetailsReq", "[V2G2-551]"),
    Row(
        "PaymentServiceSelectionReq",
        "PaymentServiceSelectionRes",
        "install",
        "CertificateInstallationReq",
        "[V2G2-551]",
    ),
    Row("PaymentServiceSelectionReq", "PaymentServiceSelectionRes", "update", "CertificateUpdateReq", "[V2G2-551]"),
    Row("CertificateInstallationReq", "CertificateInstallationRes", OK, "PaymentDetailsReq", "[V2G2-557]"),
    Row("CertificateUpdateReq", "CertificateUpdateRes", OK, "PaymentDetailsReq", "[V2G2-554]"),
    Row("PaymentDetailsReq", "PaymentDetailsRes", OK, "AuthorizationReq", "[V2G2-560]"),
    Row("AuthorizationReq", "AuthorizationRes", "ongoing", "AuthorizationReq", "[V2G2-687]"),
    Row("AuthorizationReq", "AuthorizationRes", "finished", "ChargeParameterDiscoveryReq", "[V2G2-573]"),
    Row(
        "ChargeParameterDiscoveryReq",
        "ChargeParameterDiscoveryRes",
        "ongoing",
        "ChargeParameterDiscoveryReq",
        "[V2G2-688]",
    ),
    Row("ChargeParameterDiscoveryReq", "ChargeParameterDiscoveryRes", "AC", START, "8.8.4"),
    Row("ChargeParameterDiscoveryReq", "ChargeParameterDiscoveryRes", "DC", "CableCheckReq", "[V2G2-582]"),
    Row("ChargeParameterDiscoveryReq", "ChargeParameterDiscoveryRes", "DC renegotiated", START, "[V2G2-813]"),
    Row("CableCheckReq", "CableCheckRes", "ongoing", "CableCheckReq", "[V2G2-621]"),
    Row("CableCheckReq", "CableCheckRes", "finished", "PreChargeReq", "[V2G2-584]"),
    Row("PreChargeReq", "PreChargeRes", "adjusting", "PreChargeReq", "[V2G2-587]"),
    Row("PreChargeReq", "PreChargeRes", "reached", START, "[V2G2-587]"),
    Row(START, "PowerDeliveryRes", "AC", "ChargingStatusReq", "8.8.4"),
    Row(START, "PowerDeliveryRes", "DC", "CurrentDemandReq", "[V2G2-590]"),
    Row(HALT, "PowerDeliveryRes", "AC", TERMINATE, "8.8.4"),
    Row(HALT, "PowerDeliveryRes", "AC pause", PAUSE, "8.8.4"),
    Row(HALT, "PowerDeliveryRes", "DC", "WeldingDetectionReq", "[V2G2-597]"),
    Row(RENEGOTIATION, "PowerDeliveryRes", OK, "ChargeParameterDiscoveryReq", "[V2G2-813]"),
    Row("ChargingStatusReq", "ChargingStatusRes", "charge", "ChargingStatusReq", "8.8.4"),
    Row("ChargingStatusReq", "ChargingStatusRes", "receipt", "MeteringReceiptReq", "[V2G2-691]"),
    Row("ChargingStatusReq", "ChargingStatusRes", "stop", HALT, "8.8.4"),
    Row("ChargingStatusReq", "ChargingStatusRes", "renegotiate", RENEGOTIATION, "[V2G2-813]"),
    Row("CurrentDemandReq", "CurrentDemandRes", "charge", "CurrentDemandReq", "[V2G2-797]"),
    Row("CurrentDemandReq", "CurrentDemandRes", "receipt", "MeteringReceiptReq", "[V2G2-795]"),
    Row("CurrentDemandReq", "CurrentDemandRes", "stop", HALT, "[V2G2-597]"),
    Row("CurrentDemandReq", "CurrentDemandRes", "renegotiate", RENEGOTIATION, "[V2G2-813]"),
    Row("MeteringReceiptReq", "MeteringReceiptRes", "AC", "ChargingStatusReq", "8.8.4"),
    Row("MeteringReceiptReq", "MeteringReceiptRes", "DC", "CurrentDemandReq", "[V2G2-797]"),
    Row("MeteringReceiptReq", "MeteringReceiptRes", "stop", HALT, "8.8.4"),
    Row("MeteringReceiptReq", "MeteringReceiptRes", "renegotiate", RENEGOTIATION, "[V2G2-813]"),
    Row("WeldingDetectionReq", "WeldingDetectionRes", "again", "WeldingDetectionReq", "[V2G2-601]"),
    Row("WeldingDetectionReq", "WeldingDetectionRes", "terminate", TERMINATE, "[V2G2-601]"),
    Row("WeldingDetectionReq", "WeldingDetectionRes", "pause", PAUSE, "[V2G2-601]"),
    Row(TERMINATE, "SessionStopRes", OK, END, "8.8.4"),
    Row(PAUSE, "SessionStopRes", OK, END, "8.8.4"),
    *(Row(request, answer, "give up", TERMINATE, "8.8.4") for request, answer in EARLY.items()),
    *(Row(request, answer, "give up, pause", PAUSE, "8.8.4") for request, answer in EARLY.items()),
)

ISO2_VEHICLE = StateTable(ROWS)
