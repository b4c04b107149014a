"""The device model as NotifyReport messages: pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from backend_client.ocpp.variables import TABLE, Access, Variable, Variables

PER_MESSAGE = 20


def report_pages(variables: Variables, request_id: int, now: str) -> Iterator[dict[str, Any]]:
    """NotifyReport payloads with all variables of 2.0.1."""
    shown = [variable for variable in TABLE if variable.component]
    for number, at in enumerate(range(0, len(shown), PER_MESSAGE)):
        yield {
            "requestId": request_id,
            "generatedAt": now,
            "seqNo": number,
            "tbc": at + PER_MESSAGE < len(shown),
            "reportData": [_entry(variables, variable) for variable in shown[at : at + PER_MESSAGE]],
        }


def _entry(variables: Variables, variable: Variable) -> dict[str, Any]:
    attribute = {"mutability": variable.access.value}
    if variable.access is not Access.WRITE_ONLY:
        attribute["value"] = variables.value(variable)[:2500]
    return {
        "component": {"name": variable.component},
        "variable": {"name": variable.name} | ({"instance": variable.instance} if variable.instance else {}),
        "variableAttribute": [attribute],
        "variableCharacteristics": {"dataType": _data_type(variables.value(variable)), "supportsMonitoring": False},
    }


def _data_type(value: str) -> str:
    """DataEnumType, as far as a value shows it."""
    if value in {"true", "false"}:
        return "boolean"
    return "integer" if value.isdecimal() else "string"
