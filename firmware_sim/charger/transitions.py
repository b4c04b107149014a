"""The pilot's state machine as a table: IEC 61851-1 table A.6, states with x1 (no PWM) and x2 (PWM).

How to read it: the state names are those of the standard; "level X" is a debounced pilot level, "pwm on" and "pwm off"
are the station's own output, "unavailable" is its -12 V. An event without a row changes nothing. What an action does
stands in `machine.py`, under the same name. Faults that do not show on the pilot are in `protection.py`.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One transition."""

    state: str
    event: str
    next: str
    actions: tuple[str, ...]
    source: str


TRANSITIONS: tuple[Row, ...] = (
    # nothing plugged in
    Row("A1", "level B", "B1", (), "A.6 1.1"),
    Row("A1", "level C", "C1", (), "A.6 1.1"),
    Row("A1", "level D", "D1", ("ventilation",), "A.6 1.1"),
    Row("A1", "level E", "E", ("pilot fault",), "A.4"),
    Row("A1", "level F", "A1", ("pilot fault",), "A.4"),
    Row("A1", "pwm on", "A2", (), "A.6"),
    Row("A1", "unavailable", "F", ("unlock later",), "A.4"),
    Row("A2", "level B", "B2", (), "A.6 1.2"),
    Row("A2", "level C", "C2", ("supply due",), "A.6 1.2"),
    Row("A2", "level D", "D2", ("ventilation", "supply due"), "A.6 1.2"),
    Row("A2", "level E", "E", ("pilot fault",), "A.4"),
    Row("A2", "level F", "A2", ("pilot fault",), "A.4"),
    Row("A2", "pwm off", "A1", (), "A.6"),
    Row("A2", "unavailable", "F", ("unlock later",), "A.4"),
    # plugged in, vehicle not ready
    Row("B1", "level A", "A1", ("unplugged",), "A.6 2.1"),
    Row("B1", "level C", "C1", (), "A.6 4"),
    Row("B1", "level D", "D1", ("ventilation",), "A.6 4"),
    Row("B1", "level E", "E", ("pilot fault",), "A.4"),
    Row("B1", "level F", "B1", ("pilot fault",), "A.4"),
    Row("B1", "pwm on", "B2", (), "A.6"),
    Row("B1", "unavailable", "F", ("unlock later",), "A.4"),
    Row("B2", "level A", "A2", ("unplugged",), "A.6 2.2"),
    Row("B2", "level C", "C2", ("supply due",), "A.6 4"),
    Row("B2", "level D", "D2", ("ventilation", "supply due"), "A.6 4"),
    Row("B2", "level E", "E", ("pilot fault",), "A.4"),
    Row("B2", "level F", "B2", ("pilot fault",), "A.4"),
    Row("B2", "pwm off", "B1", (), "A.6"),
    Row("B2", "unavailable", "F", ("unlock later",), "A.4"),
    # vehicle ready: the contactor may close in x2
    Row("C1", "level A", "A1", ("open", "unplugged"), "A.6 2.1"),
    Row("C1", "level B", "B1", ("open",), "A.6 8.2"),
    Row("C1", "level D", "D1", ("ventilation",), "A.4"),
    Row("C1", "level E", "E", ("open", "pilot fault"), "A.4"),
    Row("C1", "level F", "C1", ("open", "pilot fault"), "A.4"),
    Row("C1", "pwm on", "C2", ("supply due",), "A.6"),
    Row("C1", "unavailable", "F", ("open", "unlock later"), "A.4"),
    Row("C2", "level A", "A2", ("open", "unplugged"), "A.6 2.2"),
    Row("C2", "level B", "B2", ("open",), "A.6 8.1"),
    Row("C2", "level D", "D2", ("ventilation",), "A.4"),
    Row("C2", "level E", "E", ("open", "pilot fault"), "A.4"),
    Row("C2", "level F", "C2", ("open", "pilot fault"), "A.4"),
    Row("C2", "pwm off", "C1", ("open later",), "A.6 10.2"),
    Row("C2", "unavailable", "F", ("open", "unlock later"), "A.4"),
    # vehicle ready and asks for ventilation
    Row("D1", "level A", "A1", ("open", "unplugged"), "A.6 2.1"),
    Row("D1", "level B", "B1", ("open",), "A.6 8.2"),
    Row("D1", "level C", "C1", (), "A.4"),
    Row("D1", "level E", "E", ("open", "pilot fault"), "A.4"),
    Row("D1", "level F", "D1", ("open", "pilot fault"), "A.4"),
    Row("D1", "pwm on", "D2", ("supply due",), "A.6"),
    Row("D1", "unavailable", "F", ("open", "unlock later"), "A.4"),
    Row("D2", "level A", "A2", ("open", "unplugged"), "A.6 2.2"),
    Row("D2", "level B", "B2", ("open",), "A.6 8.1"),
    Row("D2", "level C", "C2", (), "A.4"),
    Row("D2", "level E", "E", ("open", "pilot fault"), "A.4"),
    Row("D2", "level F", "D2", ("open", "pilot fault"), "A.4"),
    Row("D2", "pwm off", "D1", ("open later",), "A.6 10.2"),
    Row("D2", "unavailable", "F", ("open", "unlock later"), "A.4"),
    # pilot at 0 V: short to earth, or a station without supply. Its fault took the PWM away: x1 afterwards
    Row("E", "level A", "A1", ("unplugged",), "A.4"),
    Row("E", "level B", "B1", (), "A.4"),
    Row("E", "level C", "C1", (), "A.4"),
    Row("E", "level D", "D1", ("ventilation",), "A.4"),
    Row("E", "unavailable", "F", ("unlock later",), "A.4"),
    # the station's own -12 V; it ends with steady +12 V, and the level that then shows
    Row("F", "level A", "A1", ("unplugged",), "A.4"),
    Row("F", "level B", "B1", (), "A.4"),
    Row("F", "level C", "C1", (), "A.4"),
    Row("F", "level D", "D1", ("ventilation",), "A.4"),
    Row("F", "level E", "E", ("pilot fault",), "A.4"),
)

ACTIONS = frozenset(action for row in TRANSITIONS for action in row.actions)
NEXT: dict[tuple[str, str], Row] = {(row.state, row.event): row for row in TRANSITIONS}
STATES: tuple[str, ...] = tuple(dict.fromkeys(row.state for row in TRANSITIONS))
