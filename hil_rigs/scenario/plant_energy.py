"""What the plant delivered during each transaction, exactly, counted where its meter measures."""

from __future__ import annotations

from decimal import Decimal

from hil_rigs.bench import Bench
from hil_rigs.scenario.observer import Observer


class PlantEnergy:
    """The exact counters of the plant, from now to the end of the run."""

    def __init__(self, bench: Bench, observer: Observer) -> None:
        self._observer = observer
        self._points = {name: bench.plant.point(name) for name in bench.plant.connectors}
        self._before = {name: point.electrical().energy_import_wh for name, point in self._points.items()}

    def by_transaction(self) -> dict[str, Decimal]:
        """Wh by transaction, for connectors that had exactly one."""
        found: dict[str, list[str]] = {name: [] for name in self._points}
        for seen in self._observer.seen:
            if seen.channel == "store" and seen.name == "Transaction.Begin" and seen.source in found:
                found[seen.source].append(str(seen.fields["transaction"]))
        return {
            transactions[0]: self._points[name].electrical().energy_import_wh - self._before[name]
            for name, transactions in found.items()
            if len(transactions) == 1
        }
