"""The pytest plugin, by running pytest with it in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from xml.etree import ElementTree

import pytest

import hil_rigs.scenario.handle  # noqa: F401 - a library in C cannot be imported twice, as each inner pytest would
from hil_rigs.locks.file_lock import held
from hil_rigs.real_clock import RealClock

RIG = """\
rig: ci
clock: {mode: virtual, start: 2026-11-20T08:00:00+01:00}
seed: 17
claims: [ac]
resources:
  bus:   {kind: serial, port: virtual, baud: 9600, format: 8N1}
  m1:    {kind: meter, model: eastron_sdm630, bus: bus, unit: 1, serial_number: "12345678"}
  key:   {kind: file_key}
  board: {kind: charger}
  ev:    {kind: vehicle}
  cpo:   {kind: cpo.rest, url: embedded}
gateway:
  serial_number: GW-P
  connectors:
    - {id: "1", evse_id: "DE*PLB*E0001", board: board, meter: m1, signer: key, max_current_a: 32}
  local_list: [{id: "04A1B2C3D4E5F6", type: ISO14443}]
  backends: [cpo]
"""
TESTS = """\
import pytest

def test_session(rig, station, vehicle, meter, token, backends, faults, clock):
    began = clock.monotonic()
    rig.plug()
    rig.card("04A1B2C3D4E5F6")
    rig.until("wire.power contactor closed=true", within="10 s")
    faults("line.corrupt", times=1)
    rig.wait("5 min")
    assert clock.monotonic() - began > 300
    assert vehicle.phase == "charging"
    assert station.status()[0].transaction_id
    assert backends.embedded
    assert rig.run(meter.read_energy()).value > 0
    assert rig.run(token.identity()).public_key
    rig.unplug()
    rig.finish()
    rig.check("store.pairs")
    rig.expect("wire.modbus failure")

def test_unmet(rig):
    rig.expect("wire.pilot state state=D")

@pytest.mark.claims("ac")
def test_claimed(rig): pass

@pytest.mark.claims("pnc")
def test_not_claimed(rig): raise AssertionError

@pytest.mark.needs_real("meter")
def test_real(rig): raise AssertionError
"""


def run(
    pytester: pytest.Pytester, *options: str, tests: str = TESTS, rig: str = RIG
) -> tuple[str, ElementTree.Element]:
    """pytest's output, and its JUnit file."""
    (pytester.path / "rig.yaml").write_text(rig)
    (pytester.path / "test_them.py").write_text(tests)
    result = pytester.runpytest_inprocess(
        *("-p", "no:asyncio", "-p", "no:cacheprovider", "-rs"),
        *("-o", "filterwarnings=", f"--junitxml={pytester.path / 'junit.xml'}", *options),
    )
    return str(result.stdout) + str(result.stderr), ElementTree.parse(pytester.path / "junit.xml").getroot()


def test_fixtures_drive_a_rig_and_markers_select(pytester: pytest.Pytester) -> None:
    output, junit = run(pytester, "--rig", "rig.yaml", "--evidence", "kept")
    assert "1 failed, 2 passed, 2 skipped" in output
    assert "expected wire.pilot state state=D" in output
    assert "the rig does not claim pnc" in output
    assert "the rig has no real meter" in output
    properties = {one.get("name"): one.get("value") for one in junit.iter("property")}
    assert properties["rig name"] == "ci"
    assert properties["resource m1"] == "meter: virtual, simulated on bus, unit 1"
    assert (properties["rig seed"], properties["rig claims"]) == ("17", "ac")
    assert properties["plugbench"]
    assert next(junit.iter("testsuite"))[0].tag == "properties"
    kept = pytester.path / "kept" / "test_them.py--test_session"
    assert (kept / "events.jsonl").stat().st_size > 1000
    assert (kept / "journal.db").exists()


def test_without_a_rig_nothing_happens(pytester: pytest.Pytester) -> None:
    output, _ = run(pytester, tests="def test_plain(): pass\ndef test_rig(rig): raise AssertionError\n")
    assert "1 passed, 1 skipped" in output
    assert "no rig: pytest --rig FILE" in output


def test_a_broken_rig_skips_the_rest_with_its_reason(pytester: pytest.Pytester) -> None:
    rig = RIG.replace("{mode: virtual, start: 2026-11-20T08:00:00+01:00}", "{mode: real}")
    rig = rig.replace("port: virtual, baud: 9600", "port: /dev/nowhere, real: true, baud: 9600")
    tests = "def test_one(rig): raise AssertionError\ndef test_two(rig): raise AssertionError\n"
    output, _ = run(pytester, "--rig", "rig.yaml", tests=tests, rig=rig)
    assert "2 skipped" in output
    assert "the rig is broken: " in output
    assert "/dev/nowhere" in output


def test_a_rig_that_breaks_between_two_tests_skips_the_rest(pytester: pytest.Pytester) -> None:
    tests = """\
import os
def test_good(rig): os.truncate("key.pem", 0)
def test_one(rig): raise AssertionError
def test_two(vehicle): raise AssertionError
def test_without_it(): pass
"""
    output, _ = run(
        pytester,
        "--rig",
        "rig.yaml",
        tests=tests,
        rig=RIG.replace("{kind: file_key}", "{kind: file_key, file: key.pem}"),
    )
    assert "2 passed, 2 skipped" in output
    assert output.count("the rig is broken: ") == 2
    assert "key.pem" in output


