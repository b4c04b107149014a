"""One charging transaction laid out for the rules: its records, readings, begin and end."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from ocmf.container import Record
from ocmf.keys import PublicKey
from ocmf.obis import Register, parse_register
from ocmf.reading import RecordReading
from ocmf.terms import TX_ENDS, Tx


@dataclass(frozen=True, slots=True)
class Item:
    """A reading and where it stands: number of the record, then index in RD."""

    place: tuple[int, int]
    reading: RecordReading
    register: Register | None

    @property
    def kwh(self) -> Decimal | None:
        """Its value in kWh."""
        return self.reading.kwh

    def path(self, key: str) -> str:
        """For findings: record 2, RD[0].TM."""
        return f"record {self.place[0] + 1}, RD[{self.place[1]}].{key}"


@dataclass(frozen=True)
class Case:
    """The records of one transaction in order, the keys that verified them, and their contexts ("" when unknown).

    already_billed: record ids that other transactions were billed from.
    """

    records: Sequence[Record]
    keys: Sequence[PublicKey | None]
    contexts: Sequence[str]
    already_billed: Collection[str] = ()

    def path(self, index: int, key: str) -> str:
        """For findings: record 2, PG."""
        return f"record {index + 1}" + (f", {key}" if key else "")

    @cached_property
    def old_model(self) -> tuple[bool, ...]:
        """Per record, whether the fields have the meaning of versions before 0.5."""
        return tuple(
            record.version is not None and record.version < (0, 5) and isinstance(record.fields.get("IS"), str)
            for record in self.records
        )

    @cached_property
    def is_transaction(self) -> bool:
        """Whether any record or reading refers to a transaction."""
        return any(item.reading.tx for item in self.all) or any(
            record.page is None or record.page[0] == "T" for record in self.records
        )

    @cached_property
    def all(self) -> tuple[Item, ...]:
        """Every reading."""
        return tuple(
            Item((number, reading.index), reading, parse_register(reading.register))
            for number, record in enumerate(self.records)
            for reading in record.readings
        )

    @cached_property
    def judged(self) -> tuple[Item, ...]:
        """Readings of billed registers: where one is loss compensated, only such count."""
        energy = tuple(item for item in self.all if item.register and item.register.is_energy)
        compensated = tuple(item for item in energy if item.register and item.register.is_compensated)
        return compensated or energy

    @cached_property
    def judged_values(self) -> tuple[Item, ...]:
        """Judged readings that bring a value of the register that the begin reads."""
        if self.begin is None:
            return self.judged
        return tuple(item for item in self.judged if item.register == self.begin.register)

    def of_tx(self, reasons: AbstractSet[str]) -> tuple[Item, ...]:
        """Judged readings with one of these reasons."""
        return tuple(item for item in self.judged if item.reading.tx in reasons)

    @cached_property
    def begin(self) -> Item | None:
        """The first begin reading."""
        return next(iter(self.of_tx({Tx.BEGIN})), None)

    @cached_property
    def end(self) -> Item | None:
        """The last end reading."""
        return next(reversed(self.of_tx(TX_ENDS)), None)

    @cached_property
    def ends(self) -> tuple[Item, ...]:
        """Begin and end, as far as they are there."""
        return tuple(item for item in (self.begin, self.end) if item)

    @cached_property
    def between(self) -> tuple[Item, ...]:
        """Every reading that is neither begin nor end."""
        return tuple(item for item in self.all if item not in self.ends)
