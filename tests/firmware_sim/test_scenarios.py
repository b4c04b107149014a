"""The electrical scenarios, from plug to unplug, with their exact outcomes on the charger's level."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ports.charge_control import ContactorChanged
from ports.errors import PeerError
from tests.firmware_sim.bench import Bench, on_bench


def test_basic_charging_without_digital_communication() -> None:
    async def main(bench: Bench) -> None:
        await bench.charge(32)
        assert bench.pilots() == ["B1", "B2", "C2"]
        status = await bench.charger.status()
        assert status.duty == pytest.approx(53.33, abs=0.01)
        assert status.cable_a == 32
        c2 = next(e.at for e in bench.events if getattr(e, "state", "") == "C")
        closed = bench.at(lambda e: isinstance(e, ContactorChanged) and e.closed)
        assert 0 < closed - c2 <= 3  # A.6 4
        await bench.clock.sleep(3600)
        electrical = bench.point.electrical()
        assert electrical.current_a == (16.0, 16.0, 16.0)
        assert electrical.power_w == (3680.0, 3680.0, 3680.0)
        bench.vehicle.stop()
        ceased = bench.clock.monotonic()
        await bench.until_pilot("B2")
        opened = (await bench.until(lambda e: isinstance(e, ContactorChanged) and not e.closed)).at
        assert opened - (ceased + bench.vehicle.settings.open_after_s) <= 0.1  # A.6 8.1, counted from S2
        end = bench.point.electrical().energy_import_wh
        await bench.clock.sleep(3600)
        assert bench.point.electrical().energy_import_wh == end
        drawing = ceased - bench.traced("pilot.vehicle")[2].at
        assert end == pytest.approx(Decimal(11040) * Decimal(drawing) / 3600, abs=Decimal("1e-6"))

    on_bench(main)


def test_the_contactor_does_not_close_before_c2() -> None:
    async def main(bench: Bench) -> None:
        bench.vehicle.plug_in(bench.connector)
        await bench.until_pilot("B1")
        with pytest.raises(PeerError, match="the pilot is B1"):
            await bench.charger.set_contactor(True)

    on_bench(main)
