"""What of a rig is locked: what is real, and nothing else."""

from __future__ import annotations

from pathlib import Path

from hil_rigs.locks.rig_lock import things
from hil_rigs.rig_file import rig_of_text

RIG = """\
rig: locks
clock: {mode: real}
resources:
  bus:   {kind: serial, port: PORT, baud: 9600, real: true}
  m1:    {kind: meter, model: eastron_sdm630, bus: bus, unit: 1}
  key:   {kind: file_key}
  board: {kind: charger}
gateway:
  serial_number: GW-L
  connectors:
    - {id: "1", evse_id: "DE*PLB*E0001", board: board, meter: m1, signer: key, max_current_a: 32}
"""


def test_a_real_port_is_locked_under_the_name_that_all_links_lead_to(tmp_path: Path) -> None:
    (tmp_path / "ttyUSB0").touch()
    (tmp_path / "by-id").symlink_to(tmp_path / "ttyUSB0")
    for name in ("ttyUSB0", "by-id"):
        rig = rig_of_text(tmp_path / "rig.yaml", RIG.replace("PORT", str(tmp_path / name))).rig
        assert things(rig) == [str((tmp_path / "ttyUSB0").resolve())]


def test_a_virtual_rig_locks_nothing(tmp_path: Path) -> None:
    text = RIG.replace("PORT", "virtual").replace(", real: true", "")
    assert things(rig_of_text(tmp_path / "rig.yaml", text).rig) == []


def test_a_cable_is_locked_by_its_interfaces_and_their_namespaces(tmp_path: Path) -> None:
    text = RIG.replace("PORT", "virtual").replace(", real: true", "")
    text = text.replace(
        "board: {kind: charger}", "board: {kind: charger}\n  ev: {kind: vehicle, interface: ev0, netns: far}"
    )
    text = text.replace("max_current_a: 32}", "max_current_a: 32, secc: {interface: st0}}")
    here = Path("/proc/self/ns/net").readlink()
    assert things(rig_of_text(tmp_path / "rig.yaml", text).rig) == [f"interface st0 in {here}", "interface ev0 in far"]
