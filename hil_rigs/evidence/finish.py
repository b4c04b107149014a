"""The end of a run: what it left becomes evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from hil_rigs.evidence.assertions import Assertion, write_assertions
from hil_rigs.evidence.event_hash import EVENTS, MAX_LINE, decode_event
from hil_rigs.evidence.manifest import Resource
from hil_rigs.evidence.records import write_index
from hil_rigs.evidence.seal import About, Sealed, seal
from hil_rigs.evidence.serial_text import serial_text
from hil_rigs.evidence.source import FolderSource, lines_of
from hil_rigs.run import RunOutcome


def finish(
    folder: Path,
    outcome: RunOutcome,
    started: datetime,
    *,
    assertions: Sequence[Assertion] = (),
    scenario: str = "",
) -> Sealed:
    """Complete the folder of a run (rig.yaml, events.jsonl, records/, report.json are there) and seal it.

    started: civil time of the machine at the beginning. Raises RigError.
    """
    result = outcome.result
    lines = lines_of(FolderSource(folder), EVENTS, MAX_LINE)
    serial_text(decode_event(line, number) for number, line in enumerate(lines, start=1)).write(folder)
    write_index(folder, outcome.records)
    if assertions:
        write_assertions(folder, assertions)
    about = About(
        run=f"{result.rig}-{started:%Y%m%d-%H%M%S-%f}",
        rig=result.rig,
        seed=result.seed,
        clock=result.clock,
        started=started.isoformat(),
        verdict=result.verdict,
        signer=result.signer,
        is_hsm=result.is_hsm,
        resources=[Resource(**asdict(line)) for line in result.resources],
        scenario=scenario,
    )
    return seal(folder, about)
