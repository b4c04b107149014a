"""A small run whose evidence the tests look at."""

from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree

import pytest

from hil_rigs.evidence.finish import finish
from hil_rigs.rig_file import load_rig
from hil_rigs.run import run_rig
from hil_rigs.run_folder import make_folder, write_records, write_report
from hil_rigs.trace_file import TraceFile

SMALL = """\
rig: small
clock: {mode: virtual, start: 2026-03-29T00:55:00+01:00, zone: Europe/Berlin}
seed: 17
resources:
  bus:   {kind: serial, port: virtual, baud: 9600, format: 8N1}
  m1:    {kind: meter, model: eastron_sdm630, bus: bus, unit: 1, serial_number: "12345678", start_kwh: 100.25}
  key:   {kind: file_key, curve: secp256r1}
  board: {kind: charger, port: virtual, max_current_a: 32, phases: 3}
  ev:    {kind: vehicle, battery_kwh: 60, soc: 20, max_current_a: 32, phases: 3}
  cpo:   {kind: cpo.rest, url: embedded}
gateway:
  serial_number: GW-T
  connectors:
    - id: "1"
      evse_id: "DE*PLB*E0001"
      board: board
      meter: m1
      signer: key
      max_current_a: 32
      reading_interval_s: 900
  local_list: [{id: "04A1B2C3D4E5F6", type: ISO14443}]
  backends: [cpo]
sessions:
  - {connector: "1", vehicle: ev, identification: "04A1B2C3D4E5F6", charge_for_s: 60}
"""

STARTED = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def sealed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one run; not to be changed."""
    place = tmp_path_factory.mktemp("evidence")
    file = place / "rig.yaml"
    file.write_text(SMALL, encoding="utf-8")
    folder = make_folder(place / "run")
    with TraceFile(folder / "events.jsonl") as tracer:
        outcome = run_rig(load_rig(file), folder, tracer, lambda _: None)
    (folder / "rig.yaml").write_bytes(file.read_bytes())
    write_records(folder, outcome.records, outcome.public_key)
    write_report(folder, outcome.result)
    finish(folder, outcome, STARTED)
    return folder


@pytest.fixture
def folder(sealed_once: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return copytree(sealed_once, tmp_path / "run")
