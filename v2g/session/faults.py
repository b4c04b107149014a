"""Faults of a session: what a rig may do to the messages of either side, by the message's name and count.

    hook = FaultPlan([Drop(message="CurrentDemandRes", nth=5), Delay(message="PowerDeliveryRes", seconds=6.0)])
    secc = Secc(station, now=now, hook=hook)

They strike at four points of a message on its way out (`v2g.session.channel`): the message object, the values and the
event codes of its EXI stream, the V2GTP frame; those of a vehicle also before they are signed ("unsigned").
In a rig file: {fault: drop, message: CurrentDemandRes, nth: 5}.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar, cast

import msgspec

from ports.errors import LocalError
from v2g.exi.element import Element
from v2g.exi.reader import annotate
from v2g.exi.schemas import SchemaSet
from v2g.session.channel import Outgoing
from v2g.session.fault import Fault as Fault
from v2g.session.fault import ReplaceField as ReplaceField
from v2g.session.fault import ReverseList as ReverseList
from v2g.session.least_message import MODULES, least_body
from v2g.session.signing_faults import OtherKey as OtherKey
from v2g.session.signing_faults import Replay as Replay
from v2g.signed_elements import schema_of

T = TypeVar("T")
EVERY = "*"


class Delay(Fault, frozen=True, tag="delay"):
    """The message goes out later. seconds: how much."""

    seconds: float

    def on_frame(self, out: Outgoing) -> list[Outgoing]:
        return [Outgoing(out.octets, out.delay + self.seconds)]


class Drop(Fault, frozen=True, tag="drop"):
    """The message does not go out."""

    def on_frame(self, out: Outgoing) -> list[Outgoing]:  # noqa: ARG002
        return []


class Silence(Fault, frozen=True, tag="silence"):
    """From this message on nothing goes out any more, whatever its name."""


class Repeat(Fault, frozen=True, tag="repeat"):
    """The message goes out more than once. copies: in all."""

    copies: int = 2

    def on_frame(self, out: Outgoing) -> list[Outgoing]:
        return [out] * self.copies


class WrongSession(Fault, frozen=True, tag="wrong session"):
    """The header carries another session id. session_id: hex; "" is an empty one."""

    session_id: str = "ffffffffffffffff"

    def on_message(self, message: Element) -> list[Element]:
        changed = copy.deepcopy(message)
        cast("Any", changed).Header.SessionID = bytes.fromhex(self.session_id)
        return [changed]


class WrongOrder(Fault, frozen=True, tag="wrong order"):
    """Another message goes out instead. instead: its name; it carries the session's id and the least that it must."""

    instead: str

    def on_message(self, message: Element) -> list[Element]:
        schema = schema_of(message)
        types = MODULES.get(schema)
        if types is None:
            raise LocalError(f"fault on {self.message}: no other message is known in the handshake")
        header = types.MessageHeaderType(SessionID=cast("Any", message).Header.SessionID)
        return [types.V2G_Message(Header=header, Body=types.BodyType(BodyElement=least_body(schema, self.instead)))]


class ReplaceExi(Fault, frozen=True, tag="replace exi"):
    """Other EXI octets. octets: hex. at: None replaces all of them, else from this octet on."""

    octets: str
    at: int | None = None

    def on_exi(self, schema: str, exi: bytes) -> list[bytes]:  # noqa: ARG002
        new = bytes.fromhex(self.octets)
        return [new] if self.at is None else [exi[: self.at] + new + exi[self.at + len(new) :]]


class CutExi(Fault, frozen=True, tag="cut exi"):
    """Only the first octets of the stream; the frame's length fits. octets: how many."""

    octets: int

    def on_exi(self, schema: str, exi: bytes) -> list[bytes]:  # noqa: ARG002
        return [exi[: self.octets]]


class ReplaceBits(Fault, frozen=True, tag="replace bits"):
    """Bits of one value. path: of its element, e.g. "EVRESSSOC"; bits: as text, "0110", from the value's first bit."""

    path: str
    bits: str

    def on_exi(self, schema: str, exi: bytes) -> list[bytes]:
        for note in annotate(SchemaSet(schema), exi)[0]:
            if ("/" + note.path).endswith("/" + self.path) and not note.meaning.startswith("event code"):
                return [_with_bits(exi, note.bit, self.bits)]
        raise LocalError(f"fault on {self.message}: no value at {self.path!r}")


class EventCode(Fault, frozen=True, tag="event code"):
    """Another event code where an element starts. element: its name; code: the number, in as many bits as before."""

    element: str
    code: int

    def on_exi(self, schema: str, exi: bytes) -> list[bytes]:
        for note in annotate(SchemaSet(schema), exi)[0]:
            if note.meaning.startswith("event code") and note.meaning.endswith(f": {self.element}"):
                if self.code >> note.width:
                    raise LocalError(f"fault on {self.message}: event code {self.code} has more than {note.width} bits")
                return [_with_bits(exi, note.bit, format(self.code, f"0{note.width}b"))]
        raise LocalError(f"fault on {self.message}: no element {self.element!r} starts in it")


