"""Draws the transaction table: python -m gateway.transaction_diagram > docs/diagrams/transaction.md."""

from __future__ import annotations

import sys

from gateway.transaction import LOOKS_AT_PILOT, TABLE, TIMERS, State

_REST = (State.AVAILABLE, State.PLUGGED, State.FAULTED)
_TEXT = """# The charging transaction

Drawn from the table in `gateway/transaction.py` by `python -m gateway.transaction_diagram`; do not edit by hand.

`REST` is "available", "plugged" or "faulted", whichever pilot and faults say. These look at the pilot as it stands when
they are entered: {looks}. An event that a state does not list changes nothing there.

```mermaid
{diagram}
```

| state | event | next state | actions |
|---|---|---|---|
{rows}

| state | timer | policy |
|---|---|---|
{timers}
"""


def draw() -> str:
    """The page, as Markdown with one Mermaid diagram."""
    lines = ["stateDiagram-v2", "    [*] --> available", '    state "REST" as REST']
    lines += [f'    state "{state}" as {_id(state)}' for state in TABLE if " " in state]
    lines += [f"    REST --> {_id(state)}" for state in _REST]
    merged: dict[tuple[State, State], list[str]] = {}
    for state, row in TABLE.items():
        for event, (target, _) in row.items():
            if target is not state:
                merged.setdefault((state, target), []).append(event)
    lines += [f"    {_id(a)} --> {_id(b)}: {', '.join(events)}" for (a, b), events in merged.items()]
    rows = [
        f"| {state} | {event} | {'REST' if target is State.REST else target} | {', '.join(actions)} |"
        for state, row in TABLE.items()
        for event, (target, actions) in row.items()
    ]
    timers = [
        f"| {state} | {timer.event}{', repeated' if timer.repeats else ''} | `{timer.policy}` |"
        for state, row in TIMERS.items()
        for timer in row
    ]
    looks = ", ".join(f'"{state}"' for state in TABLE if state in LOOKS_AT_PILOT)
    return _TEXT.format(looks=looks, diagram="\n".join(lines), rows="\n".join(rows), timers="\n".join(timers))


def _id(state: State) -> str:
    return "REST" if state is State.REST else state.value.replace(" ", "_")


if __name__ == "__main__":
    sys.stdout.write(draw())
