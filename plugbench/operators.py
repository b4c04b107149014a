"""`plugbench operators`: charge point operator, mobility operator, manufacturer and roaming hub, alone or together."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ports.errors import RigError

if TYPE_CHECKING:
    from backends.operators.up import OperatorsPlan, RunningOperators

FOLDER = Path("operators-data")


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `operators` with its verbs."""
    operators = subparsers.add_parser("operators", help="run CPO, mobility operator, manufacturer, roaming hub")
    verbs = operators.add_subparsers(dest="verb", metavar="verb", required=True)
    up = verbs.add_parser("up", help="serve until interrupted; a first start makes a demo: a station, a customer, keys")
    up.add_argument("--only", default="", metavar="A,B", help="cpo, mo, oem, hub (all; oem only with pools)")
    up.add_argument("--host", default="127.0.0.1", help="of a first start: address to listen on (127.0.0.1)")
    up.add_argument(
        "--port", type=int, default=9310, help="of a first start: the first of six, 0 takes free ones (9310)"
    )
    up.add_argument(
        "--pools", default="", metavar="URL", help="pools of `plugbench backends up`; kept for later starts"
    )
    up.add_argument("--clients", type=Path, metavar="FILE", help="their clients.json")
    up.add_argument("--trace", type=Path, metavar="FILE", help="write every message, a JSON object a line")
    up.set_defaults(run=lambda args: asyncio.run(_up(args)))
    station = verbs.add_parser("station-add", help="another station, after the next start of the CPO")
    station.add_argument("identity", help="the last part of its URL")
    station.add_argument("--evse", action="append", default=[], metavar="EVSEID", help="of its EVSE 1, 2, ...")
    station.set_defaults(run=lambda args: asyncio.run(_station(args)))
    customer = verbs.add_parser("customer-add", help="another customer of the mobility operator, at once")
    customer.add_argument("login")
    customer.add_argument("--emaid", required=True, help="of the contract, e.g. DEPLBC00000002")
    customer.add_argument("--card", action="append", default=[], metavar="UID", help="hexadecimal")
    customer.set_defaults(run=lambda args: asyncio.run(_customer(args)))
    key = verbs.add_parser("key-add", help="trust a station's public key at CPO and mobility operator, at once")
    key.add_argument("file", type=Path, help="any encoding of the field: PEM, DER in hex or base64")
    key.add_argument("--gateway", required=True, help="serial number of the gateway, as signed (GS)")
    key.add_argument("--meter", required=True, help="serial number of the meter, as signed (MS)")
    key.add_argument(
        "--since", type=_time, metavar="TIME", help="what the mobility operator checks with it, ISO 8601 (a day ago)"
    )
    key.set_defaults(run=lambda args: asyncio.run(_key(args)))
    contract = verbs.add_parser("contract-publish", help="have the pools make a contract's certificate for a vehicle")
    contract.add_argument("emaid", help="of a customer of the mobility operator")
    contract.add_argument("--pcid", required=True, help="of a vehicle that its manufacturer has published")
    contract.set_defaults(run=lambda args: asyncio.run(_contract(args)))
    for verb in (up, station, customer, key, contract):
        verb.add_argument("--folder", type=Path, default=FOLDER, metavar="DIR", help=f"what is kept ({FOLDER})")
        verb.add_argument("--json", action="store_true", help="say it as one JSON object")


async def _up(args: argparse.Namespace) -> int:
    from backends.operators.up import OperatorsPlan

    plan = OperatorsPlan(
        folder=args.folder,
        actors=tuple(args.only.split(",")) if args.only else (),
        host=args.host,
        port=args.port,
        pools_url=args.pools,
        clients_file=args.clients,
    )
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return await _serve(plan, args.trace, stop, as_json=args.json)


async def _serve(plan: OperatorsPlan, trace: Path | None, stop: asyncio.Event, *, as_json: bool) -> int:
    from backends.operators.up import operators_up
    from hil_rigs.real_clock import RealClock
    from hil_rigs.trace_file import TraceFile
    from ports.trace import no_trace

    with contextlib.ExitStack() as stack:
        tracer = no_trace
        if trace is not None:
            try:
                file = stack.enter_context(TraceFile(trace, [lambda _event: file.flush()]))
            except OSError as error:
                raise RigError(f"trace file {trace}: {error.strerror}") from error
            tracer = file
        async with operators_up(plan, RealClock(), tracer) as running:
            _say(_facts(running), as_json=as_json)
            await stop.wait()
    return 0


