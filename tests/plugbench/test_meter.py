"""`plugbench meter` from the command line to the meter's registers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil_rigs.serial_line import VirtualLine
from meters.model import load_model, model_names
from meters.simulated import SERIAL, SimulatedMeter
from plugbench.__main__ import main
from ports.serial_line import SerialSettings
from tests.meters.plant import Plant

SETTINGS = SerialSettings(115200, "8E1")


@pytest.fixture
def port() -> Iterator[str]:
    sim = SimulatedMeter(load_model("eastron_sdm630"), Plant(4_000), settings=SETTINGS, device=7)
    with VirtualLine(SETTINGS, [sim]) as line:
        yield line.path


def meter(*words: str) -> int:
    return main(["meter", *words])


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_read_as_json(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--model", "eastron_sdm630", "--device", "7", "--baud", "115200", "--format", "8E1", "--port", port]
    assert meter("read", *options, "--json", "--counters", "energy_import", "power") == 0
    identity, energy, power, counters = lines(capsys)
    assert identity["serial"] == SERIAL
    assert (energy["name"], energy["value"], energy["unit"], energy["billing_grade"]) == (
        "energy_import",
        "0.00",
        "kWh",
        True,
    )
    assert (power["value"], power["unit"], power["raw"]) == ("4000", "W", "457a0000")
    assert counters["line"] == {"requests": 3, "answers": 3, "opened": 1}


def test_read_for_people(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--model", "eastron_sdm630", "--device", "7", "--baud", "115200", "--format", "8E1", "--port", port]
    assert meter("read", *options) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Eastron SDM630-Modbus, serial number {SERIAL}")
    assert "voltage_l2" in shown
    assert "231.5 V" in shown


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--device", "9"], 1, "no answer (asked before holding registers 0xfc00-0xfc01, whose last answer"),
        (["nonsense"], 2, "has no point 'nonsense'"),
    ],
)
def test_read_failures(port: str, options: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--model", "eastron_sdm630", "--device", "7", "--baud", "115200", "--format", "8E1", "--port", port]
    assert meter("read", *given, *options) == code
    assert says in capsys.readouterr().err


def test_a_missing_port_is_a_rig_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert meter("read", "--model", "eastron_sdm630", "--port", str(tmp_path / "ttyUSB9")) == 2
    assert "ttyUSB9" in capsys.readouterr().err
    assert meter("read", "--model", "nothing", "--port", "x") == 2
    assert "no meter model 'nothing'" in capsys.readouterr().err
    assert meter("read", "--model", "abb_b23", "--port", "tcp:here:there") == 2
    assert "expected tcp:HOST" in capsys.readouterr().err


def test_sim_says_how_to_read_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link = str(tmp_path / "meter")
    assert meter("sim", "--model", "abb_b23", "--link", link, "--for", "0", "--fault", "exception,code=6,times=2") == 0
    said = capsys.readouterr().out
    assert f"plugbench meter read --model abb_b23 --device 1 --baud 9600 --format 8E1 --port {link}" in said
    assert meter("sim", "--model", "abb_b23", "--tcp", "0", "--for", "0", "--json") == 0
    (told,) = lines(capsys)
    assert str(told["port"]).startswith("tcp:127.0.0.1:")


@pytest.mark.parametrize("fault", ["nonsense", "dead,times=often", "jump,to=4"])
def test_sim_refuses_faults_that_do_not_exist(fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert meter("sim", "--model", "abb_b23", "--fault", fault, "--for", "0") == 2
    assert "fault" in capsys.readouterr().err


def test_probe(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--port", port, "--device", "7", "--baud", "115200", "--format", "8E1", "--format", "8N1", "--json"]
    assert meter("probe", *given) == 0
    right, wrong, conclusion = lines(capsys)
    assert right["verdict"] == "answer"
    assert wrong["verdict"] != "answer"
    assert conclusion["answered"] is True
    assert meter("probe", "--port", port, "--device", "8", "--baud", "115200", "--format", "8E1") == 1
    assert "silence at every setting" in capsys.readouterr().out


def test_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert meter("models", "--json") == 0
    assert [line["model"] for line in lines(capsys)] == model_names()
    for name in model_names():
        assert meter("models", name) == 0
        shown = capsys.readouterr().out
        assert "[documented]" in shown
        assert "energy_import" in shown
