"""Every name in a rig file leads to a resource of the right kind."""

from __future__ import annotations

from collections.abc import Iterator

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
    SerialReaderResource,
    SerialResource,
    SimulatedReaderResource,
    VehicleResource,
)
from hil_rigs.rig import Rig
from hil_rigs.typed_yaml import Place, did_you_mean

Finding = tuple[Place, str]
Name = tuple[Place, str, tuple[type, ...]]
LOCAL = "local"
"""The authoriser that is `gateway.local_list`."""
DIRECT = "direct"
"""The source of certificate status that asks the responders that certificates name."""


def references(rig: Rig) -> Iterator[Finding]:
    """Every name leads to a resource of the right kind, every session to a connector."""
    for place, name, kinds in names(rig):
        wanted = " or ".join(str(kind.__struct_config__.tag) for kind in kinds)  # type: ignore[attr-defined]
        if name not in rig.resources:
            fitting = [other for other, found in rig.resources.items() if isinstance(found, kinds)]
            yield place, f'no resource "{name}" (expected one of kind {wanted}): {did_you_mean(name, fitting)}'
        elif not isinstance(rig.resources[name], kinds):
            kind = rig.resources[name].__struct_config__.tag
            yield place, f'"{name}" is of kind {kind}, expected {wanted}'
    ids = [connector.id for connector in rig.gateway.connectors]
    for place, connector in _connectors(rig):
        if connector not in ids:
            yield place, f'no connector "{connector}": {did_you_mean(connector, ids)}'


def _connectors(rig: Rig) -> Iterator[tuple[Place, str]]:
    for number, session in enumerate(rig.sessions):
        yield ("sessions", number, "connector"), session.connector
    for name, found in rig.resources.items():
        if isinstance(found, SimulatedReaderResource | SerialReaderResource | PcscReaderResource):
            yield from ((("resources", name, "connectors", number), one) for number, one in enumerate(found.connectors))


def names(rig: Rig) -> Iterator[Name]:
    """Every place that names a resource, the name, and the kinds that fit."""
    yield from _of_resources(rig)
    yield from _of_the_gateway(rig)
    for number, session in enumerate(rig.sessions):
        yield ("sessions", number, "vehicle"), session.vehicle, (VehicleResource,)


def _of_resources(rig: Rig) -> Iterator[Name]:
    for name, found in rig.resources.items():
        place = ("resources", name)
        match found:
            case MeterResource(bus=str(bus)):
                yield (*place, "bus"), bus, (SerialResource,)
            case CsmsResource():
                if found.pools is not None:
                    yield (*place, "pools"), found.pools, (PoolsResource,)
                for number, operator in enumerate(found.bills_to):
                    yield (*place, "bills_to", number), operator, (MoResource, HubResource)
            case MoResource(pools=str(pools)) | OemResource(pools=str(pools)):
                yield (*place, "pools"), pools, (PoolsResource,)
            case _:
                pass


def _of_the_gateway(rig: Rig) -> Iterator[Name]:
    gateway = rig.gateway
    for number, connector in enumerate(gateway.connectors):
        place = ("gateway", "connectors", number)
        yield (*place, "board"), connector.board, (ChargerResource,)
        yield (*place, "meter"), connector.meter, (MeterResource,)
        yield (*place, "signer"), connector.signer, (Pkcs11Resource, FileKeyResource)
    for number, backend in enumerate(gateway.backends):
        yield ("gateway", "backends", number), backend, (CpoRestResource, CpoMqttResource, CsmsResource)
    for number, authoriser in enumerate(gateway.authorisers):
        if authoriser != LOCAL:
            yield ("gateway", "authorisers", number), authoriser, (CsmsResource,)
    if gateway.contracts is not None:
        yield ("gateway", "contracts"), gateway.contracts, (PoolsResource, CsmsResource)
    if gateway.ocsp is not None and gateway.ocsp.source != DIRECT:
        yield ("gateway", "ocsp", "source"), gateway.ocsp.source, (CsmsResource,)
    for number, reader in enumerate(gateway.readers):
        yield (
            ("gateway", "readers", number),
            reader,
            (SimulatedReaderResource, SerialReaderResource, PcscReaderResource),
        )
