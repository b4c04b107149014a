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


class Assertion(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One result. id: within its scenario; ids: conformance cases and requirements; claim: of the rig file.

    channel: where it was observed. place: file:line of the expectation. at: boot-time seconds of what decided it.
    real: names of the resources on that channel that were not simulated.
    """

    id: str
    claim: str = ""
    channel: str
    verdict: Literal["pass", "not run", "inconclusive", "fail", "error"]
    expected: str
    observed: str
    place: str
    ids: tuple[str, ...] = ()
    at: float | None = None
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


def overall(assertions: Sequence[Assertion]) -> str:
    """The verdict of all of them: the worst that decides."""
    verdicts = {one.verdict for one in assertions}
    return next((word for word in ("fail", "error", "inconclusive") if word in verdicts), "pass")
