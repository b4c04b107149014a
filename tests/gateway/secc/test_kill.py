"""A session killed at every message boundary, from either side: the station is ready for the next one within 5 s."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from firmware_sim.vehicle.wish import Seconds
from gateway.transaction import State
from ports.faults import no_fault
from tests.gateway.secc.bench import Bench, on_bench

T = TypeVar("T")
LIMIT_S = 5.0


class Killer:
    """Kills one side's connection at its message number `at`; before the message has left, or after."""

    def __init__(self) -> None:
        self.at = 0
        self.after = False
        self.kill: Callable[[], None] = lambda: None
        self.count = 0
        self.struck = ""

    def __call__(self, point: str, unit: T) -> list[T]:
        if point.endswith(".frame") and not self.struck:
            self.count += 1
            if self.count == self.at:
                self.struck = point.split(".")[2]
                if self.after:
                    return [unit, *self._die()]
                self._die()
                return []
        return [] if self.struck and self.count >= self.at else [unit]

    def _die(self) -> list[Any]:
        import asyncio

        asyncio.get_running_loop().call_soon(self.kill)
        return []


def _abort(connection: Any) -> None:
    """The process is gone: the kernel closes its socket."""
    if connection is not None and connection._transport is not None:
        connection._transport.abort()


ALL = [
    (dc, protocol, side, after)
    for dc, protocol in ((False, "iso2"), (True, "iso2"), (True, "din"))
    for side in ("station", "vehicle")
    for after in (False, True)
]
SLICE = {  # DC sessions have four times as many boundaries
    (False, "iso2", "station", False),
    (False, "iso2", "vehicle", True),
    (True, "din", "station", True),
}


@pytest.mark.parametrize(
    ("dc", "protocol", "side", "after"),
    [pytest.param(*row, marks=() if row in SLICE else pytest.mark.soak) for row in ALL],
    ids=[
        f"{protocol} {'DC' if dc else 'AC'} {side} {'after' if after else 'before'}"
        for dc, protocol, side, after in ALL
    ],
)
def test_every_boundary(dc: bool, protocol: str, side: str, after: bool) -> None:
    killers: list[Any] = []  # of the session that begins next

    def hook() -> Any:
        return killers.pop() if killers else no_fault

    async def main(bench: Bench) -> None:
        evcc = bench.evcc
        assert evcc is not None
        struck: list[str] = []

        def sessions() -> int:
            return sum(event.data["outcome"] == "begun" for event in bench.told("secc.session"))

        while True:
            before = sessions()
            killer = Killer()
            killer.at, killer.after = len(struck) + 1, after
            killer.kill = lambda: (
                _abort(evcc.connection)
                if side == "vehicle"
                else [_abort(one) for one in list(bench.secc.station.connections)]  # type: ignore[union-attr]
            )
            killers.append(killer)
            await bench.plug(Seconds(1))
            await bench.card()
            await bench.clock.sleep(0.01)
            await bench.soon(evcc.idle())
            if not killer.struck:
                break  # a whole session without that many messages
            struck.append(killer.struck)
            await bench.clock.sleep(LIMIT_S)
            # ready: the contactor is open, and what was begun is closed and signed
            state = bench.connector.machine.state
            if sessions() == before:  # no session has begun: the card that was accepted waits for one
                assert state is State.OFFERED, struck
            else:
                assert state is State.PLUGGED, struck
            assert not bench.outlet.branch.closed, struck
            if state is State.PLUGGED:
                await bench.card()
            bench.vehicle.want(Seconds(1))
            evcc.try_again()
            await bench.charging(10)
            await bench.soon(evcc.idle())
            assert evcc.problem == "", struck
            await bench.state(State.PLUGGED)
            await bench.unplug()
            await bench.clock.sleep(2)
        await bench.clock.sleep(5)
        names = set(struck)
        kind = "Res" if side == "station" else "Req"
        expected = {"SessionSetup", "PowerDelivery", "SessionStop", "CurrentDemand" if dc else "ChargingStatus"}
        assert {f"{name}{kind}" for name in expected} <= names
        energies = bench.verified_kwh()  # also says that each has its signed end
        assert all(kwh is not None for kwh in energies.values())
        total = sum(kwh for kwh in energies.values() if kwh is not None) * 1000
        assert abs(bench.point.electrical().energy_import_wh - total) <= len(energies)
        assert [row[1] for row in await bench.records()].count("Transaction.Begin") == len(energies)

    on_bench(
        main,
        dc=dc,
        secc={"hook": hook} if side == "station" else {},
        evcc={"protocols": (protocol,), **({"hook": hook} if side == "vehicle" else {})},
    )
