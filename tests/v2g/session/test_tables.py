"""The state tables hang together, and their drawings are up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from ports.errors import LocalError
from v2g.session import timers
from v2g.session.diagram import PAGES, draw
from v2g.session.state_table import Row, StateTable

REPO = Path(__file__).parents[3]


@pytest.mark.parametrize("page", PAGES)
def test_the_drawing_is_the_table(page: str) -> None:
    text = (REPO / "docs" / "diagrams" / page).read_text(encoding="utf-8")
    assert text == draw(page), "run python -m v2g.session.diagram docs/diagrams"


@pytest.mark.parametrize("page", PAGES)
def test_every_state_is_reached_and_leads_to_the_end(page: str) -> None:
    table = PAGES[page][1]
    follows: dict[str, set[str]] = {}
    for row in table.rows:
        follows.setdefault(row.state, set()).add(row.next)
    reached, todo = set(), [table.rows[0].state]
    while todo:
        state = todo.pop()
        if state not in reached:
            reached.add(state)
            todo += follows.get(state, set())
    assert reached == {*follows, "end"}
    for state in follows:
        seen, todo = set(), [state]
        while todo:
            one = todo.pop()
            if one not in seen:
                seen.add(one)
                todo += follows.get(one, set())
        assert "end" in seen, state


@pytest.mark.parametrize("page", PAGES)
def test_every_row_has_a_source(page: str) -> None:
    assert all(row.source for row in PAGES[page][1].rows)


def test_contradicting_rows_are_refused() -> None:
    with pytest.raises(LocalError, match="two rows"):
        StateTable([Row("a", "x", "ok", "b", "s"), Row("a", "x", "ok", "c", "s")])


def test_a_missing_row_is_named() -> None:
    with pytest.raises(LocalError, match="no row for 'a', x, outcome 'other'"):
        StateTable([Row("a", "x", "ok", "b", "s")]).next("a", "x", "other")


def test_a_station_answers_before_the_vehicle_gives_up() -> None:
    for times in timers.TIMES.values():
        for time in (*times.values(), timers.USUAL):
            assert time.performance < time.timeout


def test_the_page_for_users_has_the_times_of_every_request_that_is_not_usual() -> None:
    page = (REPO / "docs" / "v2g-link.md").read_text(encoding="utf-8")
    assert f"| {timers.USUAL.timeout:g} s | {timers.USUAL.performance:g} s |" in page
    for table in timers.TIMES.values():
        for request, time in table.items():
            row = next(line for line in page.splitlines() if line.startswith("|") and request in line)
            assert row.endswith(f"| {time.timeout:g} s | {time.performance:g} s |"), request
