"""What a CSMS may ask for in OCPP 1.6: action -> handler."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from backend_client.ocpp.certificate_requests import certificate_handlers
from backend_client.ocpp.contracts import VENDOR_ID_16
from backend_client.ocpp.desk import Desk
from backend_client.ocpp.frames import Payload
from backend_client.ocpp.requests import Answer, Handler, status
from backend_client.ocpp.schemas import SchemaError, check
from backend_client.ocpp.settings import Version
from backend_client.ocpp.variables import Access, SetResult

# security whitepaper -> InstallCertificateUseEnumType of 2.0.1
_ROOTS = {"CentralSystemRootCertificate": "CSMSRootCertificate"}
_TRIGGERS = {"SignChargePointCertificate": "SignChargingStationCertificate"}
_EMAID = re.compile(r"[A-Za-z]{2}-?[A-Za-z0-9]{3}-?[A-Za-z0-9]{9}-?[A-Za-z0-9]?")
_UID = re.compile(r"([0-9A-Fa-f]{8}|[0-9A-Fa-f]{14}|[0-9A-Fa-f]{20})")


def handlers_16(desk: Desk) -> dict[str, Handler]:
    """The table."""
    return _operation(desk) | _configuration(desk) | _certificates(desk)


def id_type(id_tag: str) -> str:
    """OCMF's word for an idTag, which says nothing about its kind: a UID, an EMAID, or what the CSMS made up."""
    if _UID.fullmatch(id_tag):
        return "ISO14443"
    return "EMAID" if _EMAID.fullmatch(id_tag) else "CENTRAL"


def _operation(desk: Desk) -> dict[str, Handler]:
    async def start(request: Payload) -> Answer:
        tag = request["idTag"]
        given = await desk.start(request.get("connectorId"), tag, id_type(tag), None)
        return status("Accepted" if given.accepted else "Rejected")

    async def stop(request: Payload) -> Answer:
        given = await desk.stop(desk.running_16(request["transactionId"]))
        return status("Accepted" if given.accepted else "Rejected")

    async def trigger(request: Payload) -> Answer:
        message: str = request["requestedMessage"]
        return desk.trigger(_TRIGGERS.get(message, message), request.get("connectorId") or None)

    async def reset(request: Payload) -> Answer:
        outcome = await desk.reset(request["type"])
        return status("Rejected" if outcome == "Rejected" else "Accepted")

    async def unlock(request: Payload) -> Answer:
        word = await desk.unlock(request["connectorId"])
        return status({"Unlocked": "Unlocked", "UnknownConnector": "NotSupported"}.get(word, "UnlockFailed"))

    async def availability(request: Payload) -> Answer:
        number = request["connectorId"] or None  # 0 is the whole station
        return status((await desk.change_availability(number, request["type"] == "Operative")).value)

    async def clear_cache(_: Payload) -> Answer:
        return status("Rejected")

    async def list_version(_: Payload) -> Answer:
        return Answer({"listVersion": -1})  # 1.6, 5.10: there is no local list to be managed

    return {
        "RemoteStartTransaction": start,
        "RemoteStopTransaction": stop,
        "TriggerMessage": trigger,
        "ExtendedTriggerMessage": trigger,
        "Reset": reset,
        "UnlockConnector": unlock,
        "ChangeAvailability": availability,
        "ClearCache": clear_cache,
        "GetLocalListVersion": list_version,
    }


def _configuration(desk: Desk) -> dict[str, Handler]:
    variables = desk.variables

    async def get(request: Payload) -> Answer:
        keys = request.get("key") or []
        known = [(key, variables.find_key(key)) for key in keys]
        shown = [variable for _, variable in known if variable is not None] if keys else variables.keys()
        entries = []
        for variable in shown:
            entry: dict[str, Any] = {"key": variable.key, "readonly": variable.access is Access.READ_ONLY}
            if variable.access is not Access.WRITE_ONLY:
                entry["value"] = variables.value(variable)[:500]
            entries.append(entry)
        unknown = [key for key, variable in known if variable is None]
        return Answer({"configurationKey": entries, **({"unknownKey": unknown} if unknown else {})})

    async def change(request: Payload) -> Answer:
        variable = variables.find_key(request["key"])
        if variable is None:
            return status("NotSupported")
        accepted = await variables.set(variable, request["value"]) is SetResult.ACCEPTED
        return status("Accepted" if accepted else "Rejected")

    return {"GetConfiguration": get, "ChangeConfiguration": change}


def _certificates(desk: Desk) -> dict[str, Handler]:
    """Those of the security whitepaper, and those for ISO 15118 in DataTransfer."""
    inner = certificate_handlers(desk)

    async def trigger(request: Payload) -> Answer:
        return desk.trigger(request["requestedMessage"], request.get("evse", {}).get("id"))

    wrapped = inner | {"TriggerMessage": trigger}

    async def install(request: Payload) -> Answer:
        kind = request["certificateType"]
        return _bare(await inner["InstallCertificate"]({**request, "certificateType": _ROOTS.get(kind, kind)}))

    async def installed(request: Payload) -> Answer:
        kind = request["certificateType"]
        given = await inner["GetInstalledCertificateIds"]({"certificateType": [_ROOTS.get(kind, kind)]})
        hashes = [chain["certificateHashData"] for chain in given.payload.get("certificateHashDataChain", ())]
        return Answer({"status": given.payload["status"], **({"certificateHashData": hashes} if hashes else {})})

    async def delete(request: Payload) -> Answer:
        return _bare(await inner["DeleteCertificate"](request))

    async def signed(request: Payload) -> Answer:
        return _bare(await inner["CertificateSigned"](request))

    async def data_transfer(request: Payload) -> Answer:
        if request["vendorId"] != VENDOR_ID_16:
            return status("UnknownVendorId")
        action = request.get("messageId", "")
        handler = wrapped.get(action)
        if handler is None:
            return status("UnknownMessageId")
        try:
            body = json.loads(request.get("data", ""))
            check(Version.V201, action, body)
        except (SchemaError, ValueError, RecursionError):
            return status("Rejected")
        given = await handler(body)
        return Answer({"status": "Accepted", "data": msgspec.json.encode(given.payload).decode()}, given.then)

    return {
        "InstallCertificate": install,
        "GetInstalledCertificateIds": installed,
        "DeleteCertificate": delete,
        "CertificateSigned": signed,
        "DataTransfer": data_transfer,
    }


def _bare(given: Answer) -> Answer:
    """1.6 has no StatusInfoType."""
    return Answer({"status": given.payload["status"]}, given.then)
