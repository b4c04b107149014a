"""A rig in the hands of a Python test, in virtual and in real time."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil_rigs.scenario.handle import UnmetError, open_handle
from hil_rigs.scenario.rig_changes import changed_rig
from hil_rigs.scenario.steps import StepError
from ports.errors import LocalError, RigError

RIG = Path(__file__).parents[3] / "scenarios" / "rigs" / "basic_ac.yaml"


def test_a_session_is_driven_broken_and_checked(tmp_path: Path) -> None:
    with open_handle(changed_rig(RIG, {"resources.hsm": None, "resources.key.kind": "file_key",
                                       "gateway.connectors[0].signer": "key"}), tmp_path) as rig:  # fmt: skip
        rig.plug()
        rig.card("04A1B2C3D4E5F6")
        rig.until("wire.power contactor closed=true", within="10 s")
        undo = rig.inject("line.corrupt", times=2, bits=2)
        rig.wait("20 s")
        undo()
        rig.inject("line.drop", lasts="3 s")
        rig.wait("10 s")
        rig.expect("fault over fault=line.drop", after="fault begun fault=line.drop + 2.9 s", within="0.2 s")
        with pytest.raises(RigError, match='no virtual line "bs"'):
            rig.inject("line.drop", "bs")
        with pytest.raises(LocalError, match="did you mean failure"):
            rig.never("wire.modbus failur")
        with pytest.raises(LocalError, match="did you mean contactor"):
            rig.until("wire.power contacter", within="10 s")
        with pytest.raises(LocalError, match=r"did you mean store\.pairs"):
            rig.check("store.pair")
        with pytest.raises(LocalError, match="records are there when everything is over"):
            rig.never("store Transaction.End TX=L")
        rig.wait("10 min")
        rig.expect("wire.modbus failure", after="fault begun", within="10 s")
        rig.never("wire.modbus failure", after="fault over #2 + 2 s")
        rig.count("fault begun", exactly=2)
        with pytest.raises(UnmetError, match=r"(?s)expected .*state=D.*observed not seen.*test_handle\.py:\d+"):
            rig.expect("wire.pilot state state=D")
        with pytest.raises(RigError, match="call finish"):
            rig.check("store.pairs")
        with pytest.raises(
            StepError, match=r"was not seen within 3 s; last seen on wire\.power: .*contactor at 1\.8\d\d s"
        ):
            rig.until("wire.power contactor closed=false", within="3 s")
        rig.unplug()
        remains = rig.finish()
        rig.check("store.pairs")
        rig.check("store.pagination_gapless")
        rig.check("wire.power.energy")
        rig.expect("store Transaction.End TX=E")
        assert len(remains.transactions()) == 1


def test_real_time_goes_on_between_the_calls(tmp_path: Path) -> None:
    changes = {"clock": None, "clock.mode": "real", "resources.hsm": None, "resources.key.kind": "file_key",
               "gateway.connectors[0].signer": "key"}  # fmt: skip
    with open_handle(changed_rig(RIG, changes), tmp_path) as rig:
        rig.plug()
        rig.card("04A1B2C3D4E5F6")
        rig.until("wire.power contactor closed=true", within="10 s")
        rig.finish()
        rig.check("store.pairs")
