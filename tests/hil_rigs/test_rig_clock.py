"""The clock of a rig file."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from hil_rigs.rig import RealClockSettings, Rig, VirtualClockSettings
from hil_rigs.rig_clock import run_under_clock
from hil_rigs.rig_file import load_rig
from ports.clock import Clock

RIGS = Path(__file__).parents[2] / "rigs"


def rig(name: str, **changes: object) -> Rig:
    loaded = load_rig(RIGS / name).rig
    return msgspec.structs.replace(loaded, clock=msgspec.structs.replace(loaded.clock, **changes))


async def eight_hours(clock: Clock) -> tuple[bool, str, str]:
    before = clock.now().isoformat()
    await clock.sleep(8 * 3600)
    return clock.is_virtual, before, clock.now().isoformat()


def test_virtual_time() -> None:
    assert run_under_clock(rig("eight_hours.yaml"), eight_hours) == (
        True,
        "2026-03-28T21:00:00+01:00",
        "2026-03-29T05:00:00+01:00",
    )


def test_virtual_time_in_a_zone() -> None:
    changed = rig("eight_hours.yaml", zone="Europe/Berlin")
    assert isinstance(changed.clock, VirtualClockSettings)
    assert run_under_clock(changed, eight_hours)[2] == "2026-03-29T06:00:00+02:00"


@pytest.mark.parametrize("zone", [None, "Asia/Kolkata"])
def test_real_time(zone: str | None) -> None:
    async def look(clock: Clock) -> tuple[bool, float]:
        offset = clock.now().utcoffset()
        assert offset is not None
        return clock.is_virtual, offset.total_seconds() / 3600

    changed = rig("first_session.yaml", zone=zone)
    assert isinstance(changed.clock, RealClockSettings)
    is_virtual, offset = run_under_clock(changed, look)
    assert not is_virtual
    assert zone is None or offset == 5.5
