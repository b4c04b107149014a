"""`plugbench checks`: the judgements that a scenario can ask for, with their parameters."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace, _SubParsersAction
from dataclasses import asdict


def add_commands(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("checks", help="list the checks of scenarios: what they judge, their parameters")
    parser.add_argument("name", nargs="?", default="", help="one of them")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=run)


def run(args: Namespace) -> int:
    """List; 0, or 2 when there is no such check."""
    from hil_rigs.scenario.checks import CHECKS, find

    chosen = {args.name: find(args.name)} if args.name else CHECKS
    for name, check in chosen.items():
        if args.json:
            parameters = [asdict(one) for one in check.parameters]
            print(json.dumps({"check": name, "meaning": check.meaning, "parameters": parameters}))
            continue
        print(f"{name}\n  {check.meaning}")
        for one in check.parameters:
            value = "required" if one.required else str(one.default).lower()
            text = " ".join(filter(None, (one.unit, one.meaning, "/".join(one.choices))))
            print(f"  {one.name} ({value}) {text}")
    return 0
