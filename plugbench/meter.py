"""`plugbench meter`: read a meter, simulate one, find its settings, list the models."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from ports.errors import PlugbenchError, RigError
from ports.serial_line import SerialSettings

if TYPE_CHECKING:  # imported where they are used: the command has to start fast
    from hil_rigs.real_clock import RealClock
    from meters.modbus_meter import ModbusMeter
    from meters.model import MeterModel
    from meters.simulated import SimulatedMeter
    from ports.meter import Reading

Subparsers = argparse._SubParsersAction  # noqa: SLF001 - argparse gives its type no public name


def add_commands(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add `meter` with its verbs."""
    meter = subparsers.add_parser("meter", help="read a meter, simulate one, find its settings")
    verbs = meter.add_subparsers(dest="verb", metavar="verb", required=True)

    read = verbs.add_parser("read", help="read values once or every few seconds")
    _add_meter(read)
    read.add_argument("--port", required=True, help="serial port (/dev/serial/by-id/...) or tcp:HOST[:PORT]")
    read.add_argument("--every", type=float, metavar="S", help="go on, with so many seconds between polls")
    read.add_argument("--counters", action="store_true", help="also say what happened on the serial line")
    read.add_argument("names", nargs="*", help="points of the model; none = all")
    read.set_defaults(run=lambda args: asyncio.run(_read(args)))

    sim = verbs.add_parser("sim", help="simulate a meter on a virtual serial port or on TCP, until interrupted")
    _add_meter(sim)
    sim.add_argument("--link", metavar="PATH", help="fixed name for the virtual port")
    sim.add_argument("--tcp", type=int, metavar="PORT", help="Modbus TCP on this port instead (0 = a free one)")
    sim.add_argument("--power", type=_decimal, default=Decimal(11000), metavar="W", help="constant power (11000)")
    sim.add_argument("--start", type=_decimal, default=Decimal(0), metavar="KWH", help="what the counter shows first")
    sim.add_argument("--serial", default="17042019", help="serial number")
    sim.add_argument(
        "--fault", action="append", default=[], metavar="NAME[,KEY=N][,times=N][,probability=P]", help="may be repeated"
    )
    sim.add_argument("--for", dest="seconds", type=float, metavar="S", help="stop after so many seconds")
    sim.set_defaults(run=lambda args: asyncio.run(_sim(args)))

    probe = verbs.add_parser("probe", help="try baud rates and formats and say what came back")
    probe.add_argument("--port", required=True, help="serial port")
    probe.add_argument("--device", type=int, action="append", metavar="ID", help="may be repeated (1)")
    probe.add_argument("--baud", type=int, action="append", help="may be repeated (the usual ones)")
    probe.add_argument("--format", action="append", help="may be repeated (8N1 8E1 8N2 8O1)")
    probe.add_argument("--json", action="store_true", help="one JSON object per line")
    probe.set_defaults(run=lambda args: asyncio.run(_probe(args)))

    models = verbs.add_parser("models", help="list the meter models, or the points and sources of one")
    models.add_argument("model", nargs="?", help="name, or a .yaml file")
    models.add_argument("--json", action="store_true", help="one JSON object per line")
    models.set_defaults(run=_models)


def _add_meter(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="see `plugbench meter models`, or a .yaml file")
    parser.add_argument("--variant", default="", help="variant of the model")
    parser.add_argument("--device", type=int, metavar="ID", help="device id (that of the model)")
    parser.add_argument("--baud", type=int, help="baud rate (that of the model)")
    parser.add_argument("--format", help="data bits, parity, stop bits, e.g. 8E1 (that of the model)")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None


def _model_and_settings(args: argparse.Namespace) -> tuple[MeterModel, SerialSettings]:
    from meters.model import load_model

    model = load_model(args.model, args.variant)
    return model, SerialSettings(args.baud or model.serial.baud, args.format or model.serial.format)


def _show(as_json: bool, text: str, **data: object) -> None:
    print(json.dumps(data) if as_json else text, flush=True)


# read -----------------------------------------------------------------------------------------------------------


async def _read(args: argparse.Namespace) -> int:
    from hil_rigs.real_clock import RealClock

    if not args.every:
        logging.getLogger("meters").addHandler(logging.NullHandler())  # the error itself is shown
    meter, counters = _meter_at(args, RealClock())
    names = tuple(args.names)
    try:
        identity = await meter.identify()
        _show(
            args.json,
            f"{identity.vendor} {identity.model}, serial number {identity.serial}, firmware {identity.firmware or '-'}",
            vendor=identity.vendor,
            model=identity.model,
            serial=identity.serial,
            firmware=identity.firmware,
        )
        while True:
            try:
                for reading in (await meter.read(names)).values():
                    _show_reading(args.json, reading)
            except PlugbenchError:
                if not args.every:
                    raise  # else the meter's log has said it, once a minute
            if args.counters:
                happened = {key: value for key, value in counters().items() if value}
                _show(args.json, ", ".join(f"{key} {value}" for key, value in happened.items()), line=happened)
            if not args.every:
                return 0
            await asyncio.sleep(args.every)
    finally:
        await meter.close()


