"""What a scenario's run has left: records, key, journal, and everything that was seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from gateway.journal_entry import Entry
from hil_rigs.scenario.observer import Observer
from ocmf.keys import PublicKey
from ports.backend import SignedRecord


@dataclass(frozen=True, slots=True)
class Delivered:
    """A record at a backend, and how often it took effect there."""

    record: SignedRecord
    effects: int


@dataclass(frozen=True, slots=True)
class Remains:
    """entries: of the journal. delivered: what the embedded backend holds, None without one.

    plant_wh: exact energy of the plant by transaction, where one connector had only that transaction. held: open files,
    tasks and threads, when the rig was up and at the end. start: boot-time seconds at which it was up.
    """

    folder: Path
    key: PublicKey
    entries: Sequence[Entry]
    delivered: Sequence[Delivered] | None
    observer: Observer
    plant_wh: dict[str, Decimal] = field(default_factory=dict)
    held: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    start: float = 0.0

    def records(self) -> list[SignedRecord]:
        """Every signed record of the journal, in its order."""
        return [entry.record() for entry in self.entries if entry.is_signed]

    def transactions(self) -> dict[str, list[SignedRecord]]:
        """Signed records by transaction, in the order of their begin."""
        found: dict[str, list[SignedRecord]] = {}
        for record in self.records():
            if record.transaction_id:
                found.setdefault(record.transaction_id, []).append(record)
        return found
