from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from hil_rigs.rig_file import load_rig
from hil_rigs.run import RunOutcome, run_rig
from hil_rigs.run_folder import make_folder, write_records, write_report
from hil_rigs.trace_file import TraceFile
from ports.errors import RigError
from ports.trace import TraceEvent, no_trace

VIRTUAL = """\
rig: test
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
  - {connector: "1", vehicle: ev, identification: "04A1B2C3D4E5F6", charge_for_s: 1800}
"""

Run = Callable[..., RunOutcome]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    runs = iter(range(100))

    def run_text(text: str, listener: Callable[[TraceEvent], None] = no_trace) -> RunOutcome:
        folder = make_folder(tmp_path / f"run{next(runs)}")
        (folder.parent / "rig.yaml").write_text(text, encoding="utf-8")
        return run_rig(load_rig(folder.parent / "rig.yaml"), folder, listener, lambda _text: None)

    return run_text


def payloads(outcome: RunOutcome) -> list[str]:
    return [record.ocmf.split("|")[1] for record in outcome.records]


def test_a_session_ends_with_a_valid_bill_that_agrees_with_the_plant(run: Run) -> None:
    outcome = run(VIRTUAL)
    (session,) = outcome.result.sessions
    assert (outcome.result.verdict, session.verdict) == ("pass", "valid")
    assert session.difference_wh is not None
    assert abs(session.difference_wh) < 10
    assert session.kwh == Decimal("11.04")
    assert session.pages == ("T1", "T2", "T3", "T4")


def test_the_same_seed_gives_the_same_payloads_byte_for_byte(run: Run) -> None:
    first, second = run(VIRTUAL), run(VIRTUAL)
    assert payloads(first) == payloads(second)
    assert len(payloads(first)) == 4


def test_eight_hours_pass_and_summer_time_begins_on_the_way(run: Run) -> None:
    outcome = run(VIRTUAL.replace("charge_for_s: 1800", "charge_for_s: 28800"))
    assert outcome.result.verdict == "pass"
    assert "+0100" in outcome.records[0].ocmf
    assert "+0200" in outcome.records[-1].ocmf


@pytest.mark.parametrize(("end", "kwh"), [("until_kwh: 0.5", Decimal("0.50")), ("until_soc: 20.5", Decimal("0.33"))])
def test_a_session_may_end_by_energy_or_state_of_charge(run: Run, end: str, kwh: Decimal) -> None:
    outcome = run(VIRTUAL.replace("charge_for_s: 1800", end))
    assert outcome.result.verdict == "pass"
    assert outcome.result.sessions[0].kwh == kwh


def test_two_connectors_share_a_bus_and_a_journal(run: Run) -> None:
    text = VIRTUAL.replace(
        "  key: ",
        '  m2: {kind: meter, model: carlo_gavazzi_em340, bus: bus, unit: 2, serial_number: "BX0440123456T"}\n'
        "  board2: {kind: charger, port: virtual, max_current_a: 16, phases: 3}\n"
        "  ev2: {kind: vehicle, battery_kwh: 40, soc: 50, max_current_a: 16, phases: 1}\n"
        "  key: ",
    ).replace(
        "  local_list:",
        '    - {id: "2", evse_id: "DE*PLB*E0002", board: board2, meter: m2, signer: key, max_current_a: 16}\n'
        "  local_list:",
    )
    text = text.replace('[{id: "04A1B2C3D4E5F6"', '[{id: "04AA", type: KEY_CODE}, {id: "04A1B2C3D4E5F6"')
    text += '  - {connector: "2", vehicle: ev2, identification: "04AA", plug_at_s: 60, charge_for_s: 600}\n'
    outcome = run(text)
    assert outcome.result.verdict == "pass", outcome.result
    assert [session.kwh for session in outcome.result.sessions] == [Decimal("11.04"), Decimal("0.6")]


def test_an_unknown_card_does_not_charge(run: Run) -> None:
    outcome = run(VIRTUAL.replace('identification: "04A1B2C3D4E5F6"', 'identification: "04FFFF"'))
    assert outcome.result.verdict == "fail"
    assert outcome.records == ()
    assert any("04FFFF is not in the local list" in problem for problem in outcome.result.problems)


def test_a_run_over_https_is_the_same(run: Run) -> None:
    outcome = run(VIRTUAL.replace("url: embedded", "url: embedded, tls: true"))
    assert outcome.result.verdict == "pass"


def test_the_meters_of_a_rig_may_speak_modbus_tcp(run: Run) -> None:
    outcome = run(VIRTUAL.replace("bus: bus, unit: 1", "host: virtual, unit: 1"))
    assert outcome.result.verdict == "pass"


def test_the_folder_can_be_checked_again_by_the_command(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from plugbench.__main__ import main

    outcome = run(VIRTUAL)
    folder = make_folder(tmp_path / "left")
    write_records(folder, outcome.records, outcome.public_key)
    write_report(folder, outcome.result)
    assert main(["verify", str(folder)]) == 0
    assert "11.04" in capsys.readouterr().out
    assert "11.04" in (folder / "report.md").read_text(encoding="utf-8")
    one = next((folder / "records").glob("*T2.ocmf"))
    one.write_text(one.read_text(encoding="utf-8").replace('"RV":', '"RV":1'), encoding="utf-8")
    assert main(["verify", str(folder)]) == 1


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(RigError, match="holds something already"):
        make_folder(tmp_path)


def test_no_key_material_stays_in_the_folder(run: Run, tmp_path: Path) -> None:
    run(VIRTUAL)
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or b"PRIVATE KEY" not in file.read_bytes(), file


def test_the_trace_has_a_line_for_every_event(run: Run, tmp_path: Path) -> None:
    with TraceFile(tmp_path / "trace.jsonl") as trace:
        run(VIRTUAL, trace)
    lines = (tmp_path / "trace.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == trace.events
    assert any('"kind":"session.record"' in line for line in lines)
