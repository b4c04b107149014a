"""Which records were made while the link was down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from backend_client.ocpp.outages import KEPT, Outages

START = datetime(2026, 3, 1, 8, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def test_times_are_judged_by_what_held_then() -> None:
    outages = Outages()
    assert outages.cover(at(0))
    outages.came_up(at(1))
    outages.came_up(at(2))
    outages.went_down(at(10))
    outages.went_down(at(11))
    outages.came_up(at(20))
    expected = {0.5: True, 1: False, 9.9: False, 10: True, 19.9: True, 20: False, 99: False}
    assert {minute: outages.cover(at(minute)) for minute in expected} == expected
    outages.went_down(at(30))
    assert outages.cover(at(31))


def test_what_is_too_long_ago_to_know_counts_as_offline() -> None:
    outages = Outages()
    for number in range(KEPT + 1):
        outages.came_up(at(2 * number + 1))
        outages.went_down(at(2 * number + 2))
    outages.came_up(at(10**5))
    assert outages.cover(at(1.5))
    assert not outages.cover(at(2 * KEPT - 0.5))
