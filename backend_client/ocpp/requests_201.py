"""What a CSMS may ask for in OCPP 2.0.1: action -> handler."""

from __future__ import annotations

from typing import Any

from backend_client.ocpp.certificate_requests import certificate_handlers
from backend_client.ocpp.desk import Desk
from backend_client.ocpp.frames import Payload
from backend_client.ocpp.messages_201 import OCMF_TYPES, transaction_id
from backend_client.ocpp.requests import Answer, Handler, RequestError, status
from backend_client.ocpp.variables import MAX_VALUES, Access, SetResult, Variable


def handlers_201(desk: Desk) -> dict[str, Handler]:
    """The table."""
    return certificate_handlers(desk) | _device_model(desk) | _operation(desk)


def _operation(desk: Desk) -> dict[str, Handler]:
    async def start(request: Payload) -> Answer:
        token = request["idToken"]
        id_type = OCMF_TYPES[token["type"]]
        given = await desk.start(request.get("evseId"), token["idToken"], id_type, request["remoteStartId"])
        if not given.accepted:
            return status("Rejected", "Refused", given.detail)
        begun = {"transactionId": transaction_id(given.transaction_id)} if given.transaction_id else {}
        return Answer({"status": "Accepted", **begun})

    async def stop(request: Payload) -> Answer:
        given = await desk.stop(desk.running(request["transactionId"]))
        return status("Accepted") if given.accepted else status("Rejected", "Refused", given.detail)

    async def transaction_state(request: Payload) -> Answer:
        theirs = request.get("transactionId")
        waiting = [known for known in desk.state.transactions.values() if not known.ended]
        if theirs is None:
            return Answer({"messagesInQueue": bool(waiting)})
        runs = desk.running(theirs) is not None
        return Answer({"messagesInQueue": not runs and desk.is_waiting(theirs), "ongoingIndicator": runs})

    async def trigger(request: Payload) -> Answer:
        return desk.trigger(request["requestedMessage"], request.get("evse", {}).get("id"))

    async def reset(request: Payload) -> Answer:
        outcome = await desk.reset(request["type"])
        return status(outcome.value)

    async def unlock(request: Payload) -> Answer:
        return status(await desk.unlock(request["evseId"]) if request["connectorId"] == 1 else "UnknownConnector")

    async def availability(request: Payload) -> Answer:
        number = request.get("evse", {}).get("id")
        return status((await desk.change_availability(number, request["operationalStatus"] == "Operative")).value)

    async def network_profile(_: Payload) -> Answer:
        return status("Rejected", "NotEnabled", "where and how securely to connect is set at the station")  # A00.FR.005

    async def clear_cache(_: Payload) -> Answer:
        return status("Rejected", "NotEnabled", "there is no authorisation cache")

    async def list_version(_: Payload) -> Answer:
        return Answer({"versionNumber": 0})

    async def data_transfer(_: Payload) -> Answer:
        return status("UnknownVendorId")

    return {
        "RequestStartTransaction": start,
        "RequestStopTransaction": stop,
        "GetTransactionStatus": transaction_state,
        "TriggerMessage": trigger,
        "Reset": reset,
        "UnlockConnector": unlock,
        "ChangeAvailability": availability,
        "SetNetworkProfile": network_profile,
        "ClearCache": clear_cache,
        "GetLocalListVersion": list_version,
        "DataTransfer": data_transfer,
    }


def _device_model(desk: Desk) -> dict[str, Handler]:
    variables = desk.variables

    def found(item: Payload) -> Variable | SetResult:
        component, variable = item["component"], item["variable"]
        if not variables.has_component(component["name"]):
            return SetResult.UNKNOWN_COMPONENT
        if item.get("attributeType", "Actual") != "Actual":
            return SetResult.UNSUPPORTED_ATTRIBUTE
        instance = variable.get("instance", str(component.get("evse", {}).get("id", "")))
        return variables.find(component["name"], variable["name"], instance) or SetResult.UNKNOWN_VARIABLE

    def result(item: Payload, word: str) -> dict[str, Any]:
        kept = {key: item[key] for key in ("component", "variable", "attributeType") if key in item}
        return kept | {"attributeStatus": word}

    async def get(request: Payload) -> Answer:
        results = []
        for item in _limited(request["getVariableData"]):
            variable = found(item)
            if isinstance(variable, SetResult):
                results.append(result(item, variable.value))
            elif variable.access is Access.WRITE_ONLY:
                results.append(result(item, "Rejected"))
            else:
                results.append(result(item, "Accepted") | {"attributeValue": variables.value(variable)})
        return Answer({"getVariableResult": results})

    async def set_(request: Payload) -> Answer:
        results = []
        for item in _limited(request["setVariableData"]):
            variable = found(item)
            word = (
                variable if isinstance(variable, SetResult) else await variables.set(variable, item["attributeValue"])
            )
            results.append(result(item, word.value))
        return Answer({"setVariableResult": results})

    async def base_report(request: Payload) -> Answer:
        if request["reportBase"] == "SummaryInventory":
            return status("NotSupported")
        return Answer({"status": "Accepted"}, desk.report(request["requestId"]))

    return {"GetVariables": get, "SetVariables": set_, "GetBaseReport": base_report}


def _limited(items: list[Any]) -> list[Any]:
    if len(items) > MAX_VALUES:
        raise RequestError("OccurrenceConstraintViolation", f"{len(items)} variables, {MAX_VALUES} are allowed")
    return items
