"""`plugbench faults`: everything that a rig can break on purpose, and the defects that scenarios are proven with."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace, _SubParsersAction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil_rigs.fault_catalogue.entry import Entry, Parameter


def add_commands(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("faults", help="list what a scenario can break: names, parameters, effects")
    parser.add_argument("name", nargs="?", default="", help="a layer (cable, line, meter ...) or a fault")
    parser.add_argument("--defects", action="store_true", help="the defects that prove that a scenario can fail")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.set_defaults(run=run)


def run(args: Namespace) -> int:
    """List; 0, or 2 when nothing has that name."""
    from hil_rigs.fault_catalogue.catalogue import CATALOGUE, LAYERS, find
    from hil_rigs.scenario.defects import DEFECTS

    if args.defects:
        for name, seed in DEFECTS.items():
            if args.json:
                parameters = _parameters(seed.parameters)
                print(json.dumps({"defect": name, "meaning": seed.meaning, "parameters": parameters}))
            else:
                print(f"{name}\n  {seed.meaning}")
                _show_parameters(seed.parameters, "  ")
        return 0
    chosen = [entry for entry in CATALOGUE.values() if entry.layer == args.name or not args.name]
    if not chosen:
        chosen = [find(args.name)]
    layer = ""
    for entry in chosen:
        if args.json:
            print(json.dumps(_plain(entry)))
            continue
        if entry.layer != layer:
            layer = entry.layer
            print(f"{layer}: {LAYERS[layer]}")
        _show(entry)
    return 0


def _show(entry: Entry) -> None:
    print(f"  {entry.name}  on: {entry.on}{'' if entry.counts else '  (not counted)'}")
    print(f"    {entry.effect}; undone: {entry.undo}")
    _show_parameters(entry.parameters, "    ")


def _show_parameters(parameters: Sequence[Parameter], indent: str) -> None:
    for one in parameters:
        value = "required" if one.required else "optional" if one.optional else f"{one.default}"
        text = " ".join(filter(None, (one.unit, one.meaning, "/".join(one.choices))))
        print(f"{indent}{one.name} ({value}) {text}".rstrip())


def _plain(entry: Entry) -> dict[str, object]:
    return {
        "fault": entry.name,
        "layer": entry.layer,
        "on": entry.on,
        "effect": entry.effect,
        "undo": entry.undo,
        "counts": entry.counts,
        "parameters": _parameters(entry.parameters),
    }


def _parameters(parameters: Sequence[Parameter]) -> list[dict[str, object]]:
    return [
        {
            "name": one.name,
            "unit": one.unit,
            "default": one.default,
            "required": one.required,
            "meaning": one.meaning,
            "choices": list(one.choices),
        }
        for one in parameters
    ]
