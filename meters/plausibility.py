"""The second belt of metering: a counter that runs backwards, jumps, or belongs to another meter is not believed."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from meters.model import MeterModel, Point
from meters.values import WRAPS
from ports.errors import PeerError
from ports.meter import Quality, Reading

SLACK_S = 2.0  # a reading's time is that of its answer: the value may be that much older or newer
TO_WH = {"Wh": Decimal(1), "kWh": Decimal(1000)}


class ImplausibleError(PeerError):
    """A value that cannot be true; `quality` is what OCMF calls it."""

    def __init__(self, message: str, quality: Quality, received: bytes = b"") -> None:
        super().__init__(message, received)
        self.quality = quality


class MeterReplacedError(ImplausibleError):
    """The serial number is another one than before."""


@dataclass(slots=True)
class Plausibility:
    """Remembers the last good reading of each counter."""

    label: str
    model: MeterModel
    last: dict[str, Reading] = field(default_factory=dict)

    def check(self, point: Point, reading: Reading, where: str) -> None:
        """Raises ImplausibleError naming the register and both values; a good reading becomes the reference."""
        value = reading.value
        if point.range is not None and not Decimal(str(point.range[0])) <= value <= Decimal(str(point.range[1])):
            raise self._error(
                point, where, f"{value} {reading.unit} is outside of {point.range[0]:g}..{point.range[1]:g}", reading
            )
        if not point.monotonic:
            return
        before = self.last.get(point.name)
        if before is not None:
            self._check_run(point, before, reading, where)
        self.last[point.name] = reading

    def _check_run(self, point: Point, before: Reading, reading: Reading, where: str) -> None:
        rise = reading.value - before.value
        if rise < 0 and point.type in WRAPS:
            rise += Decimal(WRAPS[point.type]).scaleb(point.si_exponent)
        both = f"from {before.value} to {reading.value} {reading.unit}"
        seconds = reading.monotonic - before.monotonic
        if rise < 0:
            raise self._error(point, where, f"ran backwards {both}", reading)
        digit = Decimal(1).scaleb(int(reading.value.as_tuple().exponent))
        most_wh = Decimal(self.model.rating.max_power_w) * Decimal(seconds + SLACK_S) / 3600
        if rise > most_wh / TO_WH[reading.unit] + 2 * digit:
            raise self._error(
                point, where, f"jumped {both} in {seconds:.1f} s: more than {self.model.rating.max_power_w} W", reading
            )

    def _error(self, point: Point, where: str, what: str, reading: Reading) -> ImplausibleError:
        return ImplausibleError(
            f"meter {self.label}, {point.name} ({where}): {what}", Quality.OUT_OF_RANGE, reading.raw
        )
