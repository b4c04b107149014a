"""`plugbench secc`: play the station on a link, for a vehicle that is not ours."""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from plugbench.session_show import Show, add_output, password, pki_file, report_features, words

if TYPE_CHECKING:  # imported where they are used: the command has to start fast
    from v2g.link.tls_settings import StationTls
    from v2g.session.station_side import StationState

_PAYMENTS = {"eim": "ExternalPayment", "pnc": "Contract"}


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `secc`."""
    parser = subparsers.add_parser(
        "secc",
        help="play the charging station (SECC) for a real or foreign vehicle",
        epilog="exit codes: 0 every session ended well, 1 one did not, 2 usage or rig error, 3 no session",
    )
    add_output(parser)
    parser.add_argument("--auth", default="", help="eim,pnc (default: eim, and pnc with TLS)")
    parser.add_argument("--sessions", type=int, default=0, metavar="N", help="end after N sessions (default: never)")
    parser.add_argument("--evse-id", default="DE*PLB*E0001", metavar="ID")
    parser.add_argument("--authorize-after", type=float, default=0.0, metavar="SECONDS", help="eim: the driver's time")
    parser.add_argument("--max-current", type=float, metavar="A", help="per phase with ac (32), of the output with dc")
    parser.add_argument("--max-power", type=float, metavar="W", help="of the output with dc (50000)")
    parser.add_argument("--max-voltage", type=float, metavar="V", help="of the output with dc (500)")
    tls = parser.add_argument_group("TLS")
    tls.add_argument("--tls", choices=("off", "offered", "required"), help="default: offered if there is a certificate")
    tls.add_argument("--certificates", type=Path, metavar="FILE", help="PEM: SECC certificate, then sub-CAs")
    tls.add_argument("--key", type=Path, metavar="FILE", help="its private key")
    tls.add_argument("--password-file", type=Path, metavar="FILE", help="holds the password of the key file")
    tls.add_argument("--root", type=Path, metavar="FILE", help="V2G root of the chain, for trusted_ca_keys")
    tls.add_argument("--other-pki", type=Path, action="append", default=[], metavar="FOLDER", help="one more chain")
    tls.add_argument("--staple", type=Path, metavar="FILE", help="OCSP response (DER) for the SECC certificate")
    tls.add_argument(
        "--contract-root", type=Path, action="append", default=[], metavar="FILE", help="roots of contracts (pnc)"
    )
    parser.set_defaults(run=lambda args: asyncio.run(_run(args)))


async def _run(args: argparse.Namespace) -> int:
    from hil_rigs.real_clock import RealClock
    from v2g.link.connection import Connection, LinkSettings
    from v2g.link.interfaces import ready_interface
    from v2g.link.sdp_server import TlsPolicy
    from v2g.link.simple_station import SimpleStation
    from v2g.link.station import Station
    from v2g.session.events import Ended, Event
    from v2g.session.secc import Secc, SeccSettings

    clock = RealClock()
    protocols = words(args.protocols, ("iso2", "din"), "--protocols")
    link = await ready_interface(args.interface, clock)
    done = asyncio.Event()
    with Show(args, clock) as show:
        recorder = show.recorder()
        tls = _tls(args, show.key_log)
        policy = TlsPolicy(args.tls or ("offered" if tls is not None else "off"))
        if policy is not TlsPolicy.OFF:
            report_features(show)
        contract_roots = _contract_roots(args)
        sides: dict[Connection, SimpleStation] = {}
        ended: dict[Connection, Ended] = {}

        def make(connection: Connection, now: float) -> Secc:
            state = _state(args, pnc=policy is not TlsPolicy.OFF)
            state.contract_roots = contract_roots
            sides[connection] = SimpleStation(state, clock, authorize_after_s=args.authorize_after)
            connection.closed.add_done_callback(lambda _: closed(connection))
            # the last paused session sleeps here until a vehicle joins it again
            paused = next((one.paused for one in reversed(show.ends) if one is not None), None)
            return Secc(
                state, now=now, tls=connection.is_tls, settings=SeccSettings(protocols=protocols), paused=paused
            )

        def on_event(connection: Connection, event: Event) -> None:
            sides[connection].handle(connection, event)
            if isinstance(event, Ended):
                ended[connection] = event

        def closed(connection: Connection) -> None:
            show.closed(connection, ended.pop(connection, None))
            sides.pop(connection, None)
            if args.sessions and len(show.outcomes) >= args.sessions:
                done.set()

        settings = LinkSettings(clock, show.event, recorder)
        station = await Station.open(link, settings, make, on_event, policy=policy, tls=tls, sdp_port=args.sdp_port)
        ports = ", ".join(f"{security.name} {port}" for security, port in station.ports().items())
        show.say(f"station on {link.name} [{link.address}], SDP {station.sdp_port}, TCP {ports}; stop it with Ctrl-C")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, done.set)
        try:
            await done.wait()
        finally:
            await station.close()
        return show.finish()


def _state(args: argparse.Namespace, *, pnc: bool) -> StationState:
    from v2g.link.simple_station import AC_MODES, DC_MODES
    from v2g.session.station_side import AcLimits, DcLimits, StationState

    auth = words(args.auth or ("eim,pnc" if pnc else "eim"), tuple(_PAYMENTS), "--auth")
    payments = tuple(_PAYMENTS[one] for one in auth)
    ac, dc = AcLimits(), DcLimits()
    return StationState(
        evse_id=args.evse_id,
        modes=AC_MODES if args.energy == "ac" else DC_MODES,
        payments=payments,
        ac=AcLimits(ac.nominal_voltage, args.max_current or ac.max_current),
        dc=DcLimits(
            max_voltage=args.max_voltage or dc.max_voltage,
            max_current=args.max_current or dc.max_current,
            max_power=args.max_power or dc.max_power,
        ),
    )


def _tls(args: argparse.Namespace, key_log: Path | None) -> StationTls | None:
    """Chains: the one of the options or of --pki first, then those of --other-pki."""
    from ports.errors import RigError
    from v2g.link.tls_settings import Chain, StationTls

    certificates = pki_file(args, args.certificates, "secc.chain.pem")
    key = pki_file(args, args.key, "secc.key")
    if args.tls == "off" or (certificates is None and key is None):
        return None
    if certificates is None or key is None:
        raise RigError("TLS needs both --certificates and --key (or --pki with secc.chain.pem and secc.key)")
    chains = [Chain(certificates, key, password(args), pki_file(args, args.root, "v2g-root.pem"), args.staple)]
    chains += [Chain(f / "secc.chain.pem", f / "secc.key", None, f / "v2g-root.pem") for f in args.other_pki]
    return StationTls(tuple(chains), key_log=key_log)


def _contract_roots(args: argparse.Namespace) -> tuple[object, ...] | None:
    """None: contracts are accepted whoever issued them, and only their own validity is looked at."""
    from v2g.link.tls_settings import read_certificates

    paths = args.contract_root or [
        path for name in ("mo-root.pem", "v2g-root.pem") if (path := pki_file(args, None, name)) is not None
    ]
    return tuple(root for path in paths for root in read_certificates(path)) or None
