"""What the events of a run tell beside the V2G messages: one row for each kind of event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hil_rigs.evidence.event_hash import Event
from hil_rigs.story.step import Lane, Step

OCPP = frozenset({"ocpp.sent", "ocpp.received"})
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


class Happenings:
    """Tells events in order. It remembers OCPP calls: their results do not say what they answer."""

    def __init__(self, kinds: Mapping[str, str]) -> None:
        """kinds: of the rig's resources, by name."""
        self._kinds = kinds
        self._calls: dict[tuple[str, str], str] = {}

    def tell(self, event: Event) -> Step | None:
        """What the event tells; None: nothing for a story."""
        if event.kind in OCPP:
            return self._ocpp(event)
        if event.kind == "oicp.request":
            return self._oicp(event)
        row = TELL.get(event.kind)
        return row(event) if row is not None else None

    def _ocpp(self, event: Event) -> Step | None:
        """[2, id, action, payload], [3, id, payload] or [4, id, code, ...] (OCPP-J 4.2)."""
        message = event.data.get("message")
        if not isinstance(message, list) or len(message) < 3:
            return None
        call = event.source, str(message[1])
        if message[0] == 2:
            text = self._calls[call] = str(message[2])
        else:
            asked = self._calls.pop(call, "unknown call")
            text = f"{asked}: {message[2]}" if message[0] == 4 else f"{asked} answered"
        ends = (Lane.STATION, Lane.CPO) if event.kind == "ocpp.sent" else (Lane.CPO, Lane.STATION)
        return Step(event.at, event.source, *ends, text, "OCPP", _ocpp_remark(message), {"message": message})

    def _oicp(self, event: Event) -> Step:
        """A hub is asked by the CPO, a mobility operator by the hub."""
        ends = (Lane.HUB, Lane.MO) if self._kinds.get(event.source) == "operator.mo" else (Lane.CPO, Lane.HUB)
        text, remark = f"POST {event.data.get('path')}", f"answered {event.data.get('status')}"
        return Step(event.at, event.source, *ends, text, "OICP", remark, event.data)


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


def _transaction(event: Event) -> Step | None:
    """What the CPO makes of a transaction, once it is over."""
    state = event.data.get("state")
    if state == "running":
        return None
    flags = event.data.get("flags")
    remark = ", ".join(map(str, flags)) if isinstance(flags, list) else ""
    return Step(event.at, event.source, Lane.CPO, Lane.CPO, f"transaction is {state}", "CSMS", remark, event.data)


def _detail(key: str) -> Callable[[Data], str]:
    return lambda data: str(data.get(key) or "")


TELL: Mapping[str, Tell] = {
    "oem.published": _step(Lane.OEM, Lane.POOLS, "OPCP", lambda d: f"provisioning certificate {d['pcid']}"),
    "webhook.attempt": _step(
        Lane.POOLS, Lane.OEM, "webhook", lambda d: f"webhook: {d.get('event_kind')}", _detail("outcome")
    ),
    "oem.installed": _step(Lane.OEM, Lane.VEHICLE, "vehicle", lambda d: f"contract {d['emaid']}, soon to end"),
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
    "csms.authorised": _step(Lane.CPO, Lane.CPO, "CSMS", lambda d: f"authorised: {d['status']}", _detail("contract")),
    "csms.contract": _step(
        Lane.CPO, Lane.POOLS, "OPCP", lambda d: f"signedContractData ({d['action']}): {d['status']}", _detail("why")
    ),
    "csms.transaction": _transaction,
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
    "backend.stored": _step(Lane.STATION, Lane.STATION, "signed value", lambda d: f"record {d['page']} is delivered"),
    "backend.trouble": _step(Lane.STATION, Lane.CPO, "signed value", lambda _d: "not delivered", _detail("why")),
    "session.ocsp": _step(
        Lane.STATION, Lane.STATION, "station", lambda d: f"certificate status {d['decision']}", _detail("why")
    ),
    "secc.certificate": _step(
        Lane.STATION, Lane.STATION, "station", lambda d: f"contract {d['action']}: {d['outcome']}", _detail("why")
    ),
    "secc.receipt": _step(Lane.STATION, Lane.STATION, "station", lambda d: f"receipt for {d['page']} is kept"),
    "evcc.contract": _step(
        Lane.VEHICLE, Lane.VEHICLE, "vehicle", lambda d: f"contract {d['emaid']} is installed", _detail("problem")
    ),
    "evcc.payment": _step(Lane.VEHICLE, Lane.VEHICLE, "vehicle", lambda d: f"pays by {d['payment']}", _detail("why")),
    "ocpi.request": _step(
        Lane.CPO, Lane.MO, "OCPI", lambda d: f"{d['method']} {d['path']}", lambda d: f"answered {d['status']}"
    ),
    "hub.cdr.forwarded": _step(Lane.HUB, Lane.MO, "OICP", lambda _d: "charge detail record forwarded"),
    "hub.cdr.waiting": _step(Lane.HUB, Lane.MO, "OICP", lambda _d: "charge detail record waits", _detail("why")),
    "hub.cdr.rejected": _step(Lane.MO, Lane.HUB, "OICP", lambda _d: "charge detail record rejected", _detail("why")),
    "mo.cdr.billed": _step(Lane.MO, Lane.MO, "OCPI", lambda d: f"charge detail record {d['cdr']} is billed"),
    "mo.cdr.refused": _step(Lane.MO, Lane.MO, "OCPI", lambda d: f"no bill: {d['reason']}", _detail("why")),
    "mo.cdr.undecidable": _step(Lane.MO, Lane.MO, "OCPI", lambda d: f"no bill yet: {d['reason']}", _detail("why")),
    "session.fault": _step(
        Lane.STATION, Lane.STATION, "station", lambda d: f"fault {d.get('fault')}", _detail("detail")
    ),
    "evcc.failed": _step(Lane.VEHICLE, Lane.VEHICLE, "vehicle", lambda _d: "session failed", _detail("why")),
    "pilot.state": _pilot,
    "power.contactor": _contactor,
}
