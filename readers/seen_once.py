"""A reader repeats itself while a card lies on it: one event for each time that a card comes (no clock, no I/O)."""

from __future__ import annotations

GONE_AFTER_S = 1.0
"""A card that was not reported for so long is gone; readers repeat a card that stays 2 to 20 times a second."""


class SeenOnce:
    """gone_after_s: see `GONE_AFTER_S`."""

    def __init__(self, gone_after_s: float = GONE_AFTER_S) -> None:
        self.gone_after_s = gone_after_s
        self._last: dict[bytes, float] = {}

    def report(self, uid: bytes, at: float) -> bool:
        """The reader sees this card at boot-time second `at`; whether it has come just now."""
        self._last = {one: seen for one, seen in self._last.items() if at - seen <= self.gone_after_s}
        came = uid not in self._last
        self._last[uid] = at
        return came
