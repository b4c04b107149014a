"""What the operator's choices about trouble leave: records, the verdict on them, a bill or none (docs/rig-file.md)."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil_rigs.scenario.handle import open_handle
from hil_rigs.scenario.rig_changes import changed_rig

RIG = Path(__file__).parents[2] / "scenarios" / "rigs" / "csms.yaml"
AT_CONNECTOR = "gateway.connectors[0]"


@pytest.mark.parametrize(
    ("trouble", "silent_s", "between", "end", "verdict", "bill"),
    [
        ("stop", 40, "ST=G", "TX=A ST=G", "valid", "billed"),
        ("stop", 600, "ST=G", "TX=A ST=T EF=E", "invalid", "withheld"),
        ("continue", 40, "ST=T EF=E", "TX=E ST=G", "invalid", "withheld"),
    ],
)
def test_a_meter_that_is_lost(
    tmp_path: Path, trouble: str, silent_s: int, between: str, end: str, verdict: str, bill: str
) -> None:
    changes = {
        f"{AT_CONNECTOR}.reading_interval_s": 10,
        f"{AT_CONNECTOR}.live_interval_s": 10,
        f"{AT_CONNECTOR}.trouble.meter_lost": trouble,
    }
    with open_handle(changed_rig(RIG, changes), tmp_path) as rig:
        rig.plug()
        rig.until("wire.power contactor closed=true", within="30 s")
        rig.wait("40 s")
        undo = rig.inject("meter.dead", on="m1")
        rig.wait(f"{silent_s} s")
        undo()
        rig.wait("30 s")
        rig.unplug()
        rig.until("session record context=Transaction.End", within="60 s", since="start")
        rig.finish()
        rig.expect(f"store Sample.Periodic {between}")
        if between == "ST=G":
            rig.never("store Sample.Periodic ST=T")
        rig.expect(f"store Transaction.End {end}")
        rig.check("verifier.plugbench", verdict=verdict)
        rig.expect(f"csms transaction state={bill}")
        if bill != "billed":
            rig.never("csms transaction state=billed")
