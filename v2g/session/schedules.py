"""Schedules: whether a vehicle's charging profile stays within the offered power."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from v2g.session.refusal import Refusal
from v2g.session.station_side import Schedule

MAX_SCHEDULES = 3  # ISO 15118-2, SAScheduleListType


def chosen(schedules: Iterable[Schedule], identifier: int) -> Schedule:
    """The schedule of this SAScheduleTupleID. Raises Refusal(FAILED_TariffSelectionInvalid)."""
    for schedule in schedules:
        if schedule.id == identifier:
            return schedule
    raise Refusal("FAILED_TariffSelectionInvalid", f"SAScheduleTupleID {identifier} was not offered")


def check_profile(schedule: Schedule, profile: Iterable[tuple[int, float]]) -> None:
    """Raise Refusal(FAILED_ChargingProfileInvalid) when the vehicle plans more than the schedule allows ([V2G2-761]).

    Both are steps: (start in s, W), each holding until the next.
    """
    plan = sorted(profile)
    starts = sorted({start for start, _ in (*plan, *schedule.entries) if not plan or start >= plan[0][0]})
    for start in starts:
        planned, allowed = _at(plan, start), _at(schedule.entries, start)
        if planned is not None and allowed is not None and planned > allowed:
            text = f"{planned:g} W planned from {start} s on, schedule {schedule.id} allows {allowed:g} W"
            raise Refusal("FAILED_ChargingProfileInvalid", text)


def shortened(schedule: Schedule, most: int | None) -> Schedule:
    """A schedule of at most so many entries (MaxEntriesSAScheduleTuple): the last allows what all the rest do.

    A tariff that is too long is left out: it is signed and cannot be cut.
    """
    if most is None or most < 1:
        return schedule
    entries, tariff = schedule.entries, schedule.tariff
    if len(entries) > most:
        start = entries[most - 1][0]
        entries = (*entries[: most - 1], (start, min(power for _, power in entries[most - 1 :])))
    if tariff is not None and len(tariff.SalesTariffEntry) > most:
        tariff = None
    return replace(schedule, entries=entries, tariff=tariff)


def with_paused(schedules: Iterable[Schedule], paused: Schedule | None) -> tuple[Schedule, ...]:
    """The offer of a session that was joined again: the schedule chosen before is among it ([V2G2-741])."""
    offered = tuple(schedules)
    if paused is None or any(schedule.id == paused.id for schedule in offered):
        return offered
    return (paused, *offered)[:MAX_SCHEDULES]


def _at(steps: Iterable[tuple[int, float]], time: int) -> float | None:
    """The power at a time; None before the first step."""
    value = None
    for start, power in sorted(steps):
        if start > time:
            break
        value = power
    return value
