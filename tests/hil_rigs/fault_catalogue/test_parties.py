"""Faults of CSMS, pools and vehicles strike what they name, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil_rigs.scenario.handle import open_handle
from ports.errors import RigError

RIGS = Path(__file__).resolve().parents[3] / "scenarios" / "rigs"


def test_whatever_a_csms_does_to_one_call_every_value_takes_effect_once(tmp_path: Path) -> None:
    with open_handle(RIGS / "csms.yaml", tmp_path) as rig:
        for kind, values in (
            ("slow", {"seconds": 2}),
            ("lost_call", {}),
            ("lost_ack", {}),
            ("duplicate", {}),
            ("disconnect", {}),
        ):
            rig.inject(f"csms.{kind}", times=1, action="TransactionEvent", **values)  # type: ignore[arg-type]
            rig.plug()
            rig.until("wire.power contactor closed=true", within="30 s")
            rig.wait("5 s")
            rig.unplug()
            rig.wait("90 s")
        rig.finish()
        assert len(rig.bench.csms.embedded) == 1
        assert [fault.kind.value for _, _, fault in rig.stage.breakable.csms.hit] == [
            "slow",
            "lost call",
            "lost ack",
            "duplicate",
            "disconnect",
        ]
        rig.check("store.transactions", count=5)
        rig.check("backend.exactly_once")
        rig.check("ocpp.repeats", at_least=3)
        rig.check("ocpp.numbers")


def test_what_is_not_there_cannot_be_broken(tmp_path: Path) -> None:
    with open_handle(RIGS / "csms.yaml", tmp_path) as rig:
        with pytest.raises(RigError, match="needs embedded pools"):
            rig.inject("pools.slow", seconds=5)
        with pytest.raises(
            RigError, match=r"say which vehicle with V2G vehicle\.without_tls strikes \(on\); the rig has none"
        ):
            rig.inject("vehicle.without_tls")
        with pytest.raises(RigError, match=r'no backend "cpo" for delivery\.lost to strike; there are csms'):
            rig.inject("delivery.lost", on="cpo", times=1)
        with pytest.raises(RigError, match='no embedded CSMS "x"'):
            rig.inject("csms.away", on="x")
