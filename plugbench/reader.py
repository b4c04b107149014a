"""`plugbench reader`: show the cards that come to a reader, list the readers of this machine."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

from ports.errors import PeerError, RigError

if TYPE_CHECKING:  # imported where they are used: the command has to start fast
    from ports.clock import Clock
    from ports.reader import Reader
    from ports.trace import TraceEvent

Subparsers = argparse._SubParsersAction  # noqa: SLF001 - argparse gives its type no public name


def add_commands(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add `reader` with its verbs."""
    parser = subparsers.add_parser("reader", help="show the cards that come to a reader, list readers")
    verbs = parser.add_subparsers(dest="verb", metavar="verb", required=True)

    watch = verbs.add_parser(
        "watch",
        help="show each card as it comes",
        epilog="exit codes: 0 the cards came, 1 a card could not be read, 2 usage or rig error, 3 none came in time",
    )
    which = watch.add_mutually_exclusive_group(required=True)
    which.add_argument("--port", metavar="PATH", help="serial port (/dev/serial/by-id/...)")
    which.add_argument("--pcsc", nargs="?", const="", metavar="NAME", help="PC/SC reader, a part of its name suffices")
    watch.add_argument("--protocol", choices=("line", "frame"), default="line", help="serial: lines, or STX frames")
    watch.add_argument("--baud", type=int, default=9600)
    watch.add_argument("--format", default="8N1", help="data bits, parity, stop bits (8N1)")
    watch.add_argument(
        "--kind", choices=("ISO14443", "ISO15693", "UNDEFINED"), default="ISO14443", help="serial: what it reads"
    )
    watch.add_argument("--reverse", action="store_true", help="serial: it sends the last octet first")
    watch.add_argument("--cards", type=int, default=0, metavar="N", help="stop after so many (0: until Ctrl-C)")
    watch.add_argument("--for", dest="seconds", type=float, metavar="S", help="stop after so many seconds")
    watch.add_argument("--json", action="store_true", help="one JSON object per line")
    watch.set_defaults(run=_watch)

    listing = verbs.add_parser("list", help="list PC/SC readers and serial ports")
    listing.add_argument("--json", action="store_true", help="one JSON object")
    listing.set_defaults(run=_list)


def _watch(args: argparse.Namespace) -> int:
    shown = _Shown(args.json)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_show(args, shown))
    return 1 if shown.errors else 0 if shown.cards >= max(args.cards, 1) else 3


class _Shown:
    """Prints, and counts."""

    def __init__(self, as_json: bool) -> None:
        self.cards = self.errors = 0
        self._json = as_json

    def card(self, **data: str) -> None:
        self.cards += 1
        print(json.dumps(data) if self._json else f"{data['kind']} {data['id']}", flush=True)

    def error(self, error: PeerError) -> None:
        self.errors += 1
        self.say(error=str(error))

    def trace(self, event: TraceEvent) -> None:
        if event.kind == "reader.noise":
            self.say(noise=event.raw.hex())

    def say(self, **data: str) -> None:
        text = json.dumps(data) if self._json else ", ".join(f"{key}: {value}" for key, value in data.items())
        print(text, file=sys.stdout if self._json else sys.stderr, flush=True)


async def _show(args: argparse.Namespace, shown: _Shown) -> None:
    from hil_rigs.real_clock import RealClock

    reader = _reader(args, RealClock(), shown)
    ended = False
    try:
        async with asyncio.timeout(args.seconds):
            while not ended:
                try:
                    async for card in reader.cards():
                        shown.card(reader=card.reader, kind=card.kind, id=card.id)
                        if shown.cards == args.cards:
                            break
                    ended = True
                except PeerError as error:
                    shown.error(error)
    except TimeoutError:
        return
    finally:
        await reader.close()


def _reader(args: argparse.Namespace, clock: Clock, shown: _Shown) -> Reader:
    if args.pcsc is not None:
        from readers.pcsc_reader import PcscReader

        return PcscReader(args.pcsc or "PC/SC", clock, device=args.pcsc)
    from meters.serial_port import SerialPort
    from ports.reader import CardKind
    from ports.serial_line import SerialSettings
    from readers.serial_reader import SerialReader

    port = SerialPort(args.port, SerialSettings(args.baud, args.format))
    how: dict[str, Any] = {"kind": CardKind(args.kind), "protocol": args.protocol, "reverse": args.reverse}
    return SerialReader(args.port, port, clock, tracer=shown.trace, **how)


def _list(args: argparse.Namespace) -> int:
    from serial.tools import list_ports

    from readers.pcsclite import PcscLite

    try:
        pcsc = PcscLite()
        names, problem = pcsc.readers(), ""
        pcsc.close()
    except RigError as error:
        names, problem = [], str(error)
    ports = sorted(port.device for port in list_ports.comports())
    if args.json:
        print(json.dumps({"pcsc": names, "pcsc_problem": problem, "serial_ports": ports}))
        return 0
    print("\n".join(f"PC/SC   {name}" for name in names) or f"PC/SC   {problem or 'no reader'}")
    print("\n".join(f"serial  {port}" for port in ports) or "serial  no port")
    return 0
