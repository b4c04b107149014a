"""What the events of a run tell beside the V2G messages: one row for each kind of event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hil_rigs.evidence.event_hash import Event
from hil_rigs.story.step import Lane, Step

Data = Mapping[str, Any]
Tell = Callable[[Event], Step | None]


def _step(
    sender: Lane,
    receiver: Lane,
    protocol: str,
    text: Callable[[Data], str],
    remark: Callable[[Data], str] | None = None,
) -> Tell:
    def tell(event: Event) -> Step:
        said = text(event.data)
        note = remark(event.data) if remark is not None else ""
        return Step(event.at, event.source, sender, receiver, said, protocol, note, event.data)

    return tell


def _ocpp(event: Event) -> Step | None:
    """[2, id, action, payload], [3, id, payload] or [4, id, code, ...] (OCPP-J 4.2)."""
    message = event.data.get("message")
    if not isinstance(message, list) or len(message) < 3:
        return None
    sent = event.kind == "ocpp.sent"
    ends = (Lane.STATION, Lane.CPO) if sent else (Lane.CPO, Lane.STATION)
    text = str(message[2]) if message[0] == 2 else {3: "CALLRESULT", 4: f"CALLERROR {message[2]}"}.get(message[0], "?")
    return Step(event.at, event.source, *ends, text, "OCPP", _ocpp_remark(message), {"message": message})


def _ocpp_remark(message: list[Any]) -> str:
    """What of a message decides."""
    payload = message[3] if message[0] == 2 and len(message) > 3 else message[2]
    if not isinstance(payload, dict):
        return ""
    for keys in (("eventType",), ("connectorStatus",), ("idTokenInfo", "status"), ("status",), ("idTagInfo", "status")):
        value: Any = payload
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, str):
            return value
    return ""


def _pilot(event: Event) -> Step:
    state = f"pilot {event.data.get('state')}{2 if event.data.get('pwm') else 1}"
    return Step(event.at, event.source, Lane.VEHICLE, Lane.STATION, state, "IEC 61851-1", content=event.data)


def _contactor(event: Event) -> Step:
    text = "contactor closed" if event.data.get("closed") else "contactor open"
    return Step(event.at, event.source, Lane.STATION, Lane.STATION, text, "plant", content=event.data)


def _detail(key: str) -> Callable[[Data], str]:
    return lambda data: str(data.get(key) or "")


TELL: Mapping[str, Tell] = {
    "oem.published": _step(Lane.OEM, Lane.POOLS, "OPCP", lambda d: f"provisioning certificate {d['pcid']}"),
    "mo.ordered": _step(Lane.MO, Lane.POOLS, "OPCP", lambda d: f"contract {d['emaid']} for {d['pcid']}"),
    "opcp.request": _step(Lane.STATION, Lane.POOLS, "OPCP", lambda d: f"signedContractData ({d['action']})"),
    "opcp.answer": _step(
        Lane.POOLS,
        Lane.STATION,
        "OPCP",
        lambda d: f"signedContractData {d['emaid']}" if d["accepted"] else "no contract",
        lambda d: f"{d['seconds']:g} s",
    ),
    "opcp.refused": _step(Lane.POOLS, Lane.STATION, "OPCP", lambda _d: "refused", _detail("why")),
    "ocpp.sent": _ocpp,
    "ocpp.received": _ocpp,
    "csms.authorised": _step(Lane.CPO, Lane.CPO, "CSMS", lambda d: f"authorised: {d['status']}", _detail("contract")),
    "csms.contract": _step(
        Lane.CPO, Lane.POOLS, "OPCP", lambda d: f"signedContractData ({d['action']}): {d['status']}", _detail("why")
    ),
    "csms.transaction": _step(Lane.CPO, Lane.CPO, "CSMS", lambda d: f"transaction {d['transaction']}: {d['state']}"),
    "csms.incident": _step(Lane.CPO, Lane.CPO, "CSMS", lambda _d: "incident", _detail("what")),
    "session.authorised": _step(
        Lane.STATION, Lane.STATION, "station", lambda d: f"authorised: {d['id_type']}, level {d['level']}"
    ),
    "session.refused": _step(Lane.STATION, Lane.STATION, "station", lambda _d: "refused", _detail("why")),
    "secc.refused": _step(Lane.STATION, Lane.STATION, "station", lambda _d: "contract refused", _detail("why")),
    "session.record": _step(
        Lane.METER, Lane.STATION, "Modbus", lambda d: f"reading for {d['page']}: {d['kwh']} kWh", _detail("context")
    ),
    "journal.intent": _step(Lane.STATION, Lane.TOKEN, "PKCS#11", lambda d: f"sign {d['page']}"),
    "journal.signed": _step(Lane.TOKEN, Lane.STATION, "PKCS#11", lambda d: f"signature of {d['page']}"),
    "backend.stored": _step(Lane.STATION, Lane.CPO, "signed value", lambda d: f"record {d['page']}: stored"),
    "backend.trouble": _step(Lane.STATION, Lane.CPO, "signed value", lambda _d: "not delivered", _detail("why")),
    "session.fault": _step(
        Lane.STATION, Lane.STATION, "station", lambda d: f"fault {d.get('fault')}", _detail("detail")
    ),
    "evcc.failed": _step(Lane.VEHICLE, Lane.VEHICLE, "vehicle", lambda _d: "session failed", _detail("why")),
    "pilot.state": _pilot,
    "power.contactor": _contactor,
}
