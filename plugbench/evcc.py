"""`plugbench evcc`: play the vehicle on a link, for a station that is not ours."""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plugbench.session_show import Show, add_output, password, pki_file, report_features, words

if TYPE_CHECKING:  # imported where they are used: the command has to start fast
    from ports.clock import Clock
    from v2g.link.interfaces import Interface
    from v2g.link.tls_settings import VehicleTls
    from v2g.session.events import PausedSession
    from v2g.session.vehicle_side import ContractCredentials, ProvisioningCredentials, VehicleState


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `evcc`."""
    parser = subparsers.add_parser(
        "evcc",
        help="play the vehicle (EVCC) for a real or foreign charging station",
        epilog="exit codes: 0 the session ended well, 1 it did not, 2 usage or rig error, 3 interrupted before one",
    )
    add_output(parser)
    parser.add_argument("--auth", choices=("eim", "pnc"), default="eim")
    parser.add_argument(
        "--mode", default="", metavar="NAME", help="EnergyTransferMode (AC_three_phase_core, DC_extended)"
    )
    parser.add_argument("--loops", type=int, default=10, metavar="N", help="charging loops (0: until full)")
    parser.add_argument("--pause", action="store_true", help="end with a pause instead of a stop")
    parser.add_argument("--resume-after", type=float, metavar="SECONDS", help="pause, and join the session again")
    parser.add_argument("--evcc-id", default="020000000001", metavar="MAC", help="12 hex digits")
    parser.add_argument("--soc", type=int, default=30, metavar="PERCENT")
    parser.add_argument("--voltage", type=float, default=400.0, metavar="V", help="dc: target voltage")
    parser.add_argument("--current", type=float, default=100.0, metavar="A", help="dc: target current")
    parser.add_argument(
        "--pre-charge-tolerance", type=float, default=20.0, metavar="V", help="dc: between station and battery (20)"
    )
    parser.add_argument(
        "--timeout", action="append", type=_timeout, default=[], metavar="MESSAGE=SECONDS", help="CurrentDemandReq=2"
    )
    parser.add_argument("--settle", type=float, default=0.05, metavar="SECONDS", help="look for a second station")
    tls = parser.add_argument_group("TLS and contract")
    tls.add_argument("--tls", choices=("off", "preferred", "required"), help="default: preferred with roots, else off")
    tls.add_argument("--root", type=Path, action="append", default=[], metavar="FILE", help="V2G roots to trust")
    tls.add_argument("--trust-any", action="store_true", help="lab: do not verify the station")
    tls.add_argument("--require-staple", action="store_true", help="refuse a station that sends no OCSP response")
    tls.add_argument("--contract", type=Path, metavar="FILE", help="PEM: contract certificate, then sub-CAs")
    tls.add_argument("--contract-key", type=Path, metavar="FILE", help="its private key")
    tls.add_argument("--install", action="store_true", help="have a contract installed first")
    tls.add_argument("--provisioning", type=Path, metavar="FILE", help="OEM provisioning certificate")
    tls.add_argument("--provisioning-key", type=Path, metavar="FILE", help="its private key")
    tls.add_argument("--password-file", type=Path, metavar="FILE", help="holds the password of the key files")
    parser.set_defaults(run=lambda args: asyncio.run(_run(args)))


async def _run(args: argparse.Namespace) -> int:
    from hil_rigs.real_clock import RealClock
    from v2g.link.interfaces import ready_interface

    clock = RealClock()
    _state(args)  # what is wrong with the options is said before anything is waited for
    link = await ready_interface(args.interface, clock)
    with Show(args, clock) as show:
        try:
            paused = await _session(args, show, link, clock, pause=args.pause or args.resume_after is not None)
            if paused is not None and args.resume_after is not None:
                show.say(f"paused, joining session {paused.session_id.hex()} again in {args.resume_after:g} s")
                await clock.sleep(args.resume_after)
                await _session(args, show, link, clock, paused=paused)
        except asyncio.CancelledError:
            show.say("interrupted")
        except BaseException:
            show.finish()
            raise
        return show.finish()


async def _session(
    args: argparse.Namespace,
    show: Show,
    link: Interface,
    clock: Clock,
    *,
    pause: bool = False,
    paused: PausedSession | None = None,
) -> PausedSession | None:
    """Drive one session; the paused session when it ended so."""
    from v2g.link.connection import Connection, LinkSettings
    from v2g.link.sdp_client import TlsWish
    from v2g.link.simple_vehicle import SimpleVehicle
    from v2g.link.vehicle import connect
    from v2g.session.evcc import Evcc, EvccSettings
    from v2g.session.events import Ended, Event
    from v2g.session.vehicle_side import PAUSE, STOP

    state = _state(args)
    recorder = show.recorder()
    tls = _tls(args, show.key_log)
    wish = TlsWish(args.tls or ("preferred" if tls is not None else "off"))
    if wish is not TlsWish.OFF and paused is None:
        report_features(show)
    machine = EvccSettings(pre_charge_tolerance=args.pre_charge_tolerance, message_times=dict(args.timeout))
    vehicle = SimpleVehicle(state, clock, loops=args.loops, wish=PAUSE if pause else STOP)
    ended: list[Ended] = []

    def make(connection: Connection, now: float) -> Evcc:
        return Evcc(state, now=now, tls=connection.is_tls, settings=machine, paused=paused)

    def on_event(connection: Connection, event: Event) -> None:
        vehicle.handle(connection, event)
        if isinstance(event, Ended):
            ended.append(event)

    settings = LinkSettings(clock, show.event, recorder)
    going = asyncio.ensure_future(
        connect(link, settings, make, on_event, wish=wish, tls=tls, settle_s=args.settle, sdp_port=args.sdp_port)
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _interrupt, going)
    connection = await going
    await connection.closed
    show.closed(connection, ended[0] if ended else None)
    return ended[0].paused if ended else None


def _timeout(text: str) -> tuple[str, float]:
    message, _, seconds = text.partition("=")
    try:
        return message, float(seconds)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not MESSAGE=SECONDS") from None


def _interrupt(session: asyncio.Task[Any]) -> None:
    """Ctrl-C: stop looking for a station, or end the session."""
    if session.done() and not session.cancelled() and session.exception() is None:
        session.result().abort("interrupted")
    else:
        session.cancel()


def _state(args: argparse.Namespace) -> VehicleState:
    from ports.errors import RigError
    from v2g.session.vehicle_side import VehicleState

    try:
        evcc_id = bytes.fromhex(args.evcc_id.replace(":", ""))
    except ValueError:
        evcc_id = b""
    if len(evcc_id) != 6:
        raise RigError(f"--evcc-id {args.evcc_id}: a MAC address has 12 hex digits")
    return VehicleState(
        evcc_id=evcc_id,
        protocols=words(args.protocols, ("iso2", "din"), "--protocols"),
        payment="Contract" if args.auth == "pnc" else "ExternalPayment",
        mode=args.mode or ("DC_extended" if args.energy == "dc" else "AC_three_phase_core"),
        contract=_contract(args),
        provisioning=_provisioning(args),
        certificate_action="install" if args.install else "",
        soc=args.soc,
        target_voltage=args.voltage,
        target_current=args.current,
    )


def _contract(args: argparse.Namespace) -> ContractCredentials | None:
    from ports.errors import RigError
    from v2g.certificates import common_name
    from v2g.link.tls_settings import read_certificates
    from v2g.session.vehicle_side import ContractCredentials
    from v2g.signature_suites import signer

    if args.auth != "pnc" or args.install:
        return None
    chain = pki_file(args, args.contract, "contract.chain.pem")
    key = pki_file(args, args.contract_key, "contract.key")
    if chain is None or key is None:
        raise RigError("pnc needs --contract and --contract-key, or --pki with them, or --install")
    certificates = read_certificates(chain)
    return ContractCredentials(
        common_name(certificates[0]), tuple(one.dump() for one in certificates), signer(_key(key, args))
    )


def _provisioning(args: argparse.Namespace) -> ProvisioningCredentials | None:
    from ports.errors import RigError
    from v2g.contract_key import agreement
    from v2g.link.tls_settings import read_certificates
    from v2g.session.vehicle_side import ProvisioningCredentials
    from v2g.signature_suites import signer

    if not args.install:
        return None
    certificate = pki_file(args, args.provisioning, "provisioning.pem")
    key_file = pki_file(args, args.provisioning_key, "provisioning.key")
    if certificate is None or key_file is None:
        raise RigError("--install needs --provisioning and --provisioning-key, or --pki with them")
    key = _key(key_file, args)
    return ProvisioningCredentials(read_certificates(certificate)[0].dump(), signer(key), agreement(key))


def _key(path: Path, args: argparse.Namespace) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from ports.errors import RigError

    secret = password(args)
    try:
        return load_pem_private_key(path.read_bytes(), secret.encode() if secret else None)
    except OSError as error:
        raise RigError(f"{path}: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise RigError(f"{path}: no private key that can be read: {error}") from error


def _tls(args: argparse.Namespace, key_log: Path | None) -> VehicleTls | None:
    from v2g.link.tls_settings import VehicleTls

    root = pki_file(args, None, "v2g-root.pem")
    roots = tuple(args.root) or ((root,) if root is not None else ())
    if args.tls == "off" or not (roots or args.trust_any):
        return None
    return VehicleTls(roots, trust_any=args.trust_any, require_staple=args.require_staple, key_log=key_log)