class ReplaceHeader(Fault, frozen=True, tag="replace header"):
    """Other fields of the V2GTP header. length: the number written; the payload stays."""

    version: int | None = None
    inverse: int | None = None
    payload_type: int | None = None
    length: int | None = None

    def on_frame(self, out: Outgoing) -> list[Outgoing]:
        header = bytearray(out.octets[:8])
        for field, at, width in (("version", 0, 1), ("inverse", 1, 1), ("payload_type", 2, 2), ("length", 4, 4)):
            value = getattr(self, field)
            if value is not None:
                header[at : at + width] = value.to_bytes(width, "big")
        return [Outgoing(bytes(header) + out.octets[8:], out.delay)]


class CutFrame(Fault, frozen=True, tag="cut frame"):
    """Only the first octets of the frame, header included; the rest never comes. octets: how many."""

    octets: int

    def on_frame(self, out: Outgoing) -> list[Outgoing]:
        return [Outgoing(out.octets[: self.octets], out.delay)]


class SplitFrame(Fault, frozen=True, tag="split frame"):
    """The frame comes in pieces. size: octets of a piece; pause: seconds between pieces."""

    size: int = 1
    pause: float = 0.0

    def on_frame(self, out: Outgoing) -> list[Outgoing]:
        starts = range(0, len(out.octets), self.size)
        return [Outgoing(out.octets[at : at + self.size], out.delay + n * self.pause) for n, at in enumerate(starts)]


KINDS = (
    *(Delay, Drop, Silence, Repeat, ReplaceField, ReverseList, WrongSession, WrongOrder, OtherKey, Replay),
    *(ReplaceExi, CutExi, ReplaceBits, EventCode, ReplaceHeader, CutFrame, SplitFrame),
)
FAULTS: Mapping[str, type[Fault]] = MappingProxyType({kind.__struct_config__.tag: kind for kind in KINDS})  # type: ignore[misc]


def read_fault(values: Mapping[str, Any]) -> Fault:
    """A fault from the rig file. Raises LocalError naming what is wrong."""
    kind = FAULTS.get(values.get("fault", ""))
    if kind is None:
        raise LocalError(f"fault {values.get('fault')!r}: known are {', '.join(sorted(FAULTS))}")
    try:
        return msgspec.convert(dict(values), kind)
    except msgspec.ValidationError as error:
        raise LocalError(f"fault {values['fault']!r}: {error}") from error


class FaultPlan:
    """The hook of one machine. struck: (point, fault) of everything that was done, for reports."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        self.struck: list[tuple[str, Fault]] = []
        self._counts: Counter[str] = Counter()
        self._first: dict[str, Element] = {}
        self._schema = "sap"
        self._silent = False

    def __call__(self, point: str, unit: T) -> list[T]:
        """See `ports.faults.FaultHook`."""
        _, _, name, place = point.split(".")
        if place == "message":
            self._counts[name] += 1
            self._schema = schema_of(cast("Element", unit))
            self._first.setdefault(name, cast("Element", unit))
        number = self._counts[name] + (place == "unsigned")  # it is counted when it is a message
        units: list[Any] = [unit]
        for fault in self.faults:
            if fault.message not in (name, EVERY) or not fault.strikes(number):
                continue
            if isinstance(fault, Silence) and not self._silent:
                self._silent = True
                self.struck.append((point, fault))
            before = units
            units = [changed for one in units for changed in self._strike(fault, name, place, one)]
            if units != before:
                self.struck.append((point, fault))
        return [] if self._silent else units

    def _strike(self, fault: Fault, name: str, place: str, unit: Any) -> list[Any]:
        match place:
            case "unsigned":
                return list(fault.on_unsigned(unit))
            case "message":
                return [fault.older(unit, self._first[name])] if isinstance(fault, Replay) else fault.on_message(unit)
            case "exi":
                return list(fault.on_exi(self._schema, unit))
        return list(fault.on_frame(unit))


def _with_bits(octets: bytes, bit: int, bits: str) -> bytes:
    """Octets with some bits replaced."""
    total = len(octets) * 8
    if bit + len(bits) > total:
        raise LocalError(f"{len(bits)} bits at bit {bit} do not fit {len(octets)} octets")
    shift = total - bit - len(bits)
    mask = (1 << len(bits)) - 1
    number = int.from_bytes(octets, "big") & ~(mask << shift) | int(bits, 2) << shift
    return number.to_bytes(len(octets), "big")
