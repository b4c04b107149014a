"""The alarm of a connection, in virtual time."""

from __future__ import annotations

from tests.v2g.link.doubles import run
from v2g.link.alarm import Alarm
from v2g.link.limits import Rate


def rings(script):
    """Times at which an alarm rings that is set as the script says."""
    found = []

    async def main(clock):
        begin = clock.monotonic()
        alarm = Alarm(clock, lambda now: found.append(round(now - begin, 6)))
        for wait, at in script:
            await clock.sleep(wait)
            if at is None:
                alarm.cancel()
            else:
                alarm.set(begin + at)
        await clock.sleep(100)

    run(main)
    return found


def test_it_rings_once_at_its_time():
    assert rings([(0, 5)]) == [5]
    assert rings([(0, 5), (6, 7)]) == [5, 7]


def test_earlier_moves_it_and_later_lets_it_ring_early():
    assert rings([(0, 5), (1, 3)]) == [3]
    assert rings([(0, 5), (1, 9)]) == [5]


def test_cancelled_it_is_silent_and_what_is_past_rings_at_once():
    assert rings([(0, 5), (1, None), (0, None)]) == []
    assert rings([(4, 2)]) == [4]


def test_a_rate_counts_whole_seconds():
    async def main(clock):
        rate = Rate(clock, 2)
        first = [rate.exceeded() for _ in range(4)]
        await clock.sleep(1)
        return first, rate.exceeded()

    assert run(main) == ([False, False, True, True], False)
