"""Read a rig file: all of it is checked before anything starts, and every finding has its line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hil_rigs.rig import Rig
from hil_rigs.rig_checks import CHECKS, rarely_meant
from hil_rigs.typed_yaml import Place, Problem, TypedYaml
from ports.errors import RigError

MAX_OCTETS = 1 << 20
"""A larger file is not a rig file."""


class RigFileError(RigError):
    """A rig file with problems: one line for each."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class RigFile:
    """A rig file that was read and found good. warnings: what is allowed but rarely meant."""

    path: Path
    rig: Rig
    warnings: tuple[Problem, ...]
    source: TypedYaml

    def problem(self, place: Place, message: str) -> Problem:
        """Something that turned out later, with the line that it comes from."""
        return Problem(self.path, self.source.line(place), place, message)


def load_rig(path: Path) -> RigFile:
    """Read and check a rig file. Relative paths in it count from its folder.

    Raises RigFileError with every problem of the file. Ports, tokens and programs are not looked for: that is
    `hil_rigs.surroundings`.
    """
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise RigFileError([Problem(path, 0, (), f"cannot read it: {error.strerror}")]) from None
    try:
        if len(octets) > MAX_OCTETS:
            raise RigFileError([Problem(path, 0, (), f"{len(octets)} octets are too many for a rig file")])
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise RigFileError([Problem(path, line, (), "not UTF-8")]) from None
    return rig_of_text(path, text)


def rig_of_text(path: Path, text: str) -> RigFile:
    """Check a rig file's text. path: its name, and where relative paths in it count from. Raises RigFileError."""
    source = TypedYaml(path, text)
    rig = source.build(Rig)
    if rig is None:
        raise RigFileError(sorted(source.problems, key=lambda problem: problem.line))
    for check in CHECKS:
        for place, message in check(rig):
            source.report(place, message)
    if source.problems:
        raise RigFileError(sorted(source.problems, key=lambda problem: problem.line))
    warnings = [Problem(path, source.line(place), place, message) for place, message in rarely_meant(rig)]
    return RigFile(path, rig, tuple(sorted(warnings, key=lambda warning: warning.line)), source)
