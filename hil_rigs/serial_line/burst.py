"""One piece of talk on the line, as the fault hook sees and changes it."""

from __future__ import annotations

from dataclasses import dataclass

from ports.serial_line import SerialSettings


@dataclass(frozen=True, slots=True)
class Unplug:
    """The adapter is pulled when this burst begins; it returns after `for_s` seconds (never: None), perhaps renamed."""

    for_s: float | None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Burst:
    """Octets that one party sends without gaps.

    at: seconds since the line came up when it was decided to send. delay_s: from the end of what the sender heard
    (or from `at`) to the first start bit. settings: how the sender's UART is set (its baud may be off).
    echo: the master hears this burst of its own. early_s: devices take this burst for complete after so little silence
    and answer at once. broken_by: the faults that changed it, in order.
    """

    octets: bytes
    delay_s: float
    settings: SerialSettings
    at: float
    echo: bool = False
    early_s: float | None = None
    unplug: Unplug | None = None
    broken_by: tuple[str, ...] = ()

    @property
    def end_s(self) -> float:
        """Seconds from the same origin as `delay_s` to the end of the last stop bit."""
        return self.delay_s + len(self.octets) * self.settings.character_s
