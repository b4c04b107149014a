"""`plugbench channels`, `plugbench checks` and `plugbench faults --defects`."""

from __future__ import annotations

import json

import pytest

from hil_rigs.scenario.channels import CHANNELS
from hil_rigs.scenario.checks import CHECKS
from hil_rigs.scenario.defects import DEFECTS
from plugbench.__main__ import main


def output(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words) == 0
    return capsys.readouterr().out


def test_channels_names_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    assert [line.split()[0] for line in output(capsys, "channels").splitlines()] == list(CHANNELS)
    assert "flow: closed milliamperes[3] millivolts[3] watts\n" in output(capsys, "channels", "wire.power")
    assert "\n  active: false, true\n  fault: CommunicationFault, " in output(capsys, "channels", "session", "fault")
    messages = output(capsys, "channels", "wire.v2g")
    assert "fields: plugbench channels wire.v2g SessionStopRes\n" in messages
    assert "AC_EVSEStatus" in output(capsys, "channels", "wire.v2g", "ChargingStatusRes")
    (line,) = output(capsys, "channels", "session", "ocsp", "--json").splitlines()
    assert json.loads(line)["fields"][-1] == "..."


def test_checks_with_their_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    listed = output(capsys, "checks")
    assert [line for line in listed.splitlines() if not line.startswith(" ")] == list(CHECKS)
    assert "  tolerance_wh (10) Wh less than this apart\n" in listed
    assert "  page (required) PG of a record: T6\n" in output(capsys, "checks", "csms.values")
    assert "  mixed_pair (false) true: " in listed
    assert len(output(capsys, "checks", "--json").splitlines()) == len(CHECKS)


def test_defects_with_their_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    listed = output(capsys, "faults", "--defects")
    assert [line for line in listed.splitlines() if not line.startswith(" ")] == list(DEFECTS)
    assert "board.slow_pilot\n  the board sees the pilot late\n  seconds (0.5) s how late\n" in listed
    assert "  to (required) residual/heat/" in listed
    lines = [json.loads(line) for line in output(capsys, "faults", "--defects", "--json").splitlines()]
    assert [one["parameters"][0]["default"] for one in lines if one["defect"] == "journal.loses_page"] == [2]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("channels", "wire.pwr"), 'no channel "wire.pwr"'),
        (("channels", "wire.power", "flw"), "did you mean flow?"),
        (("checks", "store.pair"), "did you mean store.pairs?"),
    ],
)
def test_wrong_names(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str) -> None:
    assert main(words) == 2
    assert says in capsys.readouterr().err
