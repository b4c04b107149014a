"""The story of a run, from its folder or its archive."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from asn1crypto.x509 import Certificate  # type: ignore[import-untyped]

from hil_rigs.evidence.event_hash import EVENTS, MAX_LINE, Event, decode_event
from hil_rigs.evidence.source import Source, lines_of, open_source, whole
from hil_rigs.story.happenings import Happenings
from hil_rigs.story.recorded import read_recording
from hil_rigs.story.signatures import Trust, of_messages, of_records, of_tls
from hil_rigs.story.step import Story, folded
from hil_rigs.story.timeline import Timeline
from ocmf.keys import KeyFormatError, PublicKey, decode_public_key
from ports.errors import PeerError
from v2g.certificates import load_all

RECORDING = "v2g-*.pcapng"
RECORDS = "records/*.ocmf"
ROOTS, SUB_CAS = "certificates/roots.pem", "certificates/sub-cas.pem"
MAX_RECORDING = 1 << 30
MAX_FILE = 1 << 20


def tell(path: Path) -> Story:
    """Read what a run left. Raises RigError (nothing there), PeerError (damaged)."""
    with open_source(path) as source:
        return _tell(source)


def _tell(source: Source) -> Story:
    report = _report(source)
    timeline, tls = Timeline(Happenings(_kinds(report))), []
    for event in _events(source):
        timeline.see(event)
        if event.kind.startswith("tls."):
            tls.append(event)
    signatures = of_tls(tls)
    trust = Trust(_certificates(source, ROOTS), _certificates(source, SUB_CAS))
    notes: list[str] = []
    for name in source.names:
        if fnmatchcase(name, RECORDING):
            connector = name.removeprefix("v2g-").removesuffix(".pcapng")
            messages, said = read_recording(name, whole(source, name, MAX_RECORDING), connector)
            timeline.join(connector, messages)
            signatures += of_messages(messages, trust)
            notes += said
    signatures += of_records(_records(source), _public_key(source))
    return Story(
        rig=str(report.get("rig", "")),
        verdict=str(report.get("verdict", "")),
        passages=folded(timeline.steps()),
        signatures=tuple(signatures),
        notes=tuple(notes),
    )


def _kinds(report: dict[str, object]) -> dict[str, str]:
    """The kinds of the rig's resources, by name, as far as the report says."""
    lines = report.get("resources")
    rows = [line for line in lines if isinstance(line, dict)] if isinstance(lines, list) else []
    return {str(row.get("name")): str(row.get("kind")) for row in rows}


def _events(source: Source) -> Iterator[Event]:
    if EVENTS in source.names:
        for number, line in enumerate(lines_of(source, EVENTS, MAX_LINE), start=1):
            yield decode_event(line, number)


def _records(source: Source) -> Iterator[tuple[str, str]]:
    for name in sorted(source.names, key=_natural):
        if fnmatchcase(name, RECORDS):
            yield name.removeprefix("records/"), whole(source, name, MAX_FILE).decode("utf-8", "replace")


def _natural(name: str) -> list[tuple[int, str]]:
    """T2 before T10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def _public_key(source: Source) -> PublicKey | None:
    if "public_key.hex" not in source.names:
        return None
    try:
        return decode_public_key(whole(source, "public_key.hex", MAX_FILE).decode("ascii", "replace").strip())
    except KeyFormatError as error:
        raise PeerError(f"public_key.hex: {error}") from error


def _certificates(source: Source, name: str) -> list[Certificate]:
    return load_all(whole(source, name, MAX_FILE)) if name in source.names else []


def _report(source: Source) -> dict[str, object]:
    if "report.json" not in source.names:
        return {}
    try:
        content = json.loads(whole(source, "report.json", MAX_RECORDING))
    except ValueError as error:
        raise PeerError(f"report.json: {error}") from error
    return content if isinstance(content, dict) else {}