def _facts(running: RunningOperators) -> dict[str, Any]:
    """Where everybody is, and where the secrets lie."""
    from backends.operators import connections as places
    from backends.operators.connections import FILE

    folder, known = running.folder.path, running.connections
    facts: dict[str, Any] = {"connections_file": str(folder / FILE)}
    if running.cpo is not None and running.cpo.ocpi is not None:
        facts["cpo"] = {
            "stations": [
                {"url": f"{running.cpo.url}{one.identity}", "password_file": str(folder / one.password_file)}
                for one in known.cpo.stations
            ],
            "api_url": f"{running.cpo.api_url}/v1",
            "api_token_file": str(folder / known.cpo.api_token_file),
            "ocpi_url": running.cpo.ocpi.versions_url,
            "cards": known.cpo.cards,
        }
    if running.mo is not None:
        facts["mo"] = {
            "app_url": f"{running.mo.url}/app",
            "login": places.CUSTOMER,
            "secret_file": str(folder / "secrets" / f"customer-{places.CUSTOMER}.secret"),
            "emaid": places.EMAID,
            "card": places.CARD,
            "ocpi_url": running.mo.versions_url,
        }
    if running.oem is not None:
        facts["oem"] = {
            "url": f"{running.oem.url}/v1/vehicles/{places.PCID}",
            "token_file": str(folder / "secrets" / f"vehicle-{places.PCID}.token"),
        }
    if running.hub is not None:
        facts["hub"] = {"url": running.hub.url}
    return facts


def _say(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts), flush=True)
        return
    print(f"who reaches whom: {facts['connections_file']}")
    if cpo := facts.get("cpo"):
        for station in cpo["stations"]:
            print(
                f"cpo: station connects to {station['url']} (OCPP 2.0.1, 1.6), password in {station['password_file']}"
            )
        print(f"cpo: API {cpo['api_url']}, bearer token in {cpo['api_token_file']}; OCPI {cpo['ocpi_url']}")
    if mo := facts.get("mo"):
        print(f"mo: app {mo['app_url']}, login {mo['login']}, secret in {mo['secret_file']}; OCPI {mo['ocpi_url']}")
        print(f"mo: {mo['login']} has contract {mo['emaid']} and card {mo['card']}")
    if oem := facts.get("oem"):
        print(f"oem: vehicle {oem['url']}, bearer token in {oem['token_file']}")
    if hub := facts.get("hub"):
        print(f"hub: OICP {hub['url']}")
    if cpo:
        print("a station's key: plugbench operators key-add FILE --gateway GS --meter MS", flush=True)


async def _station(args: argparse.Namespace) -> int:
    from backends.operators.connections import Folder
    from backends.operators.office import add_station

    file = await add_station(Folder(args.folder), args.identity, args.evse)
    return _done(args, f"station {args.identity}: password in {file}; start the CPO again", password_file=str(file))


async def _customer(args: argparse.Namespace) -> int:
    from backends.operators.connections import Folder
    from backends.operators.office import add_customer
    from hil_rigs.real_clock import RealClock

    file = await add_customer(Folder(args.folder), RealClock(), args.login, args.emaid, args.card)
    return _done(args, f"customer {args.login}: secret of the app in {file}", secret_file=str(file))


async def _key(args: argparse.Namespace) -> int:
    from backends.operators.connections import Folder
    from backends.operators.office import add_key
    from hil_rigs.real_clock import RealClock
    from ocmf.keys import KeyFormatError

    try:
        text = args.file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RigError(f"{args.file}: {error}") from error
    try:
        await add_key(Folder(args.folder), RealClock(), text, args.gateway, args.meter, args.since)
    except KeyFormatError as error:
        raise RigError(f"{args.file}: {error}") from error
    text = f"key of gateway {args.gateway} and meter {args.meter}: trusted by CPO and mobility operator"
    return _done(args, text, gateway=args.gateway, meter=args.meter)


async def _contract(args: argparse.Namespace) -> int:
    from backends.operators.connections import Folder
    from backends.operators.office import publish
    from hil_rigs.real_clock import RealClock

    await publish(Folder(args.folder), RealClock(), args.emaid, args.pcid)
    return _done(args, f"contract {args.emaid}: published for {args.pcid}", emaid=args.emaid, pcid=args.pcid)


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.astimezone()


def _done(args: argparse.Namespace, text: str, **facts: object) -> int:
    print(json.dumps(facts) if args.json else text, flush=True)
    return 0
