"""A fault that has nothing to strike in a rig is refused before the rig comes up."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil_rigs.fault_catalogue.catalogue import CATALOGUE, find
from hil_rigs.rig import Rig
from hil_rigs.rig_file import load_rig
from hil_rigs.scenario.fault_targets import target_problem
from hil_rigs.scenario.rig_changes import changed_rig

RIGS = Path(__file__).parents[3] / "scenarios" / "rigs"
AC = load_rig(RIGS / "basic_ac.yaml").rig
CSMS = load_rig(RIGS / "csms.yaml").rig
ISO2 = load_rig(RIGS / "iso2_ac.yaml").rig
REAL_TIME = changed_rig(RIGS / "basic_ac.yaml", {"clock": None, "clock.mode": "real"}).rig


def only(rig: Rig, kind: str) -> str:
    return next(name for name, one in rig.resources.items() if one.__struct_config__.tag == kind)


@pytest.mark.parametrize(
    ("fault", "on", "rig"),
    [
        ("line.drop", "", AC),
        ("line.drop", only(AC, "serial"), AC),
        ("meter.dead", only(AC, "meter"), AC),
        ("cable.DiodeFault", "", AC),
        ("cable.DiodeFault", only(AC, "vehicle"), AC),
        ("token.removed", "", AC),
        ("clock.step", "", AC),
        ("network.down", "any host", AC),
        ("csms.away", "", CSMS),
        ("delivery.lost", "csms", CSMS),
        ("v2g.delay", "", ISO2),
    ],
)
def test_there_is_something_to_strike(fault: str, on: str, rig: Rig) -> None:
    name = fault if fault in CATALOGUE else next(one for one in CATALOGUE if one.startswith(fault.split(".")[0]))
    assert target_problem(find(name), on, rig) == ""


@pytest.mark.parametrize(
    ("fault", "on", "rig", "says"),
    [
        ("line.drop", "bs", AC, 'no virtual line "bs" for line.drop to strike; did you mean bus?'),
        ("meter.dead", "zzz", AC, "there are m1"),
        ("v2g.delay", "1", AC, 'no connector with V2G "1" for v2g.delay to strike; the rig has none'),
        ("v2g.delay", "", AC, "say which connector with V2G v2g.delay strikes (on); the rig has none"),
        ("csms.away", "", AC, "the rig has none"),
        ("pools.error", "", AC, "pools.error needs embedded pools, and the rig has none"),
        ("clock.step", "bus", AC, 'clock.step has only one thing to strike: leave out on, which is "bus"'),
        ("clock.step", "", REAL_TIME, "clock.step needs virtual time"),
    ],
)
def test_there_is_nothing_to_strike(fault: str, on: str, rig: Rig, says: str) -> None:
    assert says in target_problem(find(fault), on, rig)


def test_every_entry_says_something_that_is_known() -> None:
    for entry in CATALOGUE.values():
        problem = target_problem(entry, "nobody has this name", AC)
        assert problem or entry.on.startswith("host")
