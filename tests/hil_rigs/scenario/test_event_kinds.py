"""The table of kinds names what the code traces: no event is missing, none was invented."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from backends.operators.hub.forwarding import State
from backends.operators.mo.judging import CdrStatus
from hil_rigs.scenario.channels import ROWS
from hil_rigs.scenario.event_kinds import KINDS
from hil_rigs.serial_line.faults import FROM_MASTER, TO_MASTER
from ports.backend import Ack

ROOT = Path(__file__).parents[3]
ROOMS = ("gateway", "backends", "meters", "hsm", "firmware_sim", "readers", "backend_client", "v2g", "hil_rigs")
# elsewhere: V2G messages and events of their sessions, and what `Breakable.say` traces
OTHERS = {"v2g.tx", "v2g.rx", "v2g.ignored", "fault.begun", "fault.over"}
TRACING = re.compile(r"(.*\.)?(_?trace|_?trace_entry|_?trace_frame|_?emit|Note|TraceEvent)")
PREFIXES = tuple({row.prefix for row in ROWS if not row.prefix.startswith("v2g.")})


def traced() -> Iterator[tuple[str, set[str], str]]:
    """Kind, names of fields and place of each call that traces a literal."""
    looks_so = re.compile("[\"'](" + "|".join(map(re.escape, PREFIXES)) + ")")
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            if "generated" in path.parts or not looks_so.search(text := path.read_text(encoding="utf-8")):
                continue
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Call) and TRACING.fullmatch(ast.unparse(node.func)):
                    for kind in filter(None, map(literal, node.args)):
                        yield kind, keys(node), f"{path.relative_to(ROOT)}:{node.lineno}"


def literal(node: ast.expr) -> str:
    value = node.value if isinstance(node, ast.Constant) else ""
    return value if isinstance(value, str) and value.startswith(PREFIXES) else ""


def keys(node: ast.Call) -> set[str]:
    found = {one.arg for one in node.keywords if one.arg is not None}
    for one in node.args:
        if isinstance(one, ast.Dict):
            found |= {str(key.value) for key in one.keys if isinstance(key, ast.Constant)}
    return found - {"raw"}


def test_every_kind_and_every_field_that_is_traced_is_in_the_table() -> None:
    calls = list(traced())
    assert len(calls) > 100
    missing = {f"{kind} of {place}" for kind, _, place in calls if kind not in KINDS and kind not in OTHERS}
    assert not missing, "add them to hil_rigs/scenario/event_kinds.py"
    for kind, fields, place in calls:
        if kind in KINDS:
            known = {word.partition("[")[0] for word in KINDS[kind].split()}
            assert fields <= known or "..." in known, f"{place}: add {fields - known} to {kind} in event_kinds.py"


def test_kinds_that_end_with_a_state() -> None:
    made = {f"hub.cdr.{state}" for state in State} | {f"mo.cdr.{status}" for status in CdrStatus}
    made |= {f"{side}.{ack}" for ack in Ack for side in ("cpo", "backend")} | {FROM_MASTER, TO_MASTER}
    assert made <= set(KINDS)
