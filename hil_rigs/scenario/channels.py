"""The observation channels: which trace events are seen where, and under which name.

One table. The first row that fits an event wins; what fits none is not observed (the trace keeps it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ports.trace import TraceEvent

CALL, ANSWER, FAILURE = 2, 3, 4  # OCPP-J 1.6 and 2.0.1 part 4, chapter 4: message types
ENDINGS = {ANSWER: "Response", FAILURE: "Error"}


class Names:
    """The names of a run's observations; OCPP answers are named after their calls, which have to be remembered."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, str, str], str] = {}

    def tail(self, event: TraceEvent) -> str:
        """What follows the first dot of the kind."""
        return event.kind.partition(".")[2]

    def whole(self, event: TraceEvent) -> str:
        """The kind."""
        return event.kind

    def message(self, event: TraceEvent) -> str:
        """Of a V2G message."""
        return str(event.data.get("message", ""))

    def frame(self, event: TraceEvent) -> str:
        """Of an OCPP frame, as the schemas name it: Authorize, AuthorizeResponse. Other events: as `tail`."""
        message = event.data.get("message")
        if not isinstance(message, list | tuple) or len(message) < 3:
            return self.tail(event)
        side = (event.kind.partition(".")[0], event.source, str(message[1]))
        if message[0] == CALL:
            self._calls[side] = str(message[2])
            return str(message[2])
        return self._calls.get(side, "") + ENDINGS.get(message[0], "")


Name = Callable[[Names, TraceEvent], str]


@dataclass(frozen=True, slots=True)
class Row:
    """prefix: of the event's kind. source: what the event's source ends with. name: of the observation."""

    channel: str
    prefix: str
    name: Name
    source: str = ""


ROWS: tuple[Row, ...] = (
    Row("wire.v2g", "v2g.tx", Names.message, ".secc"),
    Row("wire.v2g", "v2g.rx", Names.message, ".secc"),
    Row("wire.v2g", "sdp.", Names.whole, ".secc"),
    Row("wire.v2g", "tcp.", Names.whole, ".secc"),
    Row("wire.v2g", "tls.", Names.whole, ".secc"),
    Row("secc", "v2g.", Names.tail, ".secc"),
    Row("secc", "secc.", Names.tail),
    Row("evcc", "v2g.tx", Names.message, ".evcc"),
    Row("evcc", "v2g.rx", Names.message, ".evcc"),
    Row("evcc", "v2g.", Names.tail, ".evcc"),
    Row("evcc", "evcc.", Names.tail),
    Row("evcc", "tcp.", Names.whole, ".evcc"),
    Row("evcc", "tls.", Names.whole, ".evcc"),
    Row("wire.pilot", "pilot.", Names.tail),
    Row("wire.power", "power.", Names.tail),
    Row("wire.modbus", "line.", Names.tail),
    Row("meter", "meter.", Names.tail),
    Row("token", "token.", Names.tail),
    Row("token", "worker.", Names.whole),
    Row("store", "journal.", Names.tail),
    Row("store", "receipt.", Names.whole),
    Row("session", "session.", Names.tail),
    Row("ocpp", "ocpp.", Names.frame),
    Row("csms", "csms.", Names.frame),
    Row("csms", "cpo.", Names.tail),
    Row("backend", "backend.", Names.tail),
    Row("pool", "pool.", Names.tail),
    Row("pool", "opcp.", Names.tail),
    Row("pool", "webhook.", Names.whole),
    Row("operator", "mo.", Names.whole),
    Row("operator", "oem.", Names.whole),
    Row("operator", "hub.", Names.whole),
    Row("operator", "ocpi.", Names.whole),
    Row("operator", "oicp.", Names.whole),
    Row("fault", "fault.", Names.tail),
    Row("clock", "clock.", Names.tail),
)

CHANNELS: Mapping[str, str] = {
    "wire.v2g": "messages, SDP, TCP and TLS at the station's end of the cable; fields of the decoded message",
    "secc": "what the station's V2G side decides and reports",
    "evcc": "messages and reports of the vehicle's V2G side: contract, payment, failed",
    "wire.pilot": "control pilot, proximity and lock: state, output, vehicle, proximity, lock, fault, wakeup",
    "wire.power": "contactor, flow and energy of the plant: contactor, flow, opening, derating, vehicle",
    "wire.modbus": "requests, answers and failures on the meter's line: request, answer, failure, late, lost",
    "meter": "readings and failures as the driver understands them: reading, failure, dead, alive",
    "token": "the signing token: opened, away, error, latched; its process: worker.started, worker.lost",
    "store": "the journal: intent, signed, refused; and, at the end, every record by its kind with all its OCMF fields",
    "session": "the charging transaction: state, card, asked, authorised, refused, record, energy, trouble, fault",
    "ocpp": "OCPP frames at the station's end: Authorize, AuthorizeResponse",
    "csms": "the same at the CSMS's end, and what it decides: authorised, transaction, incident; stored, duplicate",
    "backend": "deliveries of signed records as the gateway sees them: stored, duplicate, refused, trouble",
    "pool": "what the Plug & Charge pools were asked and answered: request, answer, refused, warning; webhook.attempt",
    "operator": "mobility operator, manufacturer and roaming hub: mo.cdr.billed, oem.published, hub.cdr.forwarded",
    "fault": "faults of the catalogue: begun, over; of the plant: injected, undone",
    "clock": "steps of civil time: stepped",
}


def observed(event: TraceEvent, names: Names) -> tuple[str, str, Mapping[str, Any]] | None:
    """Channel, name and fields of an event; None when no channel shows it. names: of this run."""
    for row in ROWS:
        if event.kind.startswith(row.prefix) and event.source.endswith(row.source):
            fields = dict(event.data)
            fields.setdefault("direction", event.kind.rpartition(".")[2])
            return row.channel, row.name(names, event), fields
    return None
