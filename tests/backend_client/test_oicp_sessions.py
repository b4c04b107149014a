"""Sessions of the hub outlive the process; a crash costs at most the line that it cut."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend_client.oicp_sessions import REMEMBERED, HubSession, HubSessions
from ports.errors import RigError
from tests.backends.operators.sessions import BEGAN, Station

DETAIL = Station().charge()


def session(number: int, minutes: int = 0) -> HubSession:
    return HubSession(DETAIL.user_id, DETAIL.evse_id, BEGAN + timedelta(minutes=minutes), f"s{number}", "DEPLB")


def test_sessions_are_there_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "sessions"
    first = HubSessions(file)
    first.add(session(1, -10))
    first.add(session(2, 60))
    assert first.of(DETAIL) == "s1"
    again = HubSessions(file)
    assert again.of(DETAIL) == "s1"
    assert again.of(replace(DETAIL, began=BEGAN + timedelta(hours=2))) == "s2"
    assert again.of(replace(DETAIL, evse_id="DE*PLB*E2")) == ""
    assert file.stat().st_mode & 0o777 == 0o600
    assert HubSessions().of(DETAIL) == ""


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "sessions"
    file.write_bytes(b"".join(b'["x"]\n' for _ in range(REMEMBERED)))
    HubSessions(file).add(session(1))
    assert len(HubSessions(file)._known) == 1
    assert file.read_bytes().count(b"\n") == 1


@settings(max_examples=15)
@given(st.integers(0, 400))
def test_a_cut_line_costs_itself_alone(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    file = tmp_path_factory.mktemp("sessions") / "sessions"
    known = HubSessions(file)
    for number in range(3):
        known.add(session(number))
    content = file.read_bytes()
    file.write_bytes(content[: max(0, len(content) - cut)])
    whole = file.read_bytes().count(b"}")
    again = HubSessions(file)
    assert len(again._known) == whole
    again.add(session(9))
    assert HubSessions(file).of(DETAIL) == "s9"


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RigError, match="file"):
        HubSessions(tmp_path / "file" / "sessions")
    known = HubSessions(tmp_path / "sessions")
    (tmp_path / "sessions").unlink()
    (tmp_path / "sessions").mkdir()
    with pytest.raises(RigError, match="directory"):
        known.add(session(1))
    assert known.of(DETAIL) == ""
