"""`plugbench backends up`: a complete Plug & Charge ecosystem, or any part of it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ports.errors import RigError
from ports.trace import Tracer, no_trace

if TYPE_CHECKING:
    from backends.bring_up import Plan


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `backends` with its verb."""
    backends = subparsers.add_parser("backends", help="run the pools, the PKI and everything around them")
    verbs = backends.add_subparsers(dest="verb", metavar="verb", required=True)
    up = verbs.add_parser("up", help="serve until interrupted; what is missing in the folder is made")
    up.add_argument("--only", default="", metavar="A,B", help="modules: token, rcp, pcp, cps, ccp, webhooks, est, ocsp")
    up.add_argument("--data", type=Path, default=Path("backends-data"), metavar="DIR", help="folder (backends-data)")
    up.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    up.add_argument("--port", type=int, default=8080, help="0 takes a free one (8080)")
    up.add_argument("--database", default="", metavar="URL", help="SQLAlchemy URL (SQLite in the folder)")
    up.add_argument("--allow-loopback", action="store_true", help="webhooks and OCSP may go to this machine, by http")
    up.add_argument("--strict-revocation", action="store_true", help="refuse certificates of unknown status")
    up.add_argument("--tls-certificate", type=Path, metavar="FILE", help="serve HTTPS: PEM with the chain")
    up.add_argument("--tls-key", type=Path, metavar="FILE", help="its key, if it is not in the same file")
    up.add_argument("--client-ca", type=Path, metavar="FILE", help="clients may show a certificate of these CAs")
    up.add_argument("--trace", type=Path, metavar="FILE", help="write every request and webhook, a JSON object a line")
    up.add_argument("--json", action="store_true", help="say what runs as one JSON object")
    up.set_defaults(run=lambda args: asyncio.run(_up(args)))


async def _up(args: argparse.Namespace) -> int:
    from backends.bring_up import Plan
    from backends.opcp.app import MODULES

    plan = Plan(
        folder=args.data,
        host=args.host,
        port=args.port,
        modules=tuple(args.only.split(",")) if args.only else tuple(MODULES),
        database=args.database,
        allow_loopback=args.allow_loopback,
        strict_revocation=args.strict_revocation,
        certificate=args.tls_certificate,
        key=args.tls_key,
        client_ca=args.client_ca,
    )
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with contextlib.ExitStack() as stack:
        tracer = no_trace if args.trace is None else stack.enter_context(_trace(args.trace))
        return await _serve(plan, tracer, stop, as_json=args.json)


async def _serve(plan: Plan, tracer: Tracer, stop: asyncio.Event, *, as_json: bool) -> int:
    from backends.bring_up import brought_up
    from hil_rigs.real_clock import RealClock

    async with brought_up(plan, RealClock(), tracer) as running:
        facts = {
            "url": running.url,
            "modules": list(running.modules),
            "audience": running.audience,
            "clients": [one.client_id for one in running.clients],
            "clients_file": str(running.clients_file),
        }
        if as_json:
            print(json.dumps(facts), flush=True)
        else:
            print(f"{running.url} serves {', '.join(running.modules)}")
            print(f"clients {', '.join(one.client_id for one in running.clients)}: secrets in {running.clients_file}")
            print(f"token: POST {running.url}/oauth/token, audience {running.audience} or the URL itself", flush=True)
        await stop.wait()
    return 0


@contextlib.contextmanager
def _trace(path: Path) -> Iterator[Tracer]:
    """Every line is written at once: the file is read while the server runs."""
    from hil_rigs.trace_file import TraceFile

    try:
        file = TraceFile(path, [lambda _event: file.flush()])
    except OSError as error:
        raise RigError(f"trace file {path}: {error.strerror}") from error
    with file:
        yield file