def _meter_at(args: argparse.Namespace, clock: RealClock) -> tuple[ModbusMeter, Callable[[], dict[str, int]]]:
    from meters.modbus_meter import ModbusMeter

    model, settings = _model_and_settings(args)
    if args.port.startswith("tcp:"):
        from meters.modbus_tcp import TcpBus

        host, _, port = args.port.removeprefix("tcp:").rpartition(":")
        if not host:
            host, port = port, "502"
        if not port.isdecimal():
            raise RigError(f"--port {args.port}: expected tcp:HOST or tcp:HOST:PORT")
        return ModbusMeter(args.port, model, TcpBus(host, clock, int(port)), clock, device=args.device), dict
    from meters.rtu_master import RtuMaster
    from meters.serial_port import SerialPort

    master = RtuMaster(SerialPort(args.port, settings))
    meter = ModbusMeter(args.port, model, master, clock, device=args.device, settings=settings)
    return meter, master.counters.as_dict


def _show_reading(as_json: bool, reading: Reading) -> None:
    grade = "" if reading.billing_grade or not reading.unit.endswith("Wh") else "   not billing grade"
    _show(
        as_json,
        f"  {reading.name:<18} {reading.value:>16} {reading.unit:<3} {reading.obis}{grade}",
        name=reading.name,
        value=str(reading.value),
        unit=reading.unit,
        obis=reading.obis,
        time=reading.time.isoformat(timespec="milliseconds"),
        time_status=reading.time_status.value,
        quality=reading.quality.value,
        billing_grade=reading.billing_grade,
        raw=reading.raw.hex(),
    )


# sim ------------------------------------------------------------------------------------------------------------


async def _sim(args: argparse.Namespace) -> int:
    from hil_rigs.real_clock import boot_time
    from hil_rigs.serial_line import VirtualLine
    from meters.constant_power import ConstantPower
    from meters.modbus_tcp import TcpMeterServer
    from meters.simulated import SimulatedMeter

    model, settings = _model_and_settings(args)
    source = ConstantPower(args.power, boot_time)
    meter = SimulatedMeter(model, source, device=args.device, settings=settings, serial=args.serial, start=args.start)
    for fault in args.fault:
        _inject(meter, fault)
    read = f"plugbench meter read --model {args.model} --device {meter.device}"
    if args.tcp is not None:
        async with TcpMeterServer([meter], port=args.tcp) as server:
            where = f"tcp:127.0.0.1:{server.port}"
            _show(args.json, f"{model.name} at {where}: {read} --port {where}", port=where, device=meter.device)
            await _until_stopped(args.seconds)
        return 0
    with VirtualLine(settings, [meter], link=args.link) as line:
        read += f" --baud {settings.baud} --format {settings.format} --port {line.path}"
        told = {"port": line.path, "device": meter.device, "baud": settings.baud, "format": settings.format}
        _show(args.json, f"{model.name} at {line.path}, {settings.baud} {settings.format}: {read}", **told)
        await _until_stopped(args.seconds)
    return 0


async def _until_stopped(seconds: float | None) -> None:
    with contextlib.suppress(asyncio.CancelledError):  # Ctrl-C is how a simulation ends
        await asyncio.sleep(seconds if seconds is not None else 10**9)


def _inject(meter: SimulatedMeter, text: str) -> None:
    """NAME[,KEY=N][,times=N]"""
    name, *pairs = text.split(",")
    values: dict[str, float] = {}
    for pair in pairs:
        key, _, number = pair.partition("=")
        try:
            values[key] = float(number)
        except ValueError:
            raise RigError(f"--fault {text}: expected NAME or NAME,KEY=NUMBER, got {pair!r}") from None
    times = values.pop("times", None)
    probability = values.pop("probability", 1.0)
    meter.faults.inject(name, int(times) if times is not None else None, probability, **values)


# probe and models -----------------------------------------------------------------------------------------------


async def _probe(args: argparse.Namespace) -> int:
    from meters.serial_port import SerialPort
    from meters.serial_probe import BAUDS, FORMATS, conclusion, probe

    seen = []
    async for one in probe(
        lambda settings: SerialPort(args.port, settings),
        args.device or [1],
        args.baud or BAUDS,
        args.format or FORMATS,
    ):
        seen.append(one)
        _show(
            args.json,
            f"  {one}",
            baud=one.settings.baud,
            format=one.settings.format,
            device=one.device,
            verdict=one.verdict,
            octets=one.octets.hex(),
            after_s=one.after_s,
        )
    answered = any(one.verdict == "answer" for one in seen)
    _show(args.json, conclusion(seen), conclusion=conclusion(seen), answered=answered)
    return 0 if answered else 1


def _models(args: argparse.Namespace) -> int:
    from meters.model import load_model, model_names

    if args.model is None:
        for name in model_names():
            model = load_model(name)
            _show(
                args.json, f"  {name:<24} {model.vendor} {model.name}", model=name, vendor=model.vendor, name=model.name
            )
        return 0
    model = load_model(args.model)
    for source in model.sources:
        told = {"source": source.title, "trust": source.trust, "covers": source.covers}
        _show(args.json, f"  [{source.trust}] {source.title}: {source.covers}", **told)
    for point in model.points:
        at = ", ".join(f"{part.addr:#06x}" for part in point.summands)
        optional = " optional" if point.optional else ""
        _show(
            args.json,
            f"  {point.name:<18} fc {point.function} {at:<8} {point.type:<4} {point.si_unit:<3} {point.obis}{optional}",
            point=point.name,
            function=point.function,
            address=[part.addr for part in point.summands],
            type=point.type,
            unit=point.si_unit,
            obis=point.obis,
            optional=point.optional,
        )
    return 0
