"""What of a run's folder is evidence, and what each file is."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

from hil_rigs.evidence.event_hash import EVENTS
from hil_rigs.evidence.manifest import DIGEST, MANIFEST
from hil_rigs.evidence.names import check_name
from ports.errors import RigError

ARCHIVE = "evidence.zip"
INDEX = "records/index.json"
ASSERTIONS = "assertions.json"
RIG, SCENARIO = "rig.yaml", "scenario.yaml"
REPORT, REPORT_DATA = "report.html", "report.json"

ROLES = (
    (RIG, "rig file"),
    (SCENARIO, "scenario"),
    (EVENTS, "events"),
    (REPORT, "report for people"),
    ("report.md", "report for people"),
    (REPORT_DATA, "report for machines"),
    (ASSERTIONS, "results of assertions"),
    ("junit.xml", "results for CI"),
    ("story.*", "the run as a sequence"),
    ("certificates/*", "certificates of the run"),
    ("receipts/*", "metering receipt"),
    ("*.pcapng", "capture with TLS keys"),
    ("serial-*.txt", "frames of a serial line"),
    ("public_key.*", "public key"),
    (INDEX, "what each record is"),
    ("records/*.ocmf", "signed record"),
    ("records/*.xml", "transaction for the transparency software"),
)

WORKING = ("*.db", "*.db.*", "*.db-*", ARCHIVE, MANIFEST, DIGEST)
"""Databases of the run (all that was signed is in records/), and the evidence itself."""


def role(name: str) -> str:
    """What a file is."""
    return next((what for pattern, what in ROLES if fnmatchcase(name, pattern)), "other")


def evidence_files(folder: Path) -> list[str]:
    """The names of all files of evidence, in order. Raises RigError: a link; BadNameError."""
    names = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise RigError(f"{path}: a link is no evidence, put the file there")
        if path.is_file() and not any(fnmatchcase(name, pattern) for pattern in WORKING):
            names.append(check_name(name))
    return sorted(names)
