"""The readers of a rig: real ones are opened, simulated ones wait for the cards of its sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.card_desk import ReaderSetup
from hil_rigs.resources import PcscReaderResource, SerialReaderResource, SimulatedReaderResource
from hil_rigs.rig import Rig
from meters.serial_port import SerialPort
from ports.clock import Clock
from ports.reader import CardKind, Reader
from ports.trace import Tracer
from readers.simulated_reader import SimulatedReader


@dataclass(slots=True)
class Readers:
    """setups: for the gateway, which releases them. simulated: those to which sessions hold cards, by resource name."""

    setups: list[ReaderSetup] = field(default_factory=list)
    simulated: dict[str, SimulatedReader] = field(default_factory=dict)
    _served: dict[str, Sequence[str]] = field(default_factory=dict)

    def at(self, connector: str) -> SimulatedReader | None:
        """The simulated reader of a connector; None: it has none."""
        for name, reader in self.simulated.items():
            if not self._served[name] or connector in self._served[name]:
                return reader
        return None

    def add_simulated(self, name: str, reader: SimulatedReader, connectors: Sequence[str]) -> None:
        """One to which sessions hold their cards."""
        self.simulated[name] = reader
        self._served[name] = connectors


def build_readers(rig: Rig, clock: Clock, tracer: Tracer) -> Readers:
    """The readers that the gateway names. Raises RigError, LocalError."""
    readers = Readers()
    for name in rig.gateway.readers:
        resource = rig.resources[name]
        match resource:
            case SimulatedReaderResource():
                simulated = SimulatedReader(name, clock)
                readers.add_simulated(name, simulated, resource.connectors)
                reader: Reader = simulated
            case SerialReaderResource():
                reader = _serial(name, resource, clock, tracer)
            case PcscReaderResource():
                reader = _pcsc(name, resource, clock)
            case _:
                raise AssertionError(name)
        readers.setups.append(ReaderSetup(reader, tuple(resource.connectors)))
    return readers


def _serial(name: str, resource: SerialReaderResource, clock: Clock, tracer: Tracer) -> Reader:
    from readers.serial_reader import SerialReader

    port = SerialPort(resource.port, resource.settings, clock.monotonic, name)
    kind = CardKind(resource.card)
    return SerialReader(
        name, port, clock, kind=kind, protocol=resource.protocol, reverse=resource.reverse, tracer=tracer
    )


def _pcsc(name: str, resource: PcscReaderResource, clock: Clock) -> Reader:
    from readers.pcsc_reader import PcscReader

    return PcscReader(name, clock, device=resource.name or "")
