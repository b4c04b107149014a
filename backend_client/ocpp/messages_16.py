"""Requests of OCPP 1.6 as data: pure functions."""

from __future__ import annotations

from typing import Any

import msgspec

from backend_client.ocpp.record_facts import Value
from ocmf.terms import Tx
from ports.errors import PeerError
from ports.station import Availability, ChargingState, ConnectorNews, StationIdentity

MAX_ID_TAG = 20  # 1.6, IdToken

END_REASONS = {
    Tx.END: "EVDisconnected",
    Tx.END_LOCAL: "Local",
    Tx.END_REMOTE: "Remote",
    Tx.ABORT: "Other",
    Tx.POWER_FAILURE: "PowerLoss",
}
STATUSES = {
    Availability.AVAILABLE: "Available",
    Availability.RESERVED: "Reserved",
    Availability.UNAVAILABLE: "Unavailable",
    Availability.FAULTED: "Faulted",
}
OCCUPIED = {
    ChargingState.IDLE: "Preparing",
    ChargingState.CONNECTED: "Preparing",
    ChargingState.CHARGING: "Charging",
    ChargingState.SUSPENDED_EV: "SuspendedEV",
    ChargingState.SUSPENDED_EVSE: "SuspendedEVSE",
}
CHARGED = frozenset({ChargingState.CHARGING, ChargingState.SUSPENDED_EV, ChargingState.SUSPENDED_EVSE})
# ports.charge_control.ControlFault -> ChargePointErrorCode; all others are OtherError with their own name
ERROR_CODES = {
    "EVSEContactorFault": "PowerSwitchFailure",
    "GroundFailure": "GroundFailure",
    "OverCurrentFailure": "OverCurrentFailure",
    "HighTemperature": "HighTemperature",
    "ConnectorLockFailure": "ConnectorLockFailure",
    "PowerLoss": "UnderVoltage",
    "CommunicationFault": "InternalError",
}


def id_tag(id: str) -> str:  # noqa: A002 - the standard's name
    """Raises PeerError for an identification that is too long."""
    if len(id) > MAX_ID_TAG:
        raise PeerError(f"the identification has {len(id)} characters, an idTag of OCPP 1.6 {MAX_ID_TAG}")
    return id


def boot(identity: StationIdentity) -> dict[str, Any]:
    """BootNotification; what is too long for its field is cut."""
    fields = {
        "chargePointVendor": identity.vendor[:20],
        "chargePointModel": identity.model[:20],
        "chargePointSerialNumber": identity.serial_number[:25],
        "firmwareVersion": identity.firmware[:50],
    }
    return {key: text for key, text in fields.items() if text}


def connector_status(news: ConnectorNews) -> dict[str, Any]:
    """StatusNotification without its time."""
    fault = news.faults[0] if news.faults else ""
    status: dict[str, Any] = {
        "connectorId": news.number,
        "status": STATUSES.get(news.availability) or OCCUPIED[news.charging],
        "errorCode": ERROR_CODES.get(fault, "OtherError") if fault else "NoError",
    }
    return status | ({"vendorErrorCode": fault[:50], "info": ", ".join(news.faults)[:50]} if fault else {})


def raw_sample(value: Value, context: str) -> dict[str, Any]:
    """SampledValue without a signature, for a CSMS that cannot read the signed one."""
    return {"value": str(value.value), "format": "Raw", "unit": value.unit} | _common(context)


def signed_sample(signed: dict[str, Any], context: str) -> dict[str, Any]:
    """SampledValue whose value is the signed value as JSON (OCA note on signed meter values, chapter 3)."""
    return {"value": msgspec.json.encode(signed).decode(), "format": "SignedData"} | _common(context)


def _common(context: str) -> dict[str, Any]:
    return {"context": context, "measurand": "Energy.Active.Import.Register", "location": "Outlet"}


def meter_value(value: Value, samples: list[dict[str, Any]]) -> dict[str, Any]:
    """MeterValue."""
    return {"timestamp": value.timestamp, "sampledValue": samples}
