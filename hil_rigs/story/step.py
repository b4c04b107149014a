"""What a story is made of: steps between participants, and signatures with their verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Lane(StrEnum):
    """Who takes part, from left to right."""

    VEHICLE = "Vehicle"
    STATION = "Station"
    METER = "Meter"
    TOKEN = "Token"  # noqa: S105 - the PKCS#11 token
    CPO = "CPO"
    POOLS = "Pools"
    OEM = "OEM"
    MO = "MO"
    HUB = "Hub"


@dataclass(frozen=True, slots=True)
class Step:
    """One message, or something that happened at one participant (sender and receiver are the same).

    at: boot-time seconds. source: resource or connector. text: shown on the arrow. protocol: whose message it is.
    remark: a note below the arrow. content: decoded, JSON-compatible. packet: of `capture`, as Wireshark counts.
    """

    at: float
    source: str
    sender: Lane
    receiver: Lane
    text: str
    protocol: str
    remark: str = ""
    content: Mapping[str, object] = field(default_factory=dict)
    packet: int | None = None
    capture: str = ""

    @property
    def shape(self) -> tuple[object, ...]:
        """What is the same in a message that repeats."""
        return self.source, self.sender, self.receiver, self.text, self.protocol, self.remark


class Verdict(StrEnum):
    """Of a signature. NOTED: it was checked when it was made, and cannot be checked again from what was kept."""

    VALID = "valid"
    INVALID = "INVALID"
    NOT_CHECKED = "not checked"
    NOTED = "noted"


@dataclass(frozen=True, slots=True)
class Signature:
    """at: of the message, None for what stands in a file. what: was signed. covers: the elements or the file.

    signer: subject, or the key. trust: the chain of the signer, "" when there is nothing to say.
    """

    at: float | None
    what: str
    covers: str
    signer: str
    algorithm: str
    verdict: Verdict
    trust: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """Steps that stand together. count: how often in a row; until: time of the last one."""

    steps: tuple[Step, ...]
    count: int
    until: float


@dataclass(frozen=True, slots=True)
class Story:
    """A run. notes: what could not be used."""

    rig: str
    verdict: str
    passages: tuple[Passage, ...]
    signatures: tuple[Signature, ...]
    notes: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """Whether no signature is wrong."""
        return not any(one.verdict is Verdict.INVALID for one in self.signatures)


LONGEST = 3  # steps that may stand in a repeated passage: request, answer, and what belongs to them


def folded(steps: Sequence[Step]) -> tuple[Passage, ...]:
    """The same steps with repetitions folded: a loop of three hours is one passage."""
    passages: list[Passage] = []
    position = 0
    while position < len(steps):
        length, count = _repetition(steps, position)
        end = position + length * count
        passages.append(Passage(tuple(steps[position : position + length]), count, steps[end - 1].at))
        position = end
    return tuple(passages)


def _repetition(steps: Sequence[Step], start: int) -> tuple[int, int]:
    for length in range(1, LONGEST + 1):
        unit = [step.shape for step in steps[start : start + length]]
        count = 1
        while (
            len(unit) == length
            and [step.shape for step in steps[start + count * length : start + (count + 1) * length]] == unit
        ):
            count += 1
        if count > 1:
            return length, count
    return 1, 1
