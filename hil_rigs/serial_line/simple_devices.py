"""Small devices for a line: one that repeats, one that listens, one that babbles."""

from __future__ import annotations

from random import Random

from ports.serial_line import LineAnswer, SerialSettings


class Repeater:
    """Sends back what it hears; for checks of the line itself."""

    def __init__(self, settings: SerialSettings, delay_s: float = 0.01) -> None:
        self.settings = settings
        self.delay_s = delay_s

    def hear(self, octets: bytes, at: float) -> list[LineAnswer]:  # noqa: ARG002 - of LineDevice
        """The same octets, after the delay."""
        return [LineAnswer(octets, self.delay_s)]


class Listener:
    """Says nothing and keeps what it hears, with times: a tap on the line."""

    def __init__(self, settings: SerialSettings) -> None:
        self.settings = settings
        self.bursts: list[tuple[float, bytes]] = []

    def hear(self, octets: bytes, at: float) -> list[LineAnswer]:
        """Keep it."""
        self.bursts.append((at, octets))
        return []


class Babbler:
    """A broken device that sends random octets every so often, whoever is speaking."""

    def __init__(self, settings: SerialSettings, every_s: float, octets: int = 4, seed: int = 0) -> None:
        self.settings = settings
        self.every_s = every_s
        self.octets = octets
        self._random = Random(seed)  # noqa: S311 - noise, the same in every run

    def hear(self, octets: bytes, at: float) -> list[LineAnswer]:  # noqa: ARG002 - of LineDevice
        """It does not listen."""
        return []

    def speak(self, at: float) -> tuple[list[LineAnswer], float]:
        """The next noise."""
        return [LineAnswer(self._random.randbytes(self.octets), self.every_s / 2)], at + self.every_s
