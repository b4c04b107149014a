"""The lines and meters of a rig: real ones are opened, virtual ones get a simulated device at the other end."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from firmware_sim.circuit import Circuit
from hil_rigs.resources import MeterResource, SerialResource
from hil_rigs.rig import Rig
from hil_rigs.serial_line import MemoryLine, VirtualLine
from meters.bus import Bus
from meters.modbus_meter import ModbusMeter
from meters.modbus_tcp import TcpBus, TcpMeterServer
from meters.model import load_model
from meters.rtu_master import RtuMaster
from meters.serial_port import SerialPort
from meters.simulated import SERIAL, SimulatedMeter
from ports.clock import Clock
from ports.serial_line import BytePort
from ports.trace import Tracer


@dataclass(slots=True)
class Metering:
    """What a rig measures with. simulated: the devices at the other end, by resource name."""

    meters: dict[str, ModbusMeter] = field(default_factory=dict)
    simulated: dict[str, SimulatedMeter] = field(default_factory=dict)
    lines: dict[str, VirtualLine | MemoryLine] = field(default_factory=dict)
    buses: dict[str, Bus] = field(default_factory=dict)


async def build_metering(rig: Rig, plant: Circuit, clock: Clock, tracer: Tracer, stack: AsyncExitStack) -> Metering:
    """Lines, buses and meters; what has to be closed is left on `stack`. Raises RigError."""
    metering = Metering()
    resources = {name: one for name, one in rig.resources.items() if isinstance(one, MeterResource)}
    for name, resource in resources.items():
        if (resource.bus is not None and _is_virtual(rig, resource.bus)) or resource.host == "virtual":
            metering.simulated[name] = _simulate(rig, name, resource, plant)
    for name, bus in rig.resources.items():
        if isinstance(bus, SerialResource):
            port = await _port(name, bus, resources, metering, clock, stack)
            metering.buses[name] = RtuMaster(port, tracer)
            stack.push_async_callback(metering.buses[name].close)
    for name, resource in resources.items():
        settings = None
        if resource.bus is not None:
            meter_bus: Bus = metering.buses[resource.bus]
            line = rig.resources[resource.bus]
            settings = line.settings if isinstance(line, SerialResource) else None
        else:
            meter_bus = await _tcp_bus(name, resource, metering, clock, stack)
        metering.meters[name] = ModbusMeter(
            name,
            load_model(resource.model_file or resource.model or "", resource.variant),
            meter_bus,
            clock,
            device=resource.unit,
            settings=settings,
            expected_serial=resource.serial_number or "",
            tracer=tracer,
        )
    return metering


def _is_virtual(rig: Rig, bus: str) -> bool:
    resource = rig.resources[bus]
    return isinstance(resource, SerialResource) and resource.port == "virtual"


def _simulate(rig: Rig, name: str, resource: MeterResource, plant: Circuit) -> SimulatedMeter:
    """The device behind a virtual line: it measures the connector that names it, or the whole mains."""
    connector = next((one.id for one in rig.gateway.connectors if one.meter == name), "")
    model = load_model(resource.model_file or resource.model or "", resource.variant)
    line = rig.resources[resource.bus] if resource.bus is not None else None
    return SimulatedMeter(
        model,
        plant.point(connector),
        device=resource.unit,
        settings=line.settings if isinstance(line, SerialResource) else None,
        start=resource.start_kwh,
        label=name,
        serial=resource.serial_number or SERIAL,
    )


async def _port(
    name: str,
    bus: SerialResource,
    resources: dict[str, MeterResource],
    metering: Metering,
    clock: Clock,
    stack: AsyncExitStack,
) -> BytePort:
    if bus.port != "virtual":
        return SerialPort(bus.port, bus.settings, clock.monotonic, name)
    devices = [metering.simulated[meter] for meter, resource in resources.items() if resource.bus == name]
    if clock.is_virtual:
        memory = MemoryLine(bus.settings, devices, time=clock.monotonic, name=name)
        stack.callback(memory.close)
        metering.lines[name] = memory
        return memory.port(bus.settings, name)
    line = VirtualLine(bus.settings, devices)
    line.start()
    stack.callback(line.close)
    metering.lines[name] = line
    return SerialPort(line.path, bus.settings, clock.monotonic, name)


async def _tcp_bus(
    name: str, resource: MeterResource, metering: Metering, clock: Clock, stack: AsyncExitStack
) -> TcpBus:
    host, port = resource.host or "", resource.tcp_port
    if host == "virtual":
        server = TcpMeterServer([metering.simulated[name]])
        await stack.enter_async_context(server)
        host, port = "127.0.0.1", server.port
    bus = TcpBus(host, clock, port)
    stack.push_async_callback(bus.close)
    return bus
