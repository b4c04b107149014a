"""A plug that goes out and in again while the lock still moves: nothing is faulty, and the next session charges."""

from __future__ import annotations

from pathlib import Path

from hil_rigs.scenario.handle import open_handle
from hil_rigs.scenario.rig_changes import changed_rig

RIG = Path(__file__).parents[2] / "scenarios" / "rigs" / "basic_ac.yaml"
KEY = {"resources.hsm": None, "resources.key.kind": "file_key", "gateway.connectors[0].signer": "key"}


def test_the_next_vehicle_may_plug_in_while_the_lock_still_opens(tmp_path: Path) -> None:
    with open_handle(changed_rig(RIG, KEY), tmp_path) as rig:
        rig.session(kwh=0.1)
        rig.session(kwh=0.1)
        rig.never("session fault")
        rig.never("session state state=faulted")
        rig.finish()
        rig.check("store.transactions", count=2)