def test_a_rig_with_limits_has_to_be_armed(pytester: pytest.Pytester) -> None:
    tests = """\
def test_session(rig):
    rig.plug()
    rig.card("04A1B2C3D4E5F6")
    rig.until("wire.power contactor closed=true", within="10 s")
"""
    rig = RIG + "limits: {max_current_a: 32}\n"
    output, _ = run(pytester, "--rig", "rig.yaml", tests=tests, rig=rig)
    assert "1 failed" in output
    output, _ = run(pytester, "--rig", "rig.yaml", "--arm", tests=tests, rig=rig)
    assert "1 passed" in output


LABGRID = """#!/bin/sh
state=STATE
case "$5" in
  show) printf "Place '%s':\\n  acquired: %s\\n" "$4" "$(cat $state 2>/dev/null)";;
  acquire) printf "lab1/alice" > $state;;
  release) [ "$(cat $state)" = lab1/alice ] || { echo "place is not acquired by you" >&2; exit 1; }; : > $state;;
esac
"""


def test_a_lost_lock_is_an_error_of_the_rig(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labgrid tells nobody that he was kicked: it is looked up before each test."""
    state, client = pytester.path / "state", pytester.path / "labgrid-client"
    client.write_text(LABGRID.replace("STATE", str(state)))
    client.chmod(0o755)
    for name, value in {"PLUGBENCH_LABGRID": client, "LG_USERNAME": "alice", "LG_HOSTNAME": "lab1"}.items():
        monkeypatch.setenv(name, str(value))
    tests = f"""\
from pathlib import Path
STATE = Path({str(state)!r})
def test_ours(rig): assert STATE.read_text() == "lab1/alice"
def test_kicked(): STATE.write_text("lab2/bob")
def test_lost(rig): raise AssertionError
def test_lost_too(rig): raise AssertionError
"""
    rig = RIG + "place: {name: bench-3, coordinator: 'lab:20408'}\n"
    output, _ = run(pytester, "--rig", "rig.yaml", tests=tests, rig=rig)
    assert "failed" not in output
    assert "2 passed, 2 skipped" in output
    assert "the rig is broken: labgrid place bench-3 is held by lab2/bob, not by lab1/alice" in output
    state.unlink()
    output, _ = run(pytester, "--rig", "rig.yaml", "-k", "ours or kicked", tests=tests, rig=rig)
    assert "2 passed" in output
    assert "1 error" in output
    assert "RigError: labgrid place bench-3 at" in output


def test_a_rig_that_somebody_else_holds_is_named(pytester: pytest.Pytester) -> None:
    port = pytester.path / "ttyX"
    port.touch()
    rig = RIG.replace("{mode: virtual, start: 2026-11-20T08:00:00+01:00}", "{mode: real}")
    rig = rig.replace("port: virtual, baud: 9600", f"port: {port}, real: true, baud: 9600")
    with held([str(port)], "bench-of-bob", RealClock()):
        output, _ = run(pytester, "--rig", "rig.yaml", tests="def test_one(rig): raise AssertionError\n", rig=rig)
    assert "1 skipped" in output
    assert f"the rig is broken: {port} is held by" in output
    assert "rig bench-of-bob" in output


@pytest.mark.parametrize(
    ("marker", "form"),
    [
        ("claims()", 'claims("iso2", "pnc")'),
        ("claims(17)", 'claims("iso2", "pnc")'),
        ("claims(name='pnc')", 'claims("iso2", "pnc")'),
        ("needs_real()", 'needs_real("meter")'),
        ('needs_real("mettre")', 'needs_real("meter")'),
    ],
)
def test_a_marker_that_is_used_wrongly_is_an_error_of_usage(pytester: pytest.Pytester, marker: str, form: str) -> None:
    (pytester.path / "test_them.py").write_text(
        f"import pytest\n@pytest.mark.{marker}\ndef test_one(): pass\ndef test_two(): pass\n"
    )
    result = pytester.runpytest_inprocess("-p", "no:asyncio", "-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "test_them.py::test_one: " in str(result.stderr)
    assert form in str(result.stderr)
    assert "passed" not in str(result.stdout)


def test_a_rig_file_that_is_wrong_is_a_usage_error_with_its_line(pytester: pytest.Pytester) -> None:
    (pytester.path / "test_them.py").write_text("def test_one(): pass\n")
    (pytester.path / "rig.yaml").write_text(RIG.replace("meter: m1", "meter: m2"))
    result = pytester.runpytest_inprocess("-p", "no:asyncio", "--rig", "rig.yaml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "rig.yaml:15: gateway.connectors[0].meter" in str(result.stderr)


def test_loading_the_plugin_loads_nothing_else() -> None:
    code = (
        "import sys, plugbench.pytest_plugin; print([m for m in sys.modules if m.startswith(('hil_rigs', 'gateway'))])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == "[]\n"
