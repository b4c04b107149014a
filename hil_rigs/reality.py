"""What of a rig is real, what is simulated, and what is a program of somebody else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hil_rigs.resources import (
    ChargerResource,
    CpoMqttResource,
    CpoRestResource,
    CsmsResource,
    FileKeyResource,
    HubResource,
    MeterResource,
    MoResource,
    OemResource,
    PcscReaderResource,
    Pkcs11Resource,
    PoolsResource,
    Resource,
    SerialReaderResource,
    SerialResource,
    SimulatedReaderResource,
    VehicleResource,
)
from hil_rigs.resources.url import EMBEDDED
from hil_rigs.rig import Rig


class Where(StrEnum):
    """Where a resource lives."""

    VIRTUAL = "virtual"
    REAL = "real"
    EXTERNAL = "external"


@dataclass(frozen=True, slots=True)
class Reality:
    """Where a resource lives, and why it is judged so."""

    where: Where
    why: str


Declared = SerialResource | MeterResource | Pkcs11Resource | SerialReaderResource | PcscReaderResource
Served = PoolsResource | CsmsResource | MoResource | OemResource | HubResource


def _declared(resource: Declared, real: str, external: str) -> Reality:
    if resource.external:
        return Reality(Where.EXTERNAL, external)
    return Reality(Where.REAL, real)


def _serial(bus: SerialResource, _rig: Rig) -> Reality:
    if bus.port == "virtual":
        return Reality(Where.VIRTUAL, "a line simulated by this run")
    return _declared(bus, f"hardware at {bus.port}", f"another program at {bus.port}")


def _meter(meter: MeterResource, rig: Rig) -> Reality:
    if meter.bus is not None:
        bus = rig.resources.get(meter.bus)
        if not isinstance(bus, SerialResource):
            return Reality(Where.VIRTUAL, f'no bus "{meter.bus}"')
        where = _serial(bus, rig).where
        return Reality(
            where, f"{'simulated' if where is Where.VIRTUAL else 'a device'} on {meter.bus}, unit {meter.unit}"
        )
    if meter.host == "virtual":
        return Reality(Where.VIRTUAL, f"simulated behind Modbus TCP, unit {meter.unit}")
    place = f"{meter.host}:{meter.tcp_port}"
    return _declared(meter, f"a device at {place}", f"another program at {place}")


def _pkcs11(token: Pkcs11Resource, _rig: Rig) -> Reality:
    if token.is_private:
        return Reality(Where.VIRTUAL, "a SoftHSM token made by this run")
    if token.is_softhsm:
        return Reality(Where.VIRTUAL, f'the SoftHSM token "{token.token}"')
    named = f'the token "{token.token}" behind {token.module}'
    return _declared(token, named, f"{named}, a program")


def _cpo_rest(cpo: CpoRestResource, _rig: Rig) -> Reality:
    if cpo.url == "embedded":
        return Reality(Where.VIRTUAL, f"served by this run over HTTP{'S' if cpo.tls else ''}")
    return Reality(Where.EXTERNAL, f"the server at {cpo.url}")


def _cpo_mqtt(cpo: CpoMqttResource, _rig: Rig) -> Reality:
    if cpo.broker == "spawn":
        return Reality(Where.EXTERNAL, "a mosquitto process started by this run")
    return Reality(Where.EXTERNAL, f"the broker at {cpo.broker}")


def _served(one: Served, _rig: Rig) -> Reality:
    if one.url == EMBEDDED:
        return Reality(Where.VIRTUAL, f"{'played' if isinstance(one, OemResource) else 'served'} by this run")
    return Reality(Where.EXTERNAL, f"the server at {one.url}")


def _reader(reader: SerialReaderResource, _rig: Rig) -> Reality:
    return _declared(reader, f"a reader at {reader.port}", f"another program at {reader.port}")


def _pcsc(reader: PcscReaderResource, _rig: Rig) -> Reality:
    named = f'the PC/SC reader "{reader.name}"' if reader.name else "the first PC/SC reader"
    return _declared(reader, named, f"{named}, a program")


_JUDGES: dict[type, Callable[[Any, Rig], Reality]] = {
    SerialResource: _serial,
    MeterResource: _meter,
    Pkcs11Resource: _pkcs11,
    FileKeyResource: lambda _key, _rig: Reality(Where.VIRTUAL, "a key in a file: not an HSM"),
    ChargerResource: lambda _board, _rig: Reality(Where.VIRTUAL, "firmware simulated by this run"),
    VehicleResource: lambda _car, _rig: Reality(Where.VIRTUAL, "simulated by this run"),
    CpoRestResource: _cpo_rest,
    CpoMqttResource: _cpo_mqtt,
    CsmsResource: _served,
    PoolsResource: _served,
    MoResource: _served,
    OemResource: _served,
    HubResource: _served,
    SimulatedReaderResource: lambda _reader, _rig: Reality(Where.VIRTUAL, "cards are held to it by this run"),
    SerialReaderResource: _reader,
    PcscReaderResource: _pcsc,
}


def reality(resource: Resource, rig: Rig) -> Reality:
    """Where one resource of the rig lives."""
    return _JUDGES[type(resource)](resource, rig)


@dataclass(frozen=True, slots=True)
class ResourceLine:
    """One row of the description of a rig."""

    name: str
    kind: str
    where: str
    why: str


def describe(rig: Rig) -> list[ResourceLine]:
    """Each resource: real, virtual or external, and why; the clock first."""
    mode = str(rig.clock.__struct_config__.tag)
    why = f"starts at {rig.clock.start.isoformat()}" if mode == "virtual" else "the machine's"  # type: ignore[union-attr]
    lines = [ResourceLine("clock", "clock", mode, why)]
    for name, resource in rig.resources.items():
        found = reality(resource, rig)
        lines.append(ResourceLine(name, str(resource.__struct_config__.tag), found.where, found.why))
    return lines


def description_table(rig: Rig) -> str:
    """`describe` as text in columns."""
    rows = [(line.name, line.kind, line.where, line.why) for line in describe(rig)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows
    )
