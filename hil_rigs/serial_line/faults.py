"""The faults of a serial line: one table with names, parameters and effects, and the plan that applies them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, TypeVar

from hil_rigs.serial_line.burst import Burst, Unplug
from ports.errors import LocalError
from ports.serial_line import SerialSettings

T = TypeVar("T")
Value = float | int | str
Values = Mapping[str, Any]

FROM_MASTER = "line.from_master"
TO_MASTER = "line.to_master"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a fault; its type is that of the default."""

    name: str
    default: Value
    unit: str
    doc: str


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A fault that the line offers. points: where it may act, the first unless told otherwise."""

    name: str
    doc: str
    effect: str
    apply: Callable[[Burst, Values, Random], list[Burst]]
    parameters: tuple[Parameter, ...] = ()
    points: tuple[str, ...] = (TO_MASTER, FROM_MASTER)


def _drop(_burst: Burst, _values: Values, _random: Random) -> list[Burst]:
    return []


def _late(burst: Burst, values: Values, random: Random) -> list[Burst]:
    extra = values["seconds"] + random.random() * values["spread_s"]
    return [replace(burst, delay_s=burst.delay_s + extra)]


def _truncate(burst: Burst, values: Values, _random: Random) -> list[Burst]:
    return [replace(burst, octets=burst.octets[: max(0, len(burst.octets) - values["octets"])])]


def _corrupt(burst: Burst, values: Values, random: Random) -> list[Burst]:
    octets = bytearray(burst.octets)
    places = range(len(octets) * 8)
    for place in random.sample(places, min(values["bits"], len(places))):
        octets[place // 8] ^= 1 << place % 8
    return [replace(burst, octets=bytes(octets))]


def _noise(values: Values, random: Random) -> bytes:
    value = values["value"]
    return random.randbytes(values["octets"]) if value < 0 else bytes((value,)) * values["octets"]


def _stray_before(burst: Burst, values: Values, random: Random) -> list[Burst]:
    stray = replace(burst, octets=_noise(values, random))
    return [stray, replace(burst, delay_s=stray.end_s + values["gap_s"])]


def _stray_after(burst: Burst, values: Values, random: Random) -> list[Burst]:
    return [burst, replace(burst, octets=_noise(values, random), delay_s=burst.end_s + values["gap_s"])]


def _echo(burst: Burst, _values: Values, _random: Random) -> list[Burst]:
    return [replace(burst, echo=True)]


def _duplicate(burst: Burst, values: Values, _random: Random) -> list[Burst]:
    return [burst, replace(burst, delay_s=burst.end_s + values["gap_s"])]


def _gap(burst: Burst, values: Values, _random: Random) -> list[Burst]:
    at = values["after"] if values["after"] > 0 else len(burst.octets) // 2
    first = replace(burst, octets=burst.octets[:at])
    return [first, replace(burst, octets=burst.octets[at:], delay_s=first.end_s + values["seconds"])]


def _early(burst: Burst, values: Values, _random: Random) -> list[Burst]:
    return [replace(burst, early_s=values["seconds"])]


def _baud_off(burst: Burst, values: Values, _random: Random) -> list[Burst]:
    baud = round(burst.settings.baud * (1 + values["percent"] / 100))
    return [replace(burst, settings=SerialSettings(baud, burst.settings.format))]


def _other_format(burst: Burst, values: Values, _random: Random) -> list[Burst]:
    return [replace(burst, settings=SerialSettings(burst.settings.baud, values["format"]))]


def _unplug(burst: Burst, values: Values, _random: Random) -> list[Burst]:
    for_s = values["for_s"]
    return [replace(burst, unplug=Unplug(for_s if for_s > 0 else None, values["name"] or None))]


_STRAY = (
    Parameter("octets", 2, "octets", "how many"),
    Parameter("value", -1, "0-255", "which octet; -1 = random ones"),
    Parameter("gap_s", 0.0, "s", "silence between them and the frame"),
)

_KINDS = (
    FaultKind("drop", "The burst is never sent.", "a lost request or answer; the master's timeout", _drop),
    FaultKind(
        "late",
        "The burst begins later, by a fixed time and a random one.",
        "within the master's timeout only slow; beyond it an answer that looks like that of the next request",
        _late,
        (
            Parameter("seconds", 0.0, "s", "added to the turn-around"),
            Parameter("spread_s", 0.0, "s", "up to so much more, evenly distributed (jitter of the device's clock)"),
        ),
    ),
    FaultKind(
        "truncate",
        "The last octets are not sent.",
        "a frame that is too short",
        _truncate,
        (Parameter("octets", 1, "octets", "how many are missing"),),
    ),
    FaultKind(
        "corrupt",
        "Random bits are flipped.",
        "a wrong CRC",
        _corrupt,
        (Parameter("bits", 1, "bits", "how many, at different places"),),
    ),
    FaultKind(
        "stray_before", "Octets that belong to nothing come before the burst.", "noise first", _stray_before, _STRAY
    ),
    FaultKind("stray_after", "Octets that belong to nothing come after the burst.", "noise last", _stray_after, _STRAY),
    FaultKind(
        "echo",
        "The master hears what it sends, as on RS485 adapters that leave their receiver on.",
        "the own request before each answer",
        _echo,
        points=(FROM_MASTER,),
    ),
    FaultKind(
        "duplicate",
        "The burst is sent twice.",
        "an answer too many, perhaps inside the next turn",
        _duplicate,
        (Parameter("gap_s", 0.01, "s", "silence between the two"),),
    ),
    FaultKind(
        "gap",
        "A pause inside the burst.",
        "longer than t1.5, strict devices throw a request away; masters should wait for the rest of an answer",
        _gap,
        (
            Parameter("seconds", 0.05, "s", "how long"),
            Parameter("after", 0, "octets", "where; 0 = in the middle"),
        ),
    ),
    FaultKind(
        "early",
        "Devices answer after less than t3.5 of silence.",
        "an answer that may hit a master whose driver is still on",
        _early,
        (Parameter("seconds", 0.0005, "s", "from the end of the request to the answer"),),
        points=(FROM_MASTER,),
    ),
    FaultKind(
        "baud_off",
        "The sender's bit clock is wrong.",
        "from some 4 percent on framing errors and garbage, silence of strict devices",
        _baud_off,
        (Parameter("percent", 6.0, "%", "too fast; negative: too slow"),),
    ),
    FaultKind(
        "other_format",
        "The sender uses another format.",
        "garbage or silence as on a real UART",
        _other_format,
        (Parameter("format", "8O1", "", "data bits, parity, stop bits"),),
    ),
    FaultKind(
        "unplug",
        "The master's adapter is pulled as the burst begins.",
        "the port is gone; it comes back after a while, perhaps under another name",
        _unplug,
        (
            Parameter("for_s", 1.0, "s", "how long; 0 = until somebody plugs it in"),
            Parameter("name", "", "", "the name under which it comes back; empty = the same"),
        ),
        points=(FROM_MASTER, TO_MASTER),
    ),
)

FAULTS: Mapping[str, FaultKind] = {kind.name: kind for kind in _KINDS}
"""Every fault by name."""


@dataclass(slots=True)
class Injected:
    """A fault at work: which bursts it hits, and how often it did.

    Of the bursts at `point` between start_s and stop_s (seconds since the line came up) whose first octet is
    `first_octet` (None: any): `skip` go by, then each is hit with `probability`, until `times` were (None: no end).
    """

    kind: FaultKind
    values: Mapping[str, Value]
    point: str
    random: Random
    skip: int = 0
    times: int | None = None
    probability: float = 1.0
    start_s: float = 0.0
    stop_s: float = math.inf
    first_octet: int | None = None
    seen: int = 0
    hits: int = 0

    def break_(self, burst: Burst) -> list[Burst]:
        """What goes on instead of this burst."""
        if not self.start_s <= burst.at < self.stop_s or self.hits == self.times:
            return [burst]
        if self.first_octet is not None and burst.octets[:1] != bytes((self.first_octet,)):
            return [burst]
        self.seen += 1
        if self.seen <= self.skip or self.random.random() >= self.probability:
            return [burst]
        self.hits += 1
        broken = self.kind.apply(burst, self.values, self.random)
        return [replace(one, broken_by=(*burst.broken_by, self.kind.name)) for one in broken]


@dataclass(slots=True)
class FaultPlan:
    """`ports.faults.FaultHook` of a line: faults in the order in which they were injected, one after the other."""

    seed: int = 0
    injected: list[Injected] = field(default_factory=list)
    _drawn: int = 0

    def inject(
        self,
        fault: str,
        *,
        point: str | None = None,
        skip: int = 0,
        times: int | None = None,
        probability: float = 1.0,
        start_s: float = 0.0,
        stop_s: float = math.inf,
        first_octet: int | None = None,
        **values: Value,
    ) -> Injected:
        """Add a fault by name with its parameters; the rest as in `Injected`.

        Raises LocalError: no such fault, parameter or point, or a value of the wrong type.
        """
        kind = FAULTS.get(fault)
        if kind is None:
            raise LocalError(f"no line fault {fault!r}; there are: {', '.join(FAULTS)}")
        point = point or kind.points[0]
        if point not in kind.points:
            raise LocalError(f"fault {fault} acts at {' or '.join(kind.points)}, not at {point!r}")
        source = Random(f"{self.seed}/{self._drawn}/{fault}")  # noqa: S311 - noise, the same in every run
        self._drawn += 1
        one = Injected(
            kind, _checked(kind, values), point, source, skip, times, probability, start_s, stop_s, first_octet
        )
        self.injected.append(one)
        return one

    def undo(self, one: Injected) -> None:
        """Take a fault out again; harmless when it is out."""
        if one in self.injected:
            self.injected.remove(one)

    def __call__(self, point: str, unit: T) -> list[T]:
        """As `FaultHook`; units that are no bursts go on unchanged."""
        units: list[Any] = [unit]
        for one in list(self.injected):
            if one.point == point:
                units = [
                    result for each in units for result in (one.break_(each) if isinstance(each, Burst) else [each])
                ]
        return units


def _checked(kind: FaultKind, values: Mapping[str, Value]) -> Mapping[str, Value]:
    """All parameters of a fault: those given, the others as usual."""
    known = {parameter.name: parameter for parameter in kind.parameters}
    for name, value in values.items():
        if name not in known:
            raise LocalError(f"fault {kind.name} has no parameter {name!r}; it has: {', '.join(known) or 'none'}")
        wanted = type(known[name].default)
        if not isinstance(value, (int, float) if wanted is float else wanted) or isinstance(value, bool):
            raise LocalError(f"fault {kind.name}, {name}={value!r}: a {wanted.__name__} is wanted ({known[name].doc})")
    return {name: values.get(name, parameter.default) for name, parameter in known.items()}
