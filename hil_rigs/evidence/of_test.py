"""Evidence of a test in Python: what it expected of the rig, what was seen, and how it ended."""

from __future__ import annotations

import contextlib
from datetime import datetime
from pathlib import Path

from hil_rigs.evidence.of_scenario import finish_judged
from hil_rigs.evidence.seal import Sealed
from hil_rigs.run_folder import write_records
from hil_rigs.scenario.handle import RigHandle
from hil_rigs.scenario.judge import Judged, Verdict
from ports.errors import PlugbenchError

WORST_FIRST = (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE)


def leave_records(rig: RigHandle, folder: Path) -> None:
    """Everybody goes home, and the records come into the folder; a rig that cannot any more leaves none."""
    with contextlib.suppress(PlugbenchError):
        remains = rig.finish()
        write_records(folder, remains.records(), remains.key)


def finish_test(folder: Path, rig: RigHandle, name: str, failure: str, started: datetime) -> Sealed:
    """Complete the folder of a test's rig, which is closed, and seal it.

    name: of the test. failure: what ended it, "" when it passed. started: civil time of the machine. Raises RigError.
    """
    verdict = Verdict.FAIL if failure else Verdict.PASS
    own = Judged("test", name, "test", verdict, "the test passes", failure or "it passed")
    judged = (*rig.judged, own)
    found = {one.verdict for one in judged}
    worst = next((one for one in WORST_FIRST if one in found), Verdict.PASS)
    return finish_judged(folder, rig.file, str(worst), judged, (), started, scenario=name)
