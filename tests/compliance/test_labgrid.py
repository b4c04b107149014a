"""A rig's place under labgrid's own coordinator and client: labgrid 26.0.1 (PyPI, LGPL-2.1-or-later), never imported.

It is installed into .peers/labgrid by the fixture (it brings a package `serial` of its own); without it the tests are
skipped by name.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil_rigs.locks.labgrid_place import LabgridPlace
from hil_rigs.locks.rig_lock import rig_held
from hil_rigs.rig_file import rig_of_text
from ports.errors import RigError
from tests.doubles import ManualClock
from tests.peers import python_packages

RIG = """\
rig: bench-3
clock: {mode: real}
place: {name: bench-3, coordinator: "COORDINATOR"}
resources:
  bus:   {kind: serial, port: virtual, baud: 9600}
  m1:    {kind: meter, model: eastron_sdm630, bus: bus, unit: 1}
  key:   {kind: file_key}
  board: {kind: charger}
gateway:
  serial_number: GW-L
  connectors:
    - {id: "1", evse_id: "DE*PLB*E0001", board: board, meter: m1, signer: key, max_current_a: 32}
"""


@pytest.fixture(scope="module")
def labgrid() -> Path:
    """The folder of labgrid's programs."""
    return python_packages("labgrid", "labgrid==26.0.1")


@pytest.fixture(scope="module")
def coordinator(labgrid: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of a coordinator that has the place bench-3."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    folder = tmp_path_factory.mktemp("labgrid")
    process = subprocess.Popen([labgrid / "labgrid-coordinator", "-l", address], cwd=folder, stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        for line in process.stderr:  # says where it listens, then goes on
            if address.rpartition(":")[2].encode() in line or b"erving" in line or b"ready" in line:
                break
        create = [labgrid / "labgrid-client", "-x", address, "-p", "bench-3", "create"]
        subprocess.run(create, check=True, capture_output=True, timeout=30)
        yield address
    finally:
        process.terminate()
        process.communicate(timeout=10)


def client(labgrid: Path, coordinator: str, user: str, *words: str) -> subprocess.CompletedProcess[str]:
    """labgrid's own client, as somebody."""
    return subprocess.run(
        [labgrid / "labgrid-client", "-x", coordinator, *words],
        env={**os.environ, "LG_USERNAME": user, "LG_HOSTNAME": "lab"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.fixture
def as_alice(labgrid: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLUGBENCH_LABGRID", str(labgrid / "labgrid-client"))
    monkeypatch.setenv("LG_USERNAME", "alice")
    monkeypatch.setenv("LG_HOSTNAME", "lab")


@pytest.mark.usefixtures("as_alice")
def test_labgrid_sees_who_holds_the_rig_and_lets_it_go(labgrid: Path, coordinator: str, tmp_path: Path) -> None:
    rig = rig_of_text(tmp_path / "rig.yaml", RIG.replace("COORDINATOR", coordinator)).rig
    with rig_held(rig, ManualClock()):
        who = client(labgrid, coordinator, "bob", "who").stdout
        assert "alice" in who
        assert "bench-3" in who
        refused = client(labgrid, coordinator, "bob", "-p", "bench-3", "acquire")
        assert refused.returncode != 0
        assert "already acquired by lab/alice" in refused.stderr
    assert "bench-3" not in client(labgrid, coordinator, "bob", "who").stdout


@pytest.mark.foreign
@pytest.mark.usefixtures("as_alice")
def test_a_rig_that_somebody_else_locked_with_labgrid_is_refused_by_name(
    labgrid: Path, coordinator: str, tmp_path: Path
) -> None:
    rig = rig_of_text(tmp_path / "rig.yaml", RIG.replace("COORDINATOR", coordinator)).rig
    assert client(labgrid, coordinator, "bob", "-p", "bench-3", "lock").returncode == 0
    with pytest.raises(RigError, match="lab/bob"), rig_held(rig, ManualClock()):
        pass
    assert client(labgrid, coordinator, "bob", "-p", "bench-3", "unlock").returncode == 0
    with rig_held(rig, ManualClock()):
        pass


@pytest.mark.foreign
@pytest.mark.usefixtures("as_alice")
def test_who_was_kicked_learns_it_at_the_next_check(labgrid: Path, coordinator: str) -> None:
    place = LabgridPlace("bench-3", coordinator)
    assert place.acquire()
    assert client(labgrid, coordinator, "bob", "-p", "bench-3", "release", "--kick").returncode == 0
    with pytest.raises(RigError, match="held by nobody, not by lab/alice"):
        place.check()


@pytest.mark.foreign
@pytest.mark.usefixtures("as_alice")
def test_an_unknown_place_and_a_coordinator_that_is_away_are_named(coordinator: str) -> None:
    with pytest.raises(RigError, match="nowhere"):
        LabgridPlace("nowhere", coordinator).holder()
    with pytest.raises(RigError, match=r"127\.0\.0\.1:1"):
        LabgridPlace("bench-3", "127.0.0.1:1").holder()
