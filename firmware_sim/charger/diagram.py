"""Draws `docs/diagrams/pilot.md` from the tables: `python -m firmware_sim.charger.diagram > docs/diagrams/pilot.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from firmware_sim.agenda import MS
from firmware_sim.charger import timings
from firmware_sim.charger.protection import PROTECTION
from firmware_sim.charger.transitions import TRANSITIONS
from firmware_sim.vehicle.transitions import VEHICLE_TRANSITIONS

HEAD = """# The control pilot's states

Generated from `firmware_sim/charger/transitions.py`, `protection.py`, `timings.py` and
`firmware_sim/vehicle/transitions.py` by `python -m firmware_sim.charger.diagram`; do not edit.

x1 = no PWM, x2 = PWM. Letters at an arrow are pilot levels. "A.6 4" is sequence 4 of IEC 61851-1 table A.6.
"""


def edges(rows: Iterable[tuple[str, str, str]]) -> list[str]:
    """Mermaid lines for (from, to, label), one arrow per pair of states, none for a state that stays."""
    labels: dict[tuple[str, str], list[str]] = {}
    for start, end, label in rows:
        if start != end and label not in labels.setdefault((start, end), []):
            labels[start, end].append(label)
    return [f"    {start} --> {end}: {', '.join(texts)}" for (start, end), texts in labels.items()]


def station() -> list[str]:
    """The station's diagram. x1 and x2 are boxes; what all states of a box do alike is one arrow from the box."""
    inside: dict[str, list[tuple[str, str, str]]] = {"x1": [], "x2": []}
    between: list[tuple[str, str, str]] = []
    for row in TRANSITIONS:
        box, end, label = f"x{row.state[1:]}", f"x{row.next[1:]}", row.event.removeprefix("level ")
        if box not in inside:  # E and F
            between.append((row.state, row.next, label))
        elif box == end:
            inside[box].append((row.state, row.next, label))
        else:
            between.append((box, end if end in inside else row.next, label))
    boxes = [
        line
        for box, rows in inside.items()
        for line in (f"    state {box} {{", *(f"    {e}" for e in edges(rows)), "    }")
    ]
    return ["```mermaid", "stateDiagram-v2", "    [*] --> A1", *boxes, *edges(between), "```"]


def vehicle() -> list[str]:
    """The vehicle's diagram."""
    rows = ((row.phase.value, row.next.value, row.event) for row in VEHICLE_TRANSITIONS)
    return ["```mermaid", "stateDiagram-v2", "    [*] --> unplugged", *edges(rows), "```"]


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """A Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def page() -> str:
    """The whole page."""
    times = {name: value for name, value in vars(timings).items() if name not in "MS" and isinstance(value, int)}
    times |= {f"DEBOUNCE towards {state}": value for state, value in timings.DEBOUNCE.items()}
    lines = [
        HEAD,
        "## The station\n",
        *station(),
        "\n## The basic vehicle\n",
        *vehicle(),
        "\n## Every transition of the station\n",
        *table(
            ("state", "event", "next", "actions", "source"),
            ((r.state, r.event, r.next, ", ".join(r.actions), r.source) for r in TRANSITIONS),
        ),
        "\n## What the board does by itself\n",
        *table(
            ("fault", "opens", "PWM", "ends when", "source"),
            (
                (fault.value, r.opens.value, "off" if r.pwm_off else "stays", r.clears.value, r.source)
                for fault, r in PROTECTION.items()
            ),
        ),
        "\n## Times\n",
        *table(("name", "ms"), ((name, str(value // MS)) for name, value in times.items())),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
