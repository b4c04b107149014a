"""docs/scenarios.md says what there is: its example loads, no channel and no check is missing, calls exist."""

from __future__ import annotations

import re
from pathlib import Path

from hil_rigs.scenario.channels import CHANNELS
from hil_rigs.scenario.checks import CHECKS
from hil_rigs.scenario.handle import RigHandle
from hil_rigs.scenario.scenario_file import load_scenarios
from hil_rigs.scenario.vocabulary import read_moment

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")


def test_the_first_example_loads(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(# yaml-language-server.*?)```", PAGE, re.DOTALL)
    (tmp_path / "noisy.yaml").write_text(example, encoding="utf-8")
    (tmp_path / "rigs").symlink_to(ROOT / "scenarios" / "rigs")
    (file,) = load_scenarios(tmp_path / "noisy.yaml")
    assert file.name == "noisy-line"


def test_every_channel_and_every_check_with_its_parameters_is_there() -> None:
    for channel in CHANNELS:
        assert re.search(rf"^\|.*`{re.escape(channel)}`.* \|$", PAGE, re.MULTILINE), channel
    for name, check in CHECKS.items():
        (row,) = re.findall(rf"^\| [^|]*`{re.escape(name)}`[^|]* \|.*$", PAGE, re.MULTILINE)
        for parameter in check.parameters:
            said = "required" if parameter.required else str(parameter.default).lower()
            assert f"`{parameter.name}`" in row, name
            assert said in row, name


def test_patterns_of_the_page_can_be_seen_and_calls_can_be_made() -> None:
    lines = "\n".join(line for line in PAGE.splitlines() if not line.startswith("plugbench: "))  # that one is refused
    patterns = re.findall(r'(?:at|expect|never|seen): "([^"$]+)"', lines)
    assert len(patterns) > 5
    for text in (*patterns, *re.findall(r"`(wire\.v2g [A-Z][^`]+)`", PAGE)):
        read_moment(text)
    calls = re.findall(r"rig\.(\w+)\(", PAGE)
    table = PAGE.partition("| `rig.` | |")[2].partition("\n\n")[0]
    calls += [
        name for cell in re.findall(r"^\| (.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)\(", cell)
    ]
    assert len(calls) > 20
    for name in calls:
        assert callable(getattr(RigHandle, name)), name
