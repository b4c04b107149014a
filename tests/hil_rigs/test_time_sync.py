"""The judgement of civil time, and the noticing of steps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil_rigs.time_sync import KernelTime, SyncJudge, SyncRules
from ports.clock import TimeStatus

GOOD = KernelTime(synchronised=True, max_error_s=0.01)
LOST = KernelTime(synchronised=False, max_error_s=16.0)
WALL = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kernel", "status"),
    [
        (GOOD, TimeStatus.SYNCHRONISED),
        (KernelTime(synchronised=True, max_error_s=1.0), TimeStatus.UNKNOWN),  # the limit itself is too much
        (LOST, TimeStatus.UNKNOWN),
        (None, TimeStatus.UNKNOWN),
    ],
)
def test_a_first_look(kernel: KernelTime | None, status: TimeStatus) -> None:
    assert SyncJudge().judge(kernel, 100.0) is status


def test_holdover_ends() -> None:
    judge = SyncJudge(SyncRules(holdover_s=3600))
    assert judge.judge(GOOD, 0.0) is TimeStatus.SYNCHRONISED
    assert judge.judge(LOST, 3599.0) is TimeStatus.INFORMATIVE
    assert judge.judge(LOST, 3600.0) is TimeStatus.UNKNOWN
    assert judge.judge(GOOD, 3601.0) is TimeStatus.SYNCHRONISED


def test_a_step_lowers_the_status_until_it_has_settled() -> None:
    judge = SyncJudge()
    assert judge.observe(WALL, 0.0) is None
    assert judge.judge(GOOD, 0.0) is TimeStatus.SYNCHRONISED
    step = judge.observe(WALL + timedelta(seconds=10 - 37 * 60), 10.0)
    assert step is not None
    assert step.seconds == pytest.approx(-37 * 60)
    assert judge.judge(GOOD, 10.0) is TimeStatus.INFORMATIVE
    assert judge.judge(LOST, 11.0) is TimeStatus.UNKNOWN
    assert judge.judge(GOOD, 70.0) is TimeStatus.SYNCHRONISED


@given(st.lists(st.floats(0.001, 1e6), max_size=20), st.floats(-0.04, 0.04))
def test_time_that_only_passes_is_no_step(gaps: list[float], noise: float) -> None:
    judge = SyncJudge()
    at = 0.0
    judge.observe(WALL, at)
    for number, gap in enumerate(gaps):
        at += gap
        judge.observe(WALL + timedelta(seconds=at + (noise / 2 if number % 2 else -noise / 2)), at)
    assert judge.steps == []
