"""Records of whole gateway sessions before a foreign judge.

Judge: pyocmf 0.6.0 (PyPI, MIT, github.com/paul-ww/pyocmf), its signature check and its rules for a transaction. The
sessions are played by the gateway itself in virtual time, with the faults that it has to survive.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from pyocmf import OCMF, check_eichrecht_transaction

from gateway.transaction import State
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from ports.backend import SignedRecord
from tests.gateway.point import CARD, START, Point


def records(folder: Path, *, trouble: str = "") -> list[SignedRecord]:
    """What a backend got from one session."""

    async def main(clock: VirtualClock) -> list[SignedRecord]:
        point = Point(clock, folder)
        controller = await point.start()
        point.cable.plug()
        await controller.wait_for("c1", State.PLUGGED)
        await controller.authorise("c1", CARD)
        await controller.wait_for("c1", State.CHARGING)
        await clock.sleep(90)
        if trouble == "clock":
            clock.step(-3600)
            await clock.sleep(30)
        if trouble == "power":
            await point.crash()
            await clock.sleep(600)
            controller = await point.start()
        elif trouble == "meter":
            point.meter.silent = True
        else:
            point.cable.unplug()
        await controller.wait_for("c1", State.AVAILABLE, State.PLUGGED)
        await controller.close()
        return point.backend.records

    return run_virtual(main, start=START, seed=11)


@pytest.mark.parametrize("trouble", ["", "clock", "power", "meter"])
def test_every_record_is_valid_for_pyocmf(tmp_path: Path, trouble: str) -> None:
    found = records(tmp_path, trouble=trouble)
    assert len(found) >= 3
    for record in found:
        parsed = OCMF.from_string(record.ocmf, strict=True)
        assert parsed.verify_signature(record.public_key)
        changed = record.ocmf.replace('"ZH"', '"ZI"')
        assert not OCMF.from_string(changed).verify_signature(record.public_key)


@pytest.mark.parametrize(("trouble", "good"), [("", True), ("power", True), ("meter", False)])
def test_pyocmf_bills_the_transactions_that_we_bill(tmp_path: Path, trouble: str, good: bool) -> None:
    found = records(tmp_path, trouble=trouble)
    begin, end = (OCMF.from_string(record.ocmf) for record in (found[0], found[-1]))
    issues = check_eichrecht_transaction(begin.payload, end.payload)
    serious = [issue for issue in getattr(issues, "issues", issues) if "ERROR" in str(issue.severity).upper()]
    assert bool(serious) is not good
