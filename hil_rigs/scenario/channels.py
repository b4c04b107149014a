"""The observation channels: which trace events are seen where, and under which name.

One table. The first row that fits an event wins; what fits none is not observed (the trace keeps it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ports.trace import TraceEvent

Name = Callable[[TraceEvent], str]


def _tail(event: TraceEvent) -> str:
    """What follows the first dot of the kind."""
    return event.kind.partition(".")[2]


def _message(event: TraceEvent) -> str:
    return str(event.data.get("message", ""))


def _whole(event: TraceEvent) -> str:
    return event.kind


def _action(event: TraceEvent) -> str:
    """Of an OCPP frame: its action; answers are named after the call that they answer."""
    return str(event.data.get("action") or _tail(event))


@dataclass(frozen=True, slots=True)
class Row:
    """prefix: of the event's kind. source: what the event's source ends with. name: of the observation."""

    channel: str
    prefix: str
    name: Name
    source: str = ""


ROWS: tuple[Row, ...] = (
    Row("wire.v2g", "v2g.tx", _message, ".secc"),
    Row("wire.v2g", "v2g.rx", _message, ".secc"),
    Row("wire.v2g", "sdp.", _whole, ".secc"),
    Row("wire.v2g", "tcp.", _whole, ".secc"),
    Row("wire.v2g", "tls.", _whole, ".secc"),
    Row("secc", "v2g.", _tail, ".secc"),
    Row("secc", "secc.", _tail),
    Row("evcc", "v2g.tx", _message, ".evcc"),
    Row("evcc", "v2g.rx", _message, ".evcc"),
    Row("evcc", "v2g.", _tail, ".evcc"),
    Row("evcc", "evcc.", _tail),
    Row("evcc", "tcp.", _whole, ".evcc"),
    Row("evcc", "tls.", _whole, ".evcc"),
    Row("wire.pilot", "pilot.", _tail),
    Row("wire.power", "power.", _tail),
    Row("wire.modbus", "line.", _tail),
    Row("meter", "meter.", _tail),
    Row("token", "token.", _tail),
    Row("token", "worker.", _whole),
    Row("store", "journal.", _tail),
    Row("store", "receipt.", _whole),
    Row("session", "session.", _tail),
    Row("ocpp", "ocpp.", _action),
    Row("csms", "csms.", _action),
    Row("csms", "cpo.", _tail),
    Row("backend", "backend.", _tail),
    Row("pool", "pool.", _tail),
    Row("pool", "opcp.", _tail),
    Row("operator", "mo.", _whole),
    Row("operator", "oem.", _whole),
    Row("operator", "hub.", _whole),
    Row("fault", "fault.", _tail),
    Row("clock", "clock.", _tail),
)

CHANNELS: Mapping[str, str] = {
    "wire.v2g": "messages, SDP, TCP and TLS at the station's end of the cable; fields of the decoded message",
    "secc": "what the station's V2G side decides and reports",
    "evcc": "messages and reports of the vehicle's V2G side",
    "wire.pilot": "control pilot, proximity and lock: state, output, vehicle, proximity, lock, fault, wakeup",
    "wire.power": "contactor, flow and energy of the plant: contactor, flow, opening, vehicle",
    "wire.modbus": "requests, answers and failures on the meter's line",
    "meter": "readings and failures as the driver understands them",
    "token": "the signing token: opened, away, error, latched",
    "store": "the journal: intent, signed, refused; and, at the end, every record by its kind with all its OCMF fields",
    "session": "the charging transaction: state, authorised, refused, record, energy, trouble, fault, clock_step",
    "ocpp": "OCPP frames at the station's end, by action",
    "csms": "OCPP frames at the CSMS's end by action; of a CPO over REST or MQTT: stored, duplicate, refused",
    "backend": "deliveries of signed records as the gateway sees them",
    "pool": "what the Plug & Charge pools were asked and answered",
    "operator": "mobility operator, manufacturer and roaming hub",
    "fault": "faults that were injected and undone",
    "clock": "steps of civil time",
}


def observed(event: TraceEvent) -> tuple[str, str, Mapping[str, Any]] | None:
    """Channel, name and fields of an event; None when no channel shows it."""
    for row in ROWS:
        if event.kind.startswith(row.prefix) and event.source.endswith(row.source):
            fields = dict(event.data)
            fields.setdefault("direction", event.kind.rpartition(".")[2])
            return row.channel, row.name(event), fields
    return None
