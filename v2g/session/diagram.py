"""Draws the session tables: python -m v2g.session.diagram docs/diagrams writes one page per role and protocol."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from v2g.session import timers
from v2g.session.din_station_table import DIN_STATION
from v2g.session.din_vehicle_table import DIN_VEHICLE
from v2g.session.iso2_station_table import ISO2_STATION
from v2g.session.iso2_vehicle_table import ISO2_VEHICLE
from v2g.session.state_table import OK, Row, StateTable

# file -> (title, table, module, protocol)
PAGES: Mapping[str, tuple[str, StateTable, str, str]] = {
    "session-iso2-station.md": ("The station of ISO 15118-2", ISO2_STATION, "iso2_station_table", "iso2"),
    "session-iso2-vehicle.md": ("The vehicle of ISO 15118-2", ISO2_VEHICLE, "iso2_vehicle_table", "iso2"),
    "session-din-station.md": ("The station of DIN SPEC 70121", DIN_STATION, "din_station_table", "din"),
    "session-din-vehicle.md": ("The vehicle of DIN SPEC 70121", DIN_VEHICLE, "din_vehicle_table", "din"),
}

_TEXT = """# {title}

Drawn from the table in `v2g/session/{module}.py` by `python -m v2g.session.diagram docs/diagrams`; do not edit by hand.

{meaning} {skipped}

```mermaid
{diagram}
```

| state | message | outcome | next | source |
|---|---|---|---|---|
{rows}

| request | vehicle waits, s | station answers within, s |
|---|---|---|
{times}
"""
_STATION = (
    "A state is named after what the station waits for. A request that a state does not list is answered with "
    "FAILED_SequenceError, and the session ends."
)
_VEHICLE = "A state is the request in flight. An answer that a state does not list ends the session."


def draw(file: str) -> str:
    """One page, as Markdown with one Mermaid diagram."""
    title, table, module, protocol = PAGES[file]
    station = "station" in module
    stop = "SessionStopReq" if station else "give up"
    drawn = [row for row in table.rows if row.state != row.next and stop not in (row.message, row.outcome)]
    drawn = [row for row in drawn if row.outcome != "give up, pause"]
    merged: dict[tuple[str, str], list[str]] = {}
    for row in drawn:
        merged.setdefault((row.state, row.next), []).append(_label(row, station=station))
    names = dict.fromkeys(name for row in table.rows for name in (row.state, row.next))
    lines = ["stateDiagram-v2", f"    [*] --> {_id(table.rows[0].state)}"]
    lines += [f'    state "{name}" as {_id(name)}' for name in names if _id(name) != name]
    lines += [f"    {_id(a)} --> {_id(b)}: {', '.join(labels)}" for (a, b), labels in merged.items()]
    skipped = "SessionStopReq" if station else "giving up early"
    requests = dict.fromkeys(_request(row, station=station) for row in table.rows)
    return _TEXT.format(
        title=title,
        module=module,
        meaning=_STATION if station else _VEHICLE,
        skipped=f"The diagram leaves out {skipped}; the table has it.",
        diagram="\n".join(lines),
        rows="\n".join(f"| {' | '.join(row)} |" for row in table.rows),
        times="\n".join(_time(protocol, request) for request in requests),
    )


def _label(row: Row, *, station: bool) -> str:
    return (
        row.outcome
        if not station
        else row.message.removesuffix("Req") + ("" if row.outcome == OK else f" ({row.outcome})")
    )


def _request(row: Row, *, station: bool) -> str:
    return row.message if station else row.state.partition(" ")[0]


def _time(protocol: str, request: str) -> str:
    time = timers.times_of(protocol, request)
    return f"| {request} | {time.timeout:g} | {time.performance:g} |"


def _id(state: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in state)


if __name__ == "__main__":
    for page in PAGES:
        (Path(sys.argv[1]) / page).write_text(draw(page), encoding="utf-8")
