"""The contactor as a part: what its two contacts do."""

from __future__ import annotations

import pytest

from firmware_sim.agenda import MS, Agenda
from firmware_sim.charger.contactor import CLOSE, OPEN, Contactor


class Part:
    def __init__(self) -> None:
        self.now = 0
        self.agenda = Agenda(lambda: self.now)
        self.main: list[tuple[int, bool]] = []
        self.auxiliary: list[tuple[int, bool]] = []
        self.contactor = Contactor(
            self.agenda,
            lambda closed: self.main.append((self.now, closed)),
            lambda closed: self.auxiliary.append((self.now, closed)),
        )

    def wait(self, ns: int) -> None:
        end = self.now + ns
        while (first := self.agenda.next_at) is not None and first <= end:
            self.now = first
            self.agenda.run_due()
        self.now = end


@pytest.fixture
def part() -> Part:
    return Part()


def test_close_and_open(part: Part) -> None:
    part.contactor.energise(True)
    part.wait(100 * MS)
    part.contactor.energise(False)
    part.wait(100 * MS)
    assert part.main == part.auxiliary == [(CLOSE, True), (100 * MS + OPEN, False)]


def test_a_short_pulse_moves_nothing(part: Part) -> None:
    part.contactor.energise(True)
    part.wait(CLOSE // 2)
    part.contactor.energise(False)
    part.wait(100 * MS)
    assert part.main == []


def test_welded(part: Part) -> None:
    part.contactor.energise(True)
    part.wait(100 * MS)
    part.contactor.weld(True)
    part.contactor.energise(False)
    part.wait(1000 * MS)
    assert part.contactor.closed
    part.contactor.weld(False)
    assert part.main[-1] == (1100 * MS, False)


def test_an_open_contactor_does_not_weld_shut(part: Part) -> None:
    part.contactor.weld(True)
    part.wait(100 * MS)
    assert part.main == []


def test_no_feedback(part: Part) -> None:
    part.contactor.lose_feedback(True)
    part.contactor.energise(True)
    part.wait(100 * MS)
    assert part.main == [(CLOSE, True)]
    assert not any(closed for _, closed in part.auxiliary)
    part.contactor.lose_feedback(False)
    assert part.auxiliary[-1] == (100 * MS, True)


def test_late(part: Part) -> None:
    part.contactor.late = 500 * MS
    part.contactor.energise(True)
    part.wait(1000 * MS)
    assert part.main == [(CLOSE + 500 * MS, True)]


def test_bounce_ends_where_the_main_contacts_are(part: Part) -> None:
    part.contactor.bounce = 3
    part.contactor.energise(True)
    part.wait(100 * MS)
    assert [closed for _, closed in part.auxiliary] == [True, False, True, False, True, False, True]
    assert part.auxiliary[-1][0] == CLOSE + 6 * MS
