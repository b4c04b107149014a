"""Requests of OCPP 2.0.1 as data: pure functions."""

from __future__ import annotations

import uuid
from typing import Any

from backend_client.ocpp.dialect import NAMESPACE
from backend_client.ocpp.record_facts import BEGIN, END, RecordFacts, Value
from backend_client.ocpp.state_file import KnownTransaction
from ocmf.terms import TX_ENDS, Tx
from ports.errors import PeerError
from ports.station import ChargingState, StationIdentity

MAX_ID_TOKEN = 36  # IdTokenType
MAX_TRANSACTION_ID = 36  # TransactionType

# OCMF table 17 -> IdTokenEnumType; what is not listed has no better word than Local
ID_TYPES = {
    "ISO14443": "ISO14443",
    "ISO15693": "ISO15693",
    "EMAID": "eMAID",
    "EVCCID": "MacAddress",
    "KEY_CODE": "KeyCode",
    "CENTRAL": "Central",
    "CENTRAL_1": "Central",
    "CENTRAL_2": "Central",
}
OCMF_TYPES = {
    "ISO14443": "ISO14443",
    "ISO15693": "ISO15693",
    "eMAID": "EMAID",
    "MacAddress": "EVCCID",
    "KeyCode": "KEY_CODE",
    "Central": "CENTRAL",
    "Local": "LOCAL",
    "NoAuthorization": "NONE",
}

# OCMF TX of an end -> (TriggerReasonEnumType, ReasonEnumType)
END_REASONS = {
    Tx.END: ("EVDeparted", "EVDisconnected"),
    Tx.END_LOCAL: ("StopAuthorized", "Local"),
    Tx.END_REMOTE: ("RemoteStop", "Remote"),
    Tx.ABORT: ("AbnormalCondition", "Other"),
    Tx.POWER_FAILURE: ("AbnormalCondition", "PowerLoss"),
}
DEAUTHORISED = ("Deauthorized", "DeAuthorized")
UPDATE_TRIGGERS = {"Sample.Clock": "MeterValueClock", "Sample.Periodic": "MeterValuePeriodic"}
CHARGING_STATES = {
    Tx.BEGIN: ChargingState.CONNECTED,
    Tx.CHARGING: ChargingState.CHARGING,
    Tx.SUSPENDED: ChargingState.SUSPENDED_EV,
    Tx.END: ChargingState.IDLE,
}


def transaction_id(ours: str) -> str:
    """Ours where it fits, else a UUID that is made from it."""
    return ours if len(ours) <= MAX_TRANSACTION_ID else str(uuid.uuid5(NAMESPACE, ours))


def id_token(id: str, id_type: str) -> dict[str, str]:  # noqa: A002 - the standard's name
    """IdTokenType. Raises PeerError for an identification that is too long."""
    if len(id) > MAX_ID_TOKEN:
        raise PeerError(f"the identification has {len(id)} characters, OCPP 2.0.1 allows {MAX_ID_TOKEN}")
    if not id:
        return {"idToken": "", "type": "NoAuthorization"}
    return {"idToken": id, "type": ID_TYPES.get(id_type, "Local")}


def boot(identity: StationIdentity, reason: str) -> dict[str, Any]:
    """BootNotification; what is too long for its field is cut."""
    station = {
        "vendorName": identity.vendor[:50],
        "model": identity.model[:20],
        "serialNumber": identity.serial_number[:25],
        "firmwareVersion": identity.firmware[:50],
    }
    return {"reason": reason, "chargingStation": {key: text for key, text in station.items() if text}}


def meter_value(value: Value, context: str, signature: dict[str, Any]) -> dict[str, Any]:
    """MeterValueType with one sample; `signature`: what is added to it, {} for an unsigned value."""
    sample = {
        "value": value.value,
        "context": context,
        "measurand": "Energy.Active.Import.Register",
        "location": "Outlet",
        "unitOfMeasure": {"unit": value.unit},
    }
    return {"timestamp": value.timestamp, "sampledValue": [sample | signature]}


def transaction_event(
    facts: RecordFacts, known: KnownTransaction, meter_values: list[dict[str, Any]], *, offline: bool
) -> dict[str, Any]:
    """TransactionEvent about one record."""
    record, tx = facts.record, Tx(facts.value.tx)
    info: dict[str, Any] = {"transactionId": transaction_id(record.transaction_id)}
    state = CHARGING_STATES.get(tx)
    if state is not None:
        info["chargingState"] = state.value
    event = {"eventType": "Updated", "triggerReason": UPDATE_TRIGGERS.get(record.context, "MeterValuePeriodic")}
    if record.context == BEGIN:
        remote = known.remote_start_id is not None
        event = {"eventType": "Started", "triggerReason": "RemoteStart" if remote else "Authorized"}
        if remote:
            info["remoteStartId"] = known.remote_start_id
    elif record.context == END or tx in TX_ENDS:
        event["eventType"] = "Ended"
        told = DEAUTHORISED if known.deauthorised and tx is Tx.END_REMOTE else END_REASONS.get(tx)
        event["triggerReason"], info["stoppedReason"] = told or END_REASONS[Tx.ABORT]
    elif tx in {Tx.SUSPENDED, Tx.EXCEPTION}:
        event["triggerReason"] = "ChargingStateChanged" if tx is Tx.SUSPENDED else "AbnormalCondition"
    message: dict[str, Any] = event | {
        "timestamp": facts.value.timestamp,
        "seqNo": facts.number,
        "offline": offline,
        "transactionInfo": info,
        "evse": {"id": facts.connector, "connectorId": 1},
        "meterValue": meter_values,
    }
    if record.context == BEGIN or tx is Tx.END_LOCAL:
        message["idToken"] = id_token(facts.user_id, facts.id_type)
    return message
