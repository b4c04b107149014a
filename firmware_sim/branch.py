"""One connector's power path: meter, contactor, cable, vehicle. Integers only: millivolts, milliamperes, nanowatts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from firmware_sim.energy_counter import NW_PER_W, EnergyCounter
from ports.errors import LocalError

Amounts = tuple[int, int, int]  # one per phase
NONE: Amounts = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class BranchSettings:
    """standing_w: what the station itself draws behind the meter, always. leak_ma: leaks to earth on L1 behind the
    contactor. cable_mohm: loop resistance per phase between meter and vehicle, for loss compensation."""

    standing_w: float = 0.0
    leak_ma: int = 0
    cable_mohm: int = 0

    def __post_init__(self) -> None:
        for name in ("standing_w", "leak_ma", "cable_mohm"):
            if getattr(self, name) < 0:
                raise LocalError(f"connector: {name} is {getattr(self, name)}, below 0")


@dataclass(slots=True)
class DcFeed:
    """What a DC power stage puts on its output: voltage, and the most current that it lets flow."""

    millivolts: int = 0
    limit_ma: int = 0


class Branch:
    """Flow = contactor x demand x voltage. dc: the power stage in between; everything behind it is DC, on "L1"."""

    def __init__(self, name: str, settings: BranchSettings, at: int) -> None:
        self.name = name
        self.settings = settings
        self.closed = False
        self.dc: DcFeed | None = None
        self.demand_ma: Amounts = NONE
        self.metered = EnergyCounter(at)  # upstream of the contactor, standing consumption included
        self.delivered = EnergyCounter(at)  # at the vehicle's inlet
        self.millivolts: Amounts = NONE
        self.milliamperes: Amounts = NONE
        self.listeners: list[Callable[[], None]] = []
        self._flow: object = None

    def flow(self, at: int, mains: Amounts) -> bool:
        """Take new conditions from `at` on; says whether anything changed."""
        wanted, millivolts = self.demand_ma, mains
        if self.dc is not None:
            wanted = (min(wanted[0], self.dc.limit_ma), 0, 0)
            millivolts = (self.dc.millivolts if any(mains) else 0, 0, 0)
        leak = (self.settings.leak_ma, 0, 0)
        current = tuple((w + x) if self.closed and u else 0 for w, x, u in zip(wanted, leak, millivolts, strict=True))
        to_vehicle = tuple(w if self.closed and u else 0 for w, u in zip(wanted, millivolts, strict=True))
        standing = round(self.settings.standing_w * NW_PER_W) if any(mains) else 0
        metered = 1000 * sum(u * i for u, i in zip(millivolts, current, strict=True)) + standing
        loss = self.settings.cable_mohm * sum(i * i for i in to_vehicle)  # mA^2 x mohm = nW
        delivered = 1000 * sum(u * i for u, i in zip(millivolts, to_vehicle, strict=True)) - loss
        self.millivolts = millivolts
        self.milliamperes = (current[0], current[1], current[2])
        self.metered.set_power(at, metered)
        self.delivered.set_power(at, delivered)
        before, self._flow = self._flow, (self.closed, millivolts, self.milliamperes, metered, delivered)
        return before != self._flow

    def mains_milliamperes(self, mains: Amounts) -> Amounts:
        """What the mains sees: behind a DC power stage the power spreads over the phases, without losses."""
        if self.dc is None:
            return self.milliamperes
        milliwatts = self.millivolts[0] * self.milliamperes[0] // 1000
        on = sum(1 for u in mains if u)
        l1, l2, l3 = (round(milliwatts * 1000 / (on * u)) if u else 0 for u in mains)
        return l1, l2, l3

    def inlet_millivolts(self) -> Amounts:
        """What the vehicle's inlet sees."""
        return self.millivolts if self.closed else NONE
