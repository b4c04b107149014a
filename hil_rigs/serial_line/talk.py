"""What is being said on a line between two silences, and what each listener makes of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from hil_rigs.serial_line.uart import Character, as_sent, characters, same_framing, together, wave
from ports.serial_line import SerialSettings

MASTER = -1
"""The party that is no device; devices count from 0."""


@dataclass(frozen=True, slots=True)
class Tx:
    """One transmission. swallowed: devices do not hear it. early_s, echo: as in `Burst`."""

    source: int
    octets: bytes
    settings: SerialSettings
    start: float
    echo: bool = False
    swallowed: bool = False
    early_s: float | None = None

    @property
    def end(self) -> float:
        """End of the last stop bit."""
        return self.start + len(self.octets) * self.settings.character_s


@dataclass(slots=True)
class Period:
    """Transmissions that touch or overlap."""

    transmissions: list[Tx] = field(default_factory=list)
    end: float = -1.0
    horizon: float = -1.0
    """until then the slowest receiver may still be sampling"""
    _sampled: dict[tuple[int, SerialSettings], list[Character]] = field(default_factory=dict)
    _taken_until: dict[int, float] = field(default_factory=dict)

    def add(self, tx: Tx, parties: Iterable[SerialSettings]) -> float:
        """Add a transmission; returns how long after its end a mismatched receiver may still be sampling (s)."""
        parties = list(parties)
        # in endless talk, what ended long ago was taken and matters no more
        old = tx.start - 3 * max(one.character_s for one in (tx.settings, *parties))
        self.transmissions = [one for one in self.transmissions if one.end > old]
        self.transmissions.append(tx)
        self._sampled.clear()
        self.end = max(self.end, tx.end)
        extra = max((one.character_s for one in parties if not same_framing(tx.settings, one)), default=0.0)
        self.horizon = max(self.horizon, tx.end + extra)
        return extra

    def take(self, who: int, settings: SerialSettings, until: float) -> list[Character]:
        """Characters that `who` has completely received by time `until` and did not take before."""
        key = (who, settings)
        if key not in self._sampled:
            self._sampled[key] = self._sample(who, settings)
        since = self._taken_until.get(who, -1.0)
        self._taken_until[who] = max(since, until)
        return [one for one in self._sampled[key] if since < one.at <= until]

    def _sample(self, who: int, settings: SerialSettings) -> list[Character]:
        own = [tx for tx in self.transmissions if tx.source == who and not tx.echo]
        others = [
            tx for tx in self.transmissions if (tx.source != who or tx.echo) and not (tx.swallowed and who != MASTER)
        ]
        in_order = sorted([*own, *others], key=lambda tx: tx.start)
        overlap = any(b.start < a.end - 1e-9 for a, b in pairwise(in_order))
        if not overlap and all(same_framing(tx.settings, settings) for tx in others):
            others.sort(key=lambda tx: tx.start)
            return [one for tx in others for one in as_sent(tx.octets, tx.settings, tx.start)]
        sampled = characters(together([wave(tx.octets, tx.settings, tx.start) for tx in others]), settings)
        length = settings.character_s  # half duplex: who sends does not hear
        return [one for one in sampled if not any(tx.start < one.at and one.at - length < tx.end for tx in own)]
