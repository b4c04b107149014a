"""Lock files: one holder, by name, gone with its process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hil_rigs.locks.file_lock import BusyError, held, holder_of
from ports.errors import RigError
from tests.doubles import ManualClock

HOLD = """
import sys
from pathlib import Path
from hil_rigs.locks.file_lock import held
from hil_rigs.real_clock import RealClock
with held(["/dev/ttyX"], "bench-3", RealClock(), Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_process_is_named_and_its_death_frees_the_thing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        holder = holder_of("/dev/ttyX", tmp_path)
        assert holder is not None
        assert (holder.pid, holder.rig) == (other.pid, "bench-3")
        with (
            pytest.raises(BusyError, match=rf"/dev/ttyX is held by .* \(rig bench-3, process {other.pid}"),
            held(["/dev/ttyX"], "mine", ManualClock(), tmp_path),
        ):
            pass
        other.kill()
        other.wait()
    assert holder_of("/dev/ttyX", tmp_path) is None
    with held(["/dev/ttyX"], "mine", ManualClock(), tmp_path):
        assert str(holder_of("/dev/ttyX", tmp_path)).find("rig mine") > 0


def test_all_or_nothing(tmp_path: Path) -> None:
    with held(["b"], "one", ManualClock(), tmp_path):
        with pytest.raises(BusyError, match="b is held"), held(["a", "b"], "two", ManualClock(), tmp_path):
            pass
        assert holder_of("a", tmp_path) is None


def test_a_holder_that_cannot_be_read_is_still_a_holder(tmp_path: Path) -> None:
    with held(["a"], "one", ManualClock(), tmp_path):
        (next(tmp_path.iterdir())).write_text("no JSON")
        with pytest.raises(BusyError, match="somebody whose name"), held(["a"], "two", ManualClock(), tmp_path):
            pass


def test_a_folder_that_does_not_exist_is_the_rigs_error(tmp_path: Path) -> None:
    with pytest.raises(RigError, match="cannot be used"), held(["a"], "one", ManualClock(), tmp_path / "nowhere"):
        pass
