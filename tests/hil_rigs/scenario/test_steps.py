"""Steps that cannot be done say why, and trying again wakes a station that no longer asks for a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil_rigs.scenario import format as said
from hil_rigs.scenario.handle import RigHandle, open_handle
from hil_rigs.scenario.rig_changes import changed_rig
from hil_rigs.scenario.steps import StepError
from ports.errors import RigError

RIGS = Path(__file__).parents[3] / "scenarios" / "rigs"
FALLS_BACK_S = 20  # `communication_s` of a rig


def fails_with(rig: RigHandle, step: said.AnyStep, text: str) -> None:
    with pytest.raises(RigError, match=text):
        rig.do(step)


def test_trying_again_wakes_a_station_that_fell_back_and_gave_nothing_meanwhile(tmp_path: Path) -> None:
    with open_handle(changed_rig(RIGS / "pnc.yaml", {"resources.ev.contract": "none"}), tmp_path) as rig:
        fails_with(rig, said.Restart(), "ev cannot try again: it is not plugged in")
        undo = rig.inject("pools.error", path="/v1/ccp")
        rig.plug()
        rig.until("secc mode mode=basic why=silence", within=f"{FALLS_BACK_S + 5} s")
        rig.wait("5 min")
        rig.never("wire.power contactor closed=true")
        undo()
        rig.do(said.Restart())
        rig.expect("evcc restart why~'no duty: it is woken by B-C-B'")
        rig.until("wire.power contactor closed=true", within="30 s")
        rig.expect("secc mode mode=asking why=wake-up")


def test_a_station_that_leads_by_its_duty_cannot_be_asked_again(tmp_path: Path) -> None:
    file = changed_rig(RIGS / "iso2_ac.yaml", {})
    with open_handle(file, tmp_path) as rig:
        card = file.rig.gateway.local_list[0].id
        rig.inject("v2g.drop", message="SessionSetupRes")
        rig.plug()
        rig.until("secc mode mode=basic", within=f"{FALLS_BACK_S + 60} s")
        rig.card(card)
        rig.until("wire.power contactor closed=true", within="30 s")
        fails_with(
            rig, said.Restart(), r"the station shows 53.* % duty, and the vehicle is (ready|charging): unplug first"
        )
        rig.expect("evcc restart why~^impossible")


def test_a_vehicle_without_v2g_has_nothing_to_restart_and_a_plug_needs_its_time(tmp_path: Path) -> None:
    with open_handle(changed_rig(RIGS / "csms.yaml", {}), tmp_path) as rig:
        fails_with(rig, said.Restart(), "ev has no V2G session to begin anew")
        rig.plug()
        rig.wait("2 s")
        rig.unplug()
        with pytest.raises(StepError, match="has not yet seen the last plug leave: wait 1 s after unplug"):
            rig.plug()
        rig.wait("1 s")
        rig.plug()
        rig.until("wire.power contactor closed=true", within="30 s")
