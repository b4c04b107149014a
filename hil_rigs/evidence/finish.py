"""The end of a run: what it left becomes evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from hil_rigs.evidence.assertions import Assertion, write_assertions
from hil_rigs.evidence.contents import REPORT
from hil_rigs.evidence.event_hash import EVENTS, MAX_LINE, EventHash, decode_event
from hil_rigs.evidence.manifest import Resource
from hil_rigs.evidence.records import write_index
from hil_rigs.evidence.report.page import Contents, page
from hil_rigs.evidence.report.series import Series
from hil_rigs.evidence.seal import About, Sealed, listed, seal
from hil_rigs.evidence.serial_text import SerialText
from hil_rigs.evidence.source import FolderSource, lines_of
from hil_rigs.evidence.versions import versions
from hil_rigs.run import RunOutcome, RunResult
from hil_rigs.story.step import Story
from hil_rigs.story.tell import tell
from hil_rigs.story.write import write_story
from ports.backend import SignedRecord
from ports.errors import PlugbenchError


def finish(folder: Path, outcome: RunOutcome, started: datetime) -> Sealed:
    """Complete the folder of a run (rig.yaml, events.jsonl, records/, report.json are there) and seal it.

    started: civil time of the machine at the beginning. Raises RigError.
    """
    return complete(folder, outcome.result, outcome.records, started)


def complete(
    folder: Path,
    result: RunResult,
    records: Sequence[SignedRecord],
    started: datetime,
    *,
    assertions: Sequence[Assertion] = (),
    scenario: str = "",
    defect: str = "",
    title: str = "",
) -> Sealed:
    """As `finish`, also of a scenario. defect: that was seeded in it. title: what it is about."""
    source = FolderSource(folder)
    series, frames, hashed = Series(), SerialText(), EventHash()
    for number, line in enumerate(lines_of(source, EVENTS, MAX_LINE), start=1):
        event = decode_event(line, number)
        for take in (series.see, frames.add, hashed.add):
            take(event)
    frames.write(folder)
    write_index(folder, records)
    if assertions:
        write_assertions(folder, assertions)
    story = _told(folder, result)
    write_story(folder, story)
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
        versions=versions(),
        scenario=scenario,
        defect=defect,
    )
    contents = Contents(
        run=about.run,
        started=about.started,
        result=result,
        assertions=assertions,
        series=series,
        story=story,
        versions=about.versions,
        files=listed(FolderSource(folder)),
        event_hash=hashed.hex() if result.clock == "virtual" else "",
        scenario=f"{scenario} with {defect}" if defect else scenario,
        title=title,
    )
    (folder / REPORT).write_text(page(contents), encoding="utf-8")
    return seal(folder, about)


def _told(folder: Path, result: RunResult) -> Story:
    """The story; where what was recorded cannot be read, a note says so: the evidence is sealed all the same."""
    try:
        return tell(folder)
    except PlugbenchError as error:
        return Story(result.rig, result.verdict, (), (), (f"this run cannot be told as a sequence: {error}",))
