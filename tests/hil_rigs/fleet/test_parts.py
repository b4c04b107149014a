"""The small parts: the loop without threads, the bus without a line, drawn faults, memory, when sessions begin."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.operators.cpo.faults import CsmsFaultKind
from hil_rigs.fleet.csms import DrawnFaults
from hil_rigs.fleet.direct_bus import DirectBus
from hil_rigs.fleet.driver import HOUR_S, begins
from hil_rigs.fleet.inline_loop import InlineLoop
from hil_rigs.fleet.memory import folder_in_memory, resident_mib, slope
from hil_rigs.fleet.plan import MARGIN_H, Faults, FleetPlan, proof_of_scale
from hil_rigs.virtual_clock import VirtualClock, run_virtual
from meters.constant_power import ConstantPower
from meters.modbus_meter import ModbusMeter
from meters.model import load_model
from meters.simulated import SimulatedMeter
from ports.errors import PeerError

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_work_of_executors_is_done_at_once_and_its_errors_come_back() -> None:
    async def main(clock: VirtualClock) -> float:
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(None, lambda a, b: a + b, 1, 2) == 3
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(None, lambda: 1 // 0)
        await clock.sleep(60)
        return clock.monotonic()

    assert run_virtual(main, start=START, loop_factory=InlineLoop) == 1060.0


def test_a_meter_without_a_line_shows_what_was_counted() -> None:
    async def main(clock: VirtualClock) -> Decimal:
        model = load_model("eastron_sdm630")
        source = ConstantPower(Decimal(6000), clock.monotonic)
        simulated = SimulatedMeter(model, source, serial="20000001", label="m")
        meter = ModbusMeter("m", model, DirectBus(simulated), clock, settings=model.settings)
        assert (await meter.identify()).serial == "20000001"
        await clock.sleep(3600)
        value = (await meter.read_energy()).value
        simulated.faults.inject("dead")
        with pytest.raises(PeerError, match="no answer"):
            await meter.read_energy()
        return value

    assert run_virtual(main, start=START) == Decimal("6.00")


def test_faults_come_in_their_shares_and_each_station_has_its_own() -> None:
    async def main(clock: VirtualClock) -> tuple[list[CsmsFaultKind], list[CsmsFaultKind]]:
        faults = DrawnFaults(Faults(errors=0.1, lost_acks=0.02), clock)
        alone = [faults.call("a", "Heartbeat").kind for _ in range(5000)]
        others = DrawnFaults(Faults(errors=0.1, lost_acks=0.02), clock)
        among = []
        for _ in range(5000):
            others.call("b", "Heartbeat")
            among.append(others.call("a", "Heartbeat").kind)
        assert 400 < faults.hit["call errors"] < 600
        assert 60 < faults.hit["lost acks"] < 140
        assert sum(faults.refuses_connection("a") for _ in range(1000)) == faults.hit["refused connections"] > 50
        return alone, among

    alone, among = run_virtual(main, start=START, seed=5)
    assert alone == among


def test_what_does_not_fit_into_memory_lies_elsewhere() -> None:
    assert folder_in_memory(1e12) is None
    assert 1000 < proof_of_scale().need_mib < 2000
    assert proof_of_scale(10).need_mib < 100


def test_memory_that_grows_has_a_slope_and_one_jump_has_none() -> None:
    assert resident_mib() > 10
    assert slope([100 + 10 * hour for hour in range(9)]) == 10
    assert slope([100, 180, 200, 200, 200, 200, 200, 200, 200, 230, 200, 200]) == 0
    assert slope([100, 200, 300, 400]) == 0


@given(
    sessions=st.integers(1, 6),
    session_h=st.floats(0.1, 4),
    spare_h=st.floats(0, 10),
    seed=st.integers(0, 100),
)
def test_sessions_never_overlap_and_end_in_time(sessions: int, session_h: float, spare_h: float, seed: int) -> None:
    hours = sessions * (session_h + MARGIN_H) + spare_h + 1e-6
    plan = FleetPlan(hours=hours, sessions=sessions, session_h=session_h)
    times = [0.0 - plan.session_h * HOUR_S, *begins(plan, Random(seed)), hours * HOUR_S]
    lengths = [later - earlier for earlier, later in pairwise(times)]
    assert min(lengths) >= plan.session_h * HOUR_S - 1
