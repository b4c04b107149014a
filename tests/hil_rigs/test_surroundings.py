"""What a machine lacks for a rig."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hil_rigs import surroundings as module
from hil_rigs.rig_file import load_rig
from hil_rigs.surroundings import lesser, surroundings

RIG = """\
rig: bench
clock: {{mode: real}}
resources:
  bus:   {bus}
  m1:    {{kind: meter, model: eastron_sdm630, bus: bus, unit: 1}}
  hsm:   {hsm}
  board: {{kind: charger}}
  cpo:   {cpo}
gateway:
  serial_number: GW
  connectors:
    - {{id: "1", evse_id: "DE*PLB*E1", board: board, meter: m1, signer: hsm, max_current_a: 32}}
  backends: [cpo]
"""
BUS = "{kind: serial, port: virtual, baud: 9600}"
HSM = "{kind: file_key}"
CPO = "{kind: cpo.rest}"


def lacking(folder: Path, bus: str = BUS, hsm: str = HSM, cpo: str = CPO) -> list[str]:
    path = folder / "bench.yaml"
    path.write_text(RIG.format(bus=bus, hsm=hsm, cpo=cpo), encoding="utf-8")
    return [str(problem).partition("bench.yaml:")[2] for problem in surroundings(load_rig(path))]


def test_a_simulated_rig_lacks_nothing(tmp_path: Path) -> None:
    assert lacking(tmp_path) == []


def test_a_missing_port_lists_the_ports_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ports_found", lambda: ["/dev/ttyUSB7"])
    port = tmp_path / "usb-x"
    assert lacking(tmp_path, bus=f"{{kind: serial, port: {port}, baud: 9600, real: true}}") == [
        f"4: resources.bus.port: {port} is not there; ports of this machine: /dev/ttyUSB7"
    ]
    port.write_text("")
    assert "is not a serial port" in lacking(tmp_path, bus=f"{{kind: serial, port: {port}, baud: 9600, real: true}}")[0]


def test_a_port_in_use_names_who_has_it(tmp_path: Path) -> None:
    master, slave = os.openpty()
    try:
        port = os.ttyname(slave)
        bus = f"{{kind: serial, port: {port}, baud: 9600, external: true}}"
        assert lacking(tmp_path, bus=bus)[0].startswith(
            f"4: resources.bus.port: {port} is in use by process {os.getpid()} ("
        )
        os.close(slave)
        slave = -1
        assert lacking(tmp_path, bus=bus) == []
    finally:
        os.close(master)
        if slave >= 0:
            os.close(slave)


def test_ports_can_be_listed() -> None:
    assert all(port.startswith("/dev/") for port in module.ports_found())


def test_a_pin_in_place_of_its_file_is_not_shown(tmp_path: Path) -> None:
    found = lacking(tmp_path, hsm='{kind: pkcs11, module: no/p11.so, token: t, key: k, pin_file: "4711", real: true}')
    assert [line.split(": ")[1] for line in found] == ["resources.hsm.module", "resources.hsm.pin_file"]
    assert "4711" not in "".join(found)


def test_a_secret_that_others_can_read(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("x")
    cpo = '{kind: cpo.rest, url: "https://a/", bearer_file: token}'
    token.chmod(0o640)
    assert lacking(tmp_path, cpo=cpo) == [
        "8: resources.cpo.bearer_file: the file that it names can be read by others: chmod 600"
    ]
    token.chmod(0o600)
    assert lacking(tmp_path, cpo=cpo) == []


def test_a_missing_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLUGBENCH_TEST_PIN", raising=False)
    hsm = "{kind: pkcs11, module: softhsm, token: t, key: k, pin_env: PLUGBENCH_TEST_PIN}"
    monkeypatch.setattr(module, "SOFTHSM_LIBRARIES", (str(tmp_path),))
    assert lacking(tmp_path, hsm=hsm) == [
        "6: resources.hsm.pin_env: the environment has no variable PLUGBENCH_TEST_PIN"
    ]
    monkeypatch.setenv("PLUGBENCH_TEST_PIN", "1")
    assert lacking(tmp_path, hsm=hsm) == []


def test_without_softhsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SOFTHSM_LIBRARIES", ())
    monkeypatch.setenv("PLUGBENCH_TEST_PIN", "1")
    named = "{kind: pkcs11, module: softhsm, token: t, key: k, pin_env: PLUGBENCH_TEST_PIN}"
    assert "apt-get install softhsm2" in lacking(tmp_path, hsm=named)[0]
    assert lacking(tmp_path, hsm="{kind: pkcs11, module: softhsm, token: t, key: k}") == []
    assert "not an HSM" in str(lesser(load_rig(tmp_path / "bench.yaml"))[0])


def test_missing_files_and_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    monkeypatch.setattr(Path, "exists", lambda _path: False)
    assert lacking(tmp_path, hsm="{kind: file_key, file: no/key.pem}", cpo="{kind: cpo.mqtt}") == [
        f"6: resources.hsm.file: no folder {tmp_path}/no",
        "8: resources.cpo.broker: mosquitto is not installed: apt-get install mosquitto",
    ]
    cpo = '{kind: cpo.rest, url: "https://a/", ca_file: ca.pem, bearer_file: token}'
    assert [line.split(": ")[1] for line in lacking(tmp_path, cpo=cpo)] == [
        "resources.cpo.bearer_file",
        "resources.cpo.ca_file",
    ]
