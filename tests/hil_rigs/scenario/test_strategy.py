"""States of a rig: the route between any two, and a rig that goes there."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from hil_rigs.scenario.handle import open_handle
from hil_rigs.scenario.rig_changes import changed_rig
from hil_rigs.scenario.strategy import BACK, WAYS, RigState, route, state_of

RIG = Path(__file__).parents[3] / "scenarios" / "rigs" / "basic_ac.yaml"
KEY = {"resources.hsm": None, "resources.key.kind": "file_key", "gateway.connectors[0].signer": "key"}


@pytest.mark.parametrize(("here", "wanted"), list(itertools.product(RigState, RigState)))
def test_every_state_is_reached_from_every_other(here: RigState, wanted: RigState) -> None:
    ways = route(here, wanted)
    for way in ways:
        if way is BACK:
            here = RigState.POWERED
        else:
            assert way.before is here
            here = next(state for state, known in WAYS.items() if known is way)
    assert here is wanted


def test_a_rig_goes_where_it_is_told(tmp_path: Path) -> None:
    with open_handle(changed_rig(RIG, KEY), tmp_path) as rig:
        for state in ("plugged", "charging", "charging", "powered", "authorised", "charging", "plugged", "powered"):
            rig.reach(state)
            here = rig.call(lambda: state_of(rig.bench, "ev", "1"))
            assert here is RigState(state) or (state == "authorised" and here is RigState.CHARGING)
