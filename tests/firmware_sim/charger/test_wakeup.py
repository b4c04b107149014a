"""Which toggles count as a wake-up (ISO 15118-3 table 3)."""

from __future__ import annotations

import pytest

from firmware_sim.agenda import MS
from firmware_sim.charger.wakeup import WakeupCounter
from ports.charge_control import PilotState


def count(*lengths_ms: int) -> list[int]:
    """C, B, C, B ... of these lengths after a long B."""
    counter, at, out = WakeupCounter(), 0, []
    counter.level(PilotState.B, at)
    at += 10_000 * MS
    states = [PilotState.C, PilotState.B] * len(lengths_ms)
    for state, length in zip(states, [*lengths_ms, 0], strict=False):
        if toggles := counter.level(state, at):
            out.append(toggles)
        at += length * MS
    return out


@pytest.mark.parametrize(
    ("lengths", "toggles"),
    [
        ((300,), [1]),
        ((300, 300, 300), [1, 2]),
        ((200, 200, 400, 400, 200), [1, 2, 3]),
        ((120,), []),
        ((199,), []),
        ((401,), []),
        ((300, 300, 120), [1]),
        ((300, 401, 300), [1, 1]),  # the B between them was too long: a new first toggle
        ((300, 199, 300), [1, 1]),
    ],
)
def test_toggles(lengths: tuple[int, ...], toggles: list[int]) -> None:
    assert count(*lengths) == toggles


def test_the_window_is_three_and_a_half_seconds() -> None:
    assert max(count(*[400] * 15)) == 4  # of 8 toggles, 0.8 s each: no more are within 3.5 s


def test_another_state_starts_anew() -> None:
    counter = WakeupCounter()
    for state, at in ((PilotState.B, 0), (PilotState.C, 300), (PilotState.A, 600), (PilotState.B, 900)):
        assert counter.level(state, at * MS) == 0
