"""A small fleet that has run: three stations, six hours, many faults, and an outage in the middle.

With this seed, the first contract is lost on its way to the vehicle, and the other vehicle comes in the outage.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from hil_rigs.fleet.plan import Faults, FleetPlan, Iso15118, Outage
from hil_rigs.fleet.run import FleetResult, run_fleet
from hil_rigs.fleet.shard import Hour

PLAN = FleetPlan(
    stations=3,
    hours=6,
    seed=2019,
    sessions=2,
    session_h=1,
    processes=1,
    iso15118=Iso15118(stations=2),
    faults=Faults(errors=0.2, lost_acks=0.2),
    outages=[Outage(at_h=1.5, hours=1.5)],
)


class Ran(NamedTuple):
    """result, and what it left in folder; hours: as they were told."""

    result: FleetResult
    folder: Path
    hours: list[list[Hour]]


@pytest.fixture(scope="package")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("fleet")
    hours: list[list[Hour]] = []
    return Ran(run_fleet(PLAN, folder, hours.append), folder, hours)
