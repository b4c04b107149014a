"""Results of assertions: what a scenario or a conformance case expected, and what was seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from hil_rigs.evidence.contents import ASSERTIONS
from hil_rigs.evidence.source import Source, whole
from ports.errors import PeerError

MAX_ASSERTIONS = 64 << 20


class Assertion(Struct, frozen=True, forbid_unknown_fields=True):
    """One result. id: of a conformance case or requirement; claim: of the rig file; channel: where it was observed.

    place: file:line of the expectation. real: names of the resources on that channel that were not simulated.
    """

    id: str
    claim: str
    channel: str
    verdict: Literal["pass", "fail", "inconclusive"]
    expected: str
    observed: str
    place: str
    real: tuple[str, ...] = ()


def write_assertions(folder: Path, assertions: Sequence[Assertion]) -> None:
    """assertions.json."""
    octets = msgspec.json.format(msgspec.json.encode(assertions), indent=1)
    (folder / ASSERTIONS).write_bytes(octets + b"\n")


def read_assertions(source: Source) -> tuple[Assertion, ...]:
    """As written. Raises PeerError."""
    try:
        return msgspec.json.decode(whole(source, ASSERTIONS, MAX_ASSERTIONS), type=tuple[Assertion, ...])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise PeerError(f"{ASSERTIONS}: {error}") from None


def failed(assertions: Sequence[Assertion]) -> bool:
    """Whether one of them did."""
    return any(one.verdict == "fail" for one in assertions)
