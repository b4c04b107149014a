"""Rigs with limits: nothing closes unless the run is armed, nothing exceeds them, nothing stays closed for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil_rigs.arming import armed
from hil_rigs.rig_file import RigFileError
from hil_rigs.scenario.handle import open_handle
from hil_rigs.scenario.rig_changes import changed_rig
from ports.errors import LocalError, RigError

RIG = Path(__file__).parents[2] / "scenarios" / "rigs" / "basic_ac.yaml"
LIMITED = {
    "resources.hsm": None,
    "resources.key.kind": "file_key",
    "gateway.connectors[0].signer": "key",
    "gateway.connectors[0].max_current_a": 16,
    "limits.max_current_a": 16,
    "limits.arm_timeout_s": 300,
}


def test_a_run_that_is_not_armed_closes_nothing(tmp_path: Path) -> None:
    with open_handle(changed_rig(RIG, LIMITED), tmp_path) as rig:
        rig.plug()
        rig.card("04A1B2C3D4E5F6")
        rig.wait("30 s")
        rig.expect("session trouble why~'not armed: use --arm'")
        rig.never("wire.power contactor closed=true")


def test_an_armed_run_charges_within_the_limits_and_not_for_ever(tmp_path: Path) -> None:
    with armed(), open_handle(changed_rig(RIG, LIMITED), tmp_path) as rig:
        rig.plug()
        rig.card("04A1B2C3D4E5F6")
        rig.until("wire.power contactor closed=true", within="10 s")
        rig.never("wire.pilot output drive=pwm duty>26.7")
        control = rig.stage.bench.controller.by_name["1"].setup.control
        with pytest.raises(RigError, match="20 A are more than the rig's limit of 16 A"):
            rig.run(control.offer_current(20))
        with pytest.raises(RigError, match="60 % offer more"):
            rig.run(control.offer_duty(60))
        rig.until("wire.power contactor closed=false", within="6 min")
        rig.expect("wire.power contactor closed=false", after="wire.power contactor closed=true + 299 s", within="3 s")
        rig.expect("wire.power arm_timeout")


def test_a_rig_file_that_exceeds_its_own_limits_is_refused() -> None:
    with pytest.raises((LocalError, RigFileError), match="16 A is more than the 10 A of limits"):
        changed_rig(RIG, {**LIMITED, "limits.max_current_a": 10})
