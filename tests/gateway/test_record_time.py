"""Times of a transaction: never backwards, never better than the begin once civil time was set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from gateway.record_time import RecordTime
from ports.clock import TimeStatus
from ports.meter import Reading

S, I, R, U = TimeStatus.SYNCHRONISED, TimeStatus.INFORMATIVE, TimeStatus.RELATIVE, TimeStatus.UNKNOWN  # noqa: E741
START = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)


def begin(time: datetime = START, status: TimeStatus = S) -> Reading:
    return Reading("energy", Decimal(1), "kWh", "", time, status, 100.0)


def test_a_clock_that_runs_well_is_believed() -> None:
    times = RecordTime(begin())
    stamp = times.stamp(START + timedelta(seconds=60.3), S, 160.0)
    assert (stamp.time, stamp.status, stamp.error_flags) == (START + timedelta(seconds=60.3), S, "")
    assert times.stamp(START + timedelta(seconds=120), I, 220.0).status is I
    assert not times.stepped


def test_a_change_to_summer_time_is_no_step() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    times = RecordTime(begin(START.astimezone(berlin)))
    stamp = times.stamp((START + timedelta(hours=1)).astimezone(berlin), S, 3700.0)
    assert stamp.time.isoformat() == "2026-03-29T03:30:00+02:00"
    assert not times.stepped


def test_after_a_step_times_go_on_by_boot_time_for_good() -> None:
    for step in (2220, -2220, 3):
        for status, expected in ((S, R), (R, R), (I, I), (U, U)):
            times = RecordTime(begin(status=status))
            stamp = times.stamp(START + timedelta(seconds=60 + step), S, 160.0)
            assert (stamp.time, stamp.status) == (START + timedelta(seconds=60), expected)
            assert times.stepped
            assert times.stamp(START + timedelta(seconds=120), S, 220.0).status is expected


def test_after_another_boot_nothing_is_known_of_the_time_between() -> None:
    times = RecordTime(begin(), same_boot=False)
    assert times.stamp(START + timedelta(hours=5), S, 3.0).time == START + timedelta(hours=5)
    back = times.stamp(START - timedelta(days=1), S, 4.0)
    assert (back.time, back.status, back.error_flags) == (START + timedelta(hours=5), U, "t")


@given(st.lists(st.tuples(st.floats(0, 1e5), st.floats(-1e6, 1e6)), max_size=12), st.booleans())
def test_times_never_run_backwards(moments: list[tuple[float, float]], same_boot: bool) -> None:
    times, boot, last = RecordTime(begin(), same_boot=same_boot), 100.0, START
    for passed, step in moments:
        boot += passed
        stamp = times.stamp(START + timedelta(seconds=boot - 100 + step), S, boot)
        assert stamp.time >= last
        last = stamp.time
