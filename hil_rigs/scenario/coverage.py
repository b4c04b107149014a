"""Which layers were broken in which phase of a session: what a set of scenarios has tried, and what it has not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from gateway.phases import PHASES
from hil_rigs.fault_catalogue.catalogue import CATALOGUE, LAYERS
from hil_rigs.scenario.pattern import Observation

IDLE = "IDLE"
COLUMNS: tuple[str, ...] = (IDLE, *dict.fromkeys(phase for phase in PHASES.values() if phase != IDLE))
Coverage = Mapping[tuple[str, str], int]


def covered(seen: Iterable[Observation]) -> Counter[tuple[str, str]]:
    """(layer, phase) of every fault that was injected; the phase is that of the connector that moved last."""
    phase, found = IDLE, Counter[tuple[str, str]]()
    for one in seen:
        if one.channel == "session" and one.name == "state":
            phase = str(one.fields.get("phase") or IDLE)
        elif one.channel == "fault" and one.name == "begun":
            entry = CATALOGUE.get(str(one.fields.get("fault")))
            if entry is not None:
                found[entry.layer, phase] += 1
    return found


def table(coverage: Coverage) -> str:
    """Layers by phases, as lines of text; a dot is what nobody has tried."""
    width = max(map(len, LAYERS)) + 2
    lines = [" " * width + "".join(f"{column:>9}" for column in COLUMNS)]
    for layer in LAYERS:
        cells = (coverage.get((layer, column), 0) for column in COLUMNS)
        lines.append(f"{layer:<{width}}" + "".join(f"{count or '.':>9}" for count in cells))
    return "\n".join(lines)
