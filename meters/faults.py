"""What can be wrong with a simulated meter: a typed table, and the faults that are switched on.

Faults of the line (noise, half frames, echo, unplugging) belong to the virtual line, not to the meter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from ports.errors import RigError


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that says how strong a fault is."""

    unit: str
    default: float
    meaning: str


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A fault: what it does to the meter, and what a good driver makes of it."""

    name: str
    meaning: str
    effect: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


_DELAY = Parameter("ms", 400, "from the end of the request to the answer")
_BY = Parameter("last digits", 100_000, "how many of the counter's last digits")

FAULTS: dict[str, FaultKind] = {
    kind.name: kind
    for kind in (
        FaultKind(
            "exception",
            "answers with a Modbus exception",
            "error with the code",
            {"code": Parameter("", 4, "exception code")},
        ),
        FaultKind("busy", "answers exception 6 (server device busy); use times for 'busy, then ok'", "asked again"),
        FaultKind("dead", "does not answer", "timeout; flagged, logged once a minute"),
        FaultKind("late", "answers late, and nothing else meanwhile", "timeout, quarantine", {"delay_ms": _DELAY}),
        FaultKind(
            "wrong_id",
            "answers under another device id",
            "error, never a value",
            {"by": Parameter("", 1, "added to the id")},
        ),
        FaultKind("wrong_function", "answers function 3 as 4 and 4 as 3", "error, never a value"),
        FaultKind("wrong_length", "leaves out the last register, CRC right", "error, never a value"),
        FaultKind("bad_crc", "sends a wrong CRC", "error at once, not at the timeout"),
        FaultKind("swapped_words", "sends the registers of every value in reverse order", "jump, range or backwards"),
        FaultKind("stuck", "its values stand still", "the same reading again and again"),
        FaultKind("jump", "its counters show too much", "jump error with both values", {"by": _BY}),
        FaultKind("backwards", "its counters show too little", "backwards error with both values", {"by": _BY}),
        FaultKind("zero", "its counters read 0", "backwards error with both values"),
        FaultKind("reset", "its counters began anew when this was switched on", "backwards error until forgotten"),
        FaultKind("serial_change", "another meter of the model is in its place", "replaced error with both numbers"),
        FaultKind(
            "second_meter",
            "a second meter with the same id answers too, with a serial number and counters of its own",
            "error: two answers, or a garbled one",
            {"delay_ms": Parameter("ms", 0, "after the end of the first answer; 0 = both at once")},
        ),
    )
}


@dataclass(slots=True)
class ActiveFault:
    """A fault that is on.

    times: how often in all (None = until cleared). probability: of each chance to strike. hits: how often it struck.
    """

    kind: FaultKind
    values: dict[str, float]
    times: int | None = None
    probability: float = 1.0
    hits: int = 0

    def __getitem__(self, name: str) -> float:
        return self.values[name]


class Faults:
    """The faults of one meter; several may be on at once. seed: of those that strike by chance."""

    def __init__(self, seed: int = 0) -> None:
        self._random = Random(f"{seed}/meter faults")  # noqa: S311 - chance that repeats
        self.active: dict[str, ActiveFault] = {}
        self.hits: dict[str, int] = {}

    def inject(self, name: str, times: int | None = None, probability: float = 1.0, **values: float) -> None:
        """Switch a fault on. Raises RigError: no such fault, no such parameter."""
        kind = FAULTS.get(name)
        if kind is None:
            raise RigError(f"no meter fault {name!r}; there are {', '.join(FAULTS)}")
        for key in values:
            if key not in kind.parameters:
                raise RigError(
                    f"meter fault {name} has no parameter {key!r}; it has {', '.join(kind.parameters) or 'none'}"
                )
        defaults = {key: parameter.default for key, parameter in kind.parameters.items()}
        self.active[name] = ActiveFault(kind, defaults | values, times, probability)

    def clear(self, name: str | None = None) -> None:
        """Switch one off, or all."""
        if name is None:
            self.active.clear()
        else:
            self.active.pop(name, None)

    def strikes(self, name: str) -> ActiveFault | None:
        """The fault, if it is on; counts the hit and switches off after the last one."""
        fault = self.active.get(name)
        if fault is None or (fault.probability < 1.0 and self._random.random() >= fault.probability):
            return None
        fault.hits += 1
        self.hits[name] = self.hits.get(name, 0) + 1
        if fault.times is not None and fault.hits >= fault.times:
            del self.active[name]
        return fault
