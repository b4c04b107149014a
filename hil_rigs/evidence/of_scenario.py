"""Scenarios and evidence: what one left becomes evidence, and evidence says what to run again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from hil_rigs.evidence.assertions import Assertion
from hil_rigs.evidence.contents import REPORT_DATA, RIG, SCENARIO
from hil_rigs.evidence.event_hash import EVENTS, MAX_LINE, Event, decode_event
from hil_rigs.evidence.finish import complete
from hil_rigs.evidence.manifest import Manifest
from hil_rigs.evidence.records import KEY_FILE, check_records, read_key
from hil_rigs.evidence.seal import Sealed
from hil_rigs.evidence.source import FolderSource, Source, lines_of, whole
from hil_rigs.reality import Where, describe
from hil_rigs.rig_file import MAX_OCTETS, RigFile
from hil_rigs.run import RunResult
from hil_rigs.run_folder import write_report
from hil_rigs.scenario.format import Defect
from hil_rigs.scenario.judge import Judged
from hil_rigs.scenario.scenario_file import ScenarioFile, load_scenarios
from hil_rigs.scenario.scenario_run import ScenarioResult
from hil_rigs.yaml_nodes import MappingNode, ScalarNode, YamlError, compose
from ocmf.container import Record, parse
from ports.backend import SignedRecord
from ports.errors import RigError


def finish_scenario(folder: Path, file: ScenarioFile, result: ScenarioResult, started: datetime) -> Sealed:
    """Complete the folder of a scenario's run (events.jsonl is there, records where some were signed) and seal it.

    started: civil time of the machine at the beginning. Raises RigError.
    """
    (folder / SCENARIO).write_bytes(file.path.read_bytes())
    problems = (f"{result.where}: {result.problem}",) if result.problem else ()
    return finish_judged(
        folder,
        file.rig,
        str(result.verdict),
        result.judged,
        problems,
        started,
        scenario=file.name,
        defect=result.defect,
        title=file.scenario.title,
    )


def finish_judged(
    folder: Path,
    rig: RigFile,
    verdict: str,
    judged: Sequence[Judged],
    problems: tuple[str, ...],
    started: datetime,
    *,
    scenario: str,
    defect: str = "",
    title: str = "",
) -> Sealed:
    """As `finish_scenario`, of anything that was judged. scenario: its name. Raises RigError."""
    (folder / RIG).write_bytes(rig.path.read_bytes())
    signer, is_hsm, records = _from_events(folder)
    resources = describe(rig.rig)
    run = RunResult(
        rig=rig.rig.rig,
        verdict=verdict,
        clock=resources[0].where,
        seed=rig.rig.seed,
        signer=signer,
        is_hsm=is_hsm,
        resources=resources,
        sessions=(),
        problems=problems,
    )
    real = tuple(line.name for line in resources[1:] if line.where != Where.VIRTUAL)
    assertions = [
        Assertion(
            id=one.id,
            claim=one.claim,
            channel=one.channel,
            verdict=one.verdict.value,
            expected=one.expected,
            observed=one.observed,
            place=one.where,
            ids=one.ids,
            at=one.at,
            real=real,
        )
        for one in judged
    ]
    write_report(folder, run, assertions)
    _note_findings(folder, records)
    return complete(folder, run, records, started, assertions=assertions, scenario=scenario, defect=defect, title=title)


def scenario_of(source: Source, manifest: Manifest, place: Path) -> tuple[ScenarioFile, Defect | None]:
    """The scenario of evidence, with its variant and its defect. place: an empty folder for its files.

    Raises RigError, ScenarioError: it cannot be read here.
    """
    if SCENARIO not in source.names:
        raise RigError(f"this is evidence of a test in Python: run {manifest.scenario} again with pytest --rig")
    octets = whole(source, SCENARIO, MAX_OCTETS)
    rig = _rig_named(octets)
    folder = place.joinpath(*(str(number) for number in range(len(rig.parts))))  # deep enough for every ".." in it
    folder.mkdir(parents=True)
    target = Path(os.path.normpath(folder / rig))
    if not target.is_relative_to(place) or rig.name == SCENARIO:
        raise RigError(f"{SCENARIO}: the rig {rig} is not beside the scenario")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(whole(source, RIG, MAX_OCTETS))
        (folder / SCENARIO).write_bytes(octets)
    except OSError as error:
        raise RigError(f"{SCENARIO}: the rig {rig} cannot be put there: {error.strerror}") from None
    file = next((one for one in load_scenarios(folder / SCENARIO) if one.name == manifest.scenario), None)
    if file is None:
        raise RigError(f"{SCENARIO}: there is no scenario {manifest.scenario!r} in it")
    defect = next((one for one in file.scenario.defects if one.seed == manifest.defect), None)
    if manifest.defect and defect is None:
        raise RigError(f"{SCENARIO}: there is no defect {manifest.defect!r} in it")
    return file, defect


def _rig_named(octets: bytes) -> Path:
    """What the scenario says under `rig`."""
    try:
        root = compose(octets.decode("utf-8-sig"))
    except (YamlError, UnicodeDecodeError) as error:
        raise RigError(f"{SCENARIO}: {error}") from None
    for key, value in root.value if isinstance(root, MappingNode) else ():
        if key.value == "rig" and isinstance(value, ScalarNode) and value.value:
            return Path(value.value)
    raise RigError(f"{SCENARIO}: names no rig")


def _from_events(folder: Path) -> tuple[str, bool, list[SignedRecord]]:
    """Who signed, whether that was a token, and the records in the order in which they were signed."""
    kept: dict[str, Record] = {}
    for path in sorted(folder.glob("records/*.ocmf")):
        record = parse(path.read_text(encoding="utf-8"))
        kept[record.record_id] = record
    signer, is_hsm, records = "", False, []
    for event in _events(folder):
        if event.kind == "token.opened":
            signer, is_hsm = f"token {event.source} ({event.data.get('library')})", True
        found = kept.pop(str(event.data.get("record")), None) if event.kind == "journal.signed" else None
        if found is not None:
            records.append(_signed(found, str(event.data.get("transaction")), str(event.data.get("kind"))))
    return signer, is_hsm, [*records, *(_signed(record, "", "") for record in kept.values())]


def _signed(record: Record, transaction: str, context: str) -> SignedRecord:
    gateway, meter, page = (record.string(key) for key in ("GS", "MS", "PG"))
    return SignedRecord(record.record_id, gateway, meter, page, transaction, context, record.text, "")


def _events(folder: Path) -> Iterable[Event]:
    lines = lines_of(FolderSource(folder), EVENTS, MAX_LINE)
    return (decode_event(line, number) for number, line in enumerate(lines, start=1))


def _note_findings(folder: Path, records: list[SignedRecord]) -> None:
    """A scenario may want wrong records; whoever checks the evidence has to know that they were wrong before."""
    if not (folder / KEY_FILE).is_file():
        return
    findings = check_records(records, read_key(FolderSource(folder)))
    file = folder / REPORT_DATA
    content = {**json.loads(file.read_bytes()), "record_findings": findings}
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
