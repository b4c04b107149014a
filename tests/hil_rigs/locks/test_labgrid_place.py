"""The labgrid place against a client that says what labgrid-client 26.0.1 says; the real one: tests/compliance."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil_rigs.locks.labgrid_place import LabgridPlace
from ports.errors import RigError

CLIENT = """#!/bin/sh
state=STATE
case "$5" in
  show) printf "Place '%s':\\n  acquired: %s\\n" "$4" "$(cat $state 2>/dev/null)";;
  acquire) if [ -s $state ]
           then echo "labgrid-client: Error: Place $4 is already acquired by $(cat $state)" >&2; exit 1
           else printf "$LG_HOSTNAME/$LG_USERNAME" > $state; echo "acquired place $4"; fi;;
  release) : > $state;;
esac
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabgridPlace:
    program = tmp_path / "labgrid-client"
    program.write_text(CLIENT.replace("STATE", str(tmp_path / "state")))
    program.chmod(0o755)
    monkeypatch.setenv("PLUGBENCH_LABGRID", str(program))
    monkeypatch.setenv("LG_USERNAME", "alice")
    monkeypatch.setenv("LG_HOSTNAME", "lab1")
    return LabgridPlace("bench-3", "127.0.0.1:20408")


def test_it_is_held_and_given_back(place: LabgridPlace) -> None:
    assert place.holder() == ""
    with place.held():
        assert place.holder() == "lab1/alice"
        place.check()
    assert place.holder() == ""


def test_what_was_acquired_before_stays_acquired(place: LabgridPlace) -> None:
    assert place.acquire()
    with place.held():
        pass
    assert place.holder() == "lab1/alice"


def test_a_second_user_is_refused_by_name(place: LabgridPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    with place.held():
        monkeypatch.setenv("LG_USERNAME", "bob")
        with pytest.raises(RigError, match="already acquired by lab1/alice"):
            place.acquire()
        with pytest.raises(RigError, match="is held by lab1/alice, not by lab1/bob"):
            place.check()
        monkeypatch.setenv("LG_USERNAME", "alice")


def test_without_labgrid_the_error_says_how_to_get_it(place: LabgridPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLUGBENCH_LABGRID")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RigError, match="pip install labgrid"):
        place.holder()
