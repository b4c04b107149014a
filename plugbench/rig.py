"""`plugbench rig`: check rig files, print their schema."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hil_rigs.reality import describe, description_table
from hil_rigs.rig_file import RigFile, RigFileError, load_rig
from hil_rigs.rig_schema import rig_schema_text
from hil_rigs.surroundings import lesser, surroundings
from hil_rigs.typed_yaml import Problem, place_text


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `rig check` and `rig schema`."""
    parser = subparsers.add_parser("rig", help="check a rig file, say what is real and what is simulated")
    verbs = parser.add_subparsers(dest="verb", metavar="verb", required=True)
    check = verbs.add_parser("check", help="check files, find ports, say what is real (exit 0 good, 2 not)")
    check.add_argument("files", nargs="+", type=Path, metavar="FILE", help="rig file")
    check.add_argument("--json", action="store_true", help="one JSON object a line for each file")
    check.set_defaults(run=check_files)
    schema = verbs.add_parser("schema", help="print the JSON Schema of rig files, for editors")
    schema.set_defaults(run=print_schema)


def check_files(args: argparse.Namespace) -> int:
    """Check every file; 0 when all can run here, else 2."""
    good = True
    for path in args.files:
        loaded: RigFile | None = None
        try:
            loaded = load_rig(path)
            problems, warnings = surroundings(loaded), [*loaded.warnings, *lesser(loaded)]
        except RigFileError as error:
            problems, warnings = list(error.problems), []
        good = good and not problems
        report = _json_report if args.json else _text_report
        report(path, loaded, problems, warnings)
    return 0 if good else 2


def _text_report(path: Path, loaded: RigFile | None, problems: list[Problem], warnings: list[Problem]) -> None:
    if loaded is not None:
        print(f"{path}: {'good' if not problems else 'cannot run here'}")
        print(description_table(loaded.rig))
    for warning in warnings:
        print(f"warning: {warning}")
    for problem in problems:
        print(problem, file=sys.stderr)


def _json_report(path: Path, loaded: RigFile | None, problems: list[Problem], warnings: list[Problem]) -> None:
    print(
        json.dumps(
            {
                "file": str(path),
                "good": not problems,
                "rig": loaded.rig.rig if loaded else None,
                "resources": [asdict(line) for line in describe(loaded.rig)] if loaded else [],
                "problems": [_problem(problem) for problem in problems],
                "warnings": [_problem(warning) for warning in warnings],
            }
        )
    )


def _problem(problem: Problem) -> dict[str, Any]:
    return {"line": problem.line, "place": place_text(problem.place), "message": problem.message}


def print_schema(_args: argparse.Namespace) -> int:
    """Print the schema."""
    print(rig_schema_text(), end="")
    return 0
