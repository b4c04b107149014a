"""The resources that a rig file may name, one file for each kind of thing."""

from __future__ import annotations

from hil_rigs.resources.charger import ChargerResource
from hil_rigs.resources.cpo import CpoMqttResource, CpoRestResource
from hil_rigs.resources.csms import CsmsResource
from hil_rigs.resources.meter import MeterResource
from hil_rigs.resources.operators import HubResource, MoResource, OemResource, OperatorResource
from hil_rigs.resources.pools import PoolsResource
from hil_rigs.resources.reader import (
    PcscReaderResource,
    ReaderResource,
    SerialReaderResource,
    SimulatedReaderResource,
)
from hil_rigs.resources.serial import SerialResource
from hil_rigs.resources.signer import FileKeyResource, Pkcs11Resource
from hil_rigs.resources.vehicle import VehicleResource

Resource = (
    SerialResource
    | MeterResource
    | Pkcs11Resource
    | FileKeyResource
    | ChargerResource
    | VehicleResource
    | CpoRestResource
    | CpoMqttResource
    | CsmsResource
    | PoolsResource
    | MoResource
    | OemResource
    | HubResource
    | SimulatedReaderResource
    | SerialReaderResource
    | PcscReaderResource
)
SignerResource = Pkcs11Resource | FileKeyResource
CpoResource = CpoRestResource | CpoMqttResource

__all__ = [
    "ChargerResource",
    "CpoMqttResource",
    "CpoResource",
    "CpoRestResource",
    "CsmsResource",
    "FileKeyResource",
    "HubResource",
    "MeterResource",
    "MoResource",
    "OemResource",
    "OperatorResource",
    "PcscReaderResource",
    "Pkcs11Resource",
    "PoolsResource",
    "ReaderResource",
    "Resource",
    "SerialReaderResource",
    "SerialResource",
    "SignerResource",
    "SimulatedReaderResource",
    "VehicleResource",
]
