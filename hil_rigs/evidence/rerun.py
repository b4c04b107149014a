"""Run a rig into a folder of evidence, and say whether another run was the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from pathlib import Path

from hil_rigs.evidence.assertions import Assertion, read_assertions
from hil_rigs.evidence.contents import ASSERTIONS, RIG
from hil_rigs.evidence.event_hash import EVENTS, MAX_LINE, Event, canonical, decode_event
from hil_rigs.evidence.finish import finish
from hil_rigs.evidence.of_scenario import finish_scenario
from hil_rigs.evidence.seal import Sealed
from hil_rigs.evidence.source import FolderSource, Source, lines_of
from hil_rigs.rig_file import RigFile
from hil_rigs.run import RunOutcome, run_rig
from hil_rigs.run_folder import write_records, write_report
from hil_rigs.scenario.format import Defect
from hil_rigs.scenario.scenario_file import ScenarioFile
from hil_rigs.scenario.scenario_run import run_scenario
from hil_rigs.trace_file import TraceFile
from ports.trace import TraceEvent

MILESTONES: dict[str, tuple[str, ...]] = {
    "pilot.state": ("state", "pwm"),
    "power.contactor": ("closed",),
    "session.state": ("state",),
    "session.authorised": ("id_type", "level"),
    "session.refused": ("why",),
    "session.fault": ("why",),
    "secc.session": ("outcome", "resumed"),
    "v2g.StateChanged": ("old", "new"),
    "tls.established": ("version", "cipher"),
    "evcc.failed": ("why",),
}
"""What happens in the same order in every run in real time, where readings come a little sooner or later."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The first difference between two runs. place: where; recorded, again: both sides, "" where there is nothing."""

    place: str
    recorded: str
    again: str


def run_into(
    rig_file: RigFile,
    octets: bytes,
    folder: Path,
    started: datetime,
    listeners: list[Callable[[TraceEvent], None]],
    say: Callable[[str], None],
) -> tuple[RunOutcome, Sealed]:
    """Run a rig and leave its evidence. octets: of the rig file. started: civil time of the machine.

    Raises RigError when the rig does not come up.
    """
    with TraceFile(folder / EVENTS, listeners) as tracer:
        outcome = run_rig(rig_file, folder, tracer, say)
    (folder / RIG).write_bytes(octets)
    write_records(folder, outcome.records, outcome.public_key)
    write_report(folder, outcome.result)
    return outcome, finish(folder, outcome, started)


def run_scenario_into(
    file: ScenarioFile, defect: Defect | None, seed: int, folder: Path, started: datetime
) -> tuple[str, Sealed]:
    """Run a scenario and leave its evidence; its verdict, and what was sealed. Raises RigError."""
    with TraceFile(folder / EVENTS) as tracer:
        result = run_scenario(file, folder, tracer, lambda _: None, defect=defect, seed=seed)
    return str(result.verdict), finish_scenario(folder, file, result, started)


def events_of(source: Source) -> Iterator[Event]:
    """The events of evidence, in order. Raises EventError."""
    for number, line in enumerate(lines_of(source, EVENTS, MAX_LINE), start=1):
        yield decode_event(line, number)


def first_difference(recorded: Iterable[Event], again: Iterable[Event]) -> Difference | None:
    """The first event that is not the same, as both are hashed; None when all are."""
    for number, (one, other) in enumerate(zip_longest(recorded, again), start=1):
        before, after = (b"" if event is None else canonical(event) for event in (one, other))
        if before != after:
            return Difference(f"event {number}", before.decode(), after.decode())
    return None


def first_other_order(recorded: Iterable[Event], again: Iterable[Event]) -> Difference | None:
    """The first milestone that differs, of each source and kind; None when they come in the same order."""
    before, after = _milestones(recorded), _milestones(again)
    for source, kind in sorted({*before, *after}):
        pairs = zip_longest(before.get((source, kind), []), after.get((source, kind), []), fillvalue="")
        for number, (one, other) in enumerate(pairs, start=1):
            if one != other:
                return Difference(f"{kind} {number} of {source}", one, other)
    return None


def first_other_result(recorded: Iterable[Assertion], again: Iterable[Assertion]) -> Difference | None:
    """The first assertion that was another one or came out otherwise; None when all are the same."""
    for one, other in zip_longest(recorded, again):
        before, after = ("" if said is None else f"{said.verdict}: {said.expected}" for said in (one, other))
        if before != after:
            return Difference(f"assertion {(one or other).id}", before, after)
    return None


def compare(recorded: Source, folder: Path, *, repeats: bool) -> Difference | None:
    """Recorded evidence and the folder of another run: every event in virtual time, else the order of milestones.

    Then what came of each assertion.
    """
    judge = first_difference if repeats else first_other_order
    again = FolderSource(folder)
    return judge(events_of(recorded), events_of(again)) or first_other_result(results_of(recorded), results_of(again))


def results_of(source: Source) -> tuple[Assertion, ...]:
    """What came of the assertions; none of a run that had none. Raises PeerError."""
    return read_assertions(source) if ASSERTIONS in source.names else ()


def _milestones(events: Iterable[Event]) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for event in events:
        if event.kind in MILESTONES:
            values = [f"{name} {event.data[name]}" for name in MILESTONES[event.kind] if name in event.data]
            found[event.source, event.kind].append(", ".join(values))
    return found
