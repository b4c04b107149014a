"""The table is complete and only speaks of what exists."""

from __future__ import annotations

import pytest

from firmware_sim.charger.transitions import ACTIONS, NEXT, STATES, TRANSITIONS

LEVELS = ("A", "B", "C", "D", "E", "F")


def test_no_row_twice() -> None:
    assert len(NEXT) == len(TRANSITIONS)


def test_every_state_can_be_reached_and_left() -> None:
    assert {row.next for row in TRANSITIONS} == set(STATES)
    assert set(STATES) == {f"{letter}{x}" for letter in "ABCD" for x in "12"} | {"E", "F"}


@pytest.mark.parametrize("state", STATES)
def test_every_state_knows_every_other_level(state: str) -> None:
    for letter in LEVELS:
        if letter == state[0] or (state == "E" and letter == "F") or (state == "F" and letter == "F"):
            continue
        row = NEXT[state, f"level {letter}"]
        assert row.next.startswith(letter) or letter == "F"
        if state[1:] and letter in "ABCD":
            assert row.next[1:] == state[1:]  # a level never switches the PWM


@pytest.mark.parametrize("state", [s for s in STATES if s[0] in "CD"])
def test_whatever_leaves_c_or_d_opens(state: str) -> None:
    for row in TRANSITIONS:
        if row.state == state and row.next[0] not in "CD":
            assert "open" in row.actions, row


@pytest.mark.parametrize("state", [s for s in STATES if s != "F"])
def test_unavailable_ends_in_f_from_everywhere(state: str) -> None:
    assert NEXT[state, "unavailable"].next == "F"


def test_what_the_boxes_of_the_diagram_draw_once_holds_for_all_states_in_them() -> None:
    for x in "12":
        outside = {
            state: {
                (row.event, "x" if row.next[1:] else row.next)
                for row in TRANSITIONS
                if row.state == state and row.next[1:] != x
            }
            for state in STATES
            if state[1:] == x
        }
        assert len({frozenset(edges) for edges in outside.values()}) == 1


def test_actions_are_few() -> None:
    assert {"open", "open later", "supply due", "unlock later", "pilot fault", "ventilation", "unplugged"} == ACTIONS
