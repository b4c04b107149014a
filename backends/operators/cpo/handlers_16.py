"""What the CSMS does with the calls of an OCPP 1.6-J station, with those of 2.0.1 inside of DataTransfer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from backends.operators.cpo import handlers_201
from backends.operators.cpo.authorisation import Identification
from backends.operators.cpo.csms import Csms, moment
from backends.operators.cpo.frames import Call, FrameError, Version, check_call
from backends.operators.cpo.handlers_201 import Handler, Payload
from backends.operators.cpo.ledger import Effect
from backends.operators.cpo.link import StationLink
from backends.operators.cpo.signed_values import signed_values_16
from ports.authorisation import AuthorisationStatus
from v2g.identifiers import EMAID

PNC_VENDOR = "org.openchargealliance.iso15118pnc"  # OCA application note, Plug & Charge with OCPP 1.6
# a UID of 4, 7 or 10 octets; an EMAID may look like one
_TAG_FORMS = (("ISO14443", re.compile("[0-9A-Fa-f]{8}|[0-9A-Fa-f]{14}|[0-9A-Fa-f]{20}")), ("EMAID", EMAID))
MAX_DATA = 64 * 1024  # characters of a DataTransfer
# the statuses that 1.6 knows (AuthorizationStatus); everything else is Invalid
_STATUSES = frozenset({"Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx"})
# messages of 2.0.1 that a station may wrap
_WRAPPED: Mapping[str, Handler] = MappingProxyType(
    {
        "Authorize": handlers_201.authorize,
        "Get15118EVCertificate": handlers_201.get_15118_ev_certificate,
        "GetCertificateStatus": handlers_201.get_certificate_status,
        "SignCertificate": handlers_201.sign_certificate,
    }
)


async def status_notification(csms: Csms, link: StationLink, payload: Payload) -> Payload:
    """A connector (0: the station) has another status."""
    detail = " ".join(payload[name] for name in ("errorCode", "info", "vendorErrorCode") if payload.get(name))
    at = moment(payload["timestamp"]) if "timestamp" in payload else csms.now()
    number = payload["connectorId"]
    await csms.stations.connector(link.station, number, min(number, 1), payload["status"], detail, at)
    return {}


async def authorize(csms: Csms, link: StationLink, payload: Payload) -> Payload:
    """May somebody charge?"""
    _, info = await _authorised(csms, link, payload["idTag"], 1, kept=False)
    return {"idTagInfo": info}


async def start_transaction(csms: Csms, link: StationLink, payload: Payload) -> Payload:
    """A transaction began; the CPO numbers it. The same content is the same transaction, whatever the message id."""
    number = payload["connectorId"]
    likeliest = identifications(csms, link, payload["idTag"], number)[0]
    effect = Effect(
        station=link.station,
        version=link.version.value,
        action="StartTransaction",
        payload=payload,
        evse=number,
        connector=1,
        id_token=likeliest.id,
        id_type=likeliest.id_type,
        began=moment(payload["timestamp"]),
    )
    known = await csms.transactions.repeated(effect)
    if known is not None:
        return known
    asked, info = await _authorised(csms, link, payload["idTag"], number, kept=True)
    return await csms.transactions.take(
        replace(effect, id_type=asked.id_type),
        (),
        lambda transaction_id: {"transactionId": int(transaction_id), "idTagInfo": info},
    )


async def meter_values(csms: Csms, link: StationLink, payload: Payload) -> Payload:
    """Readings; those of a transaction may be signed."""
    if "transactionId" not in payload:
        await csms.transactions.keep_records(link.station, signed_values_16(payload["meterValue"]))
        return {}
    effect = Effect(
        station=link.station,
        version=link.version.value,
        action="MeterValues",
        payload=payload,
        transaction_id=str(payload["transactionId"]),
        evse=payload["connectorId"],
    )
    known = await csms.transactions.repeated(effect)
    if known is not None:
        return known
    return await csms.transactions.take(effect, signed_values_16(payload["meterValue"]), lambda _id: {})


async def stop_transaction(csms: Csms, link: StationLink, payload: Payload) -> Payload:
    """A transaction ended."""
    tag = payload.get("idTag")
    effect = Effect(
        station=link.station,
        version=link.version.value,
        key=f"stop:{payload['transactionId']}",
        action="StopTransaction",
        payload=payload,
        transaction_id=str(payload["transactionId"]),
        ended=moment(payload["timestamp"]),
        stop_reason=payload.get("reason", "Local"),  # OCPP 1.6 4.10: left out = Local
    )
    known = await csms.transactions.repeated(effect)
    if known is not None:
        return known
    said: dict[str, Any] = {}
    if tag:
        _, said["idTagInfo"] = await _authorised(csms, link, tag, 1, kept=True)
    return await csms.transactions.take(effect, signed_values_16(payload.get("transactionData", ())), lambda _id: said)


async def data_transfer(csms: Csms, link: StationLink, payload: Payload) -> Payload:
    """Plug & Charge messages of 2.0.1 as JSON text."""
    if payload["vendorId"] != PNC_VENDOR:
        return {"status": "UnknownVendorId"}
    handler = _WRAPPED.get(payload.get("messageId", ""))
    if handler is None:
        return {"status": "UnknownMessageId"}
    try:
        data = payload.get("data", "")
        content = json.loads(data) if len(data) <= MAX_DATA else None
        if not isinstance(content, dict):
            return {"status": "Rejected"}
        if payload["messageId"] == "SignCertificate":
            content.setdefault("certificateType", "V2GCertificate")
        check_call(Call("wrapped", payload["messageId"], content), Version.V201)
    except (ValueError, RecursionError, FrameError):
        return {"status": "Rejected"}
    said = await handler(csms, link, content)
    return {"status": "Accepted", "data": json.dumps(said, separators=(",", ":"))}


HANDLERS: Mapping[str, Handler] = {
    "Authorize": authorize,
    "BootNotification": handlers_201.boot_notification,
    "DataTransfer": data_transfer,
    "DiagnosticsStatusNotification": handlers_201.noted,
    "FirmwareStatusNotification": handlers_201.noted,
    "Heartbeat": handlers_201.heartbeat,
    "LogStatusNotification": handlers_201.noted,
    "MeterValues": meter_values,
    "SecurityEventNotification": handlers_201.security_event_notification,
    "SignCertificate": handlers_201.sign_certificate,
    "SignedFirmwareStatusNotification": handlers_201.noted,
    "StartTransaction": start_transaction,
    "StatusNotification": status_notification,
    "StopTransaction": stop_transaction,
}


def identifications(csms: Csms, link: StationLink, tag: str, connector: int) -> Sequence[Identification]:
    """What an idTag may be, the likeliest first: 1.6 does not say it."""
    kinds = [kind for kind, form in _TAG_FORMS if form.fullmatch(tag)] or ["CENTRAL"]
    evse_id = csms.account(link.station).evse_id(connector)
    return [Identification(link.station, evse_id, tag, kind) for kind in kinds]


async def _authorised(
    csms: Csms, link: StationLink, tag: str, connector: int, *, kept: bool
) -> tuple[Identification, Mapping[str, str]]:
    """Which of them somebody knows (else the likeliest), and its IdTagInfo. kept: an answer from before will do."""
    ask = csms.authorisation.of_transaction if kept else csms.authorisation.authorise
    found = identifications(csms, link, tag, connector)
    for asked in found:
        answer = await ask(asked)
        if answer.status is not AuthorisationStatus.UNKNOWN:
            return asked, _info(answer.status)
    return found[0], _info(AuthorisationStatus.UNKNOWN)


def _info(status: AuthorisationStatus) -> Mapping[str, str]:
    return {"status": status.value if status.value in _STATUSES else AuthorisationStatus.INVALID.value}
