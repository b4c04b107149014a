"""`plugbench evcc`: play the vehicle on a link, for a station that is not ours."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from typing import TYPE_CHECKING, Any

from plugbench.evcc_certificates import Certificates, add_certificates
from plugbench.session_show import Show, add_output, report_features, words

if TYPE_CHECKING:  # imported where they are used: the command has to start fast
    from ports.clock import Clock
    from v2g.link.interfaces import Interface
    from v2g.session.events import PausedSession
    from v2g.session.fault import Fault
    from v2g.session.vehicle_side import VehicleState


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
    parser.add_argument(
        "--fault",
        action="append",
        type=_fault,
        default=[],
        metavar="NAME|JSON",
        help="do something wrong: the name of an attack on Plug & Charge ('wrong challenge'), or a fault of "
        'docs/session-faults.md as JSON, e.g. \'{"fault": "drop", "message": "PowerDeliveryReq"}\'; may be repeated',
    )
    add_certificates(parser)
    parser.set_defaults(run=lambda args: asyncio.run(_run(args)))


async def _run(args: argparse.Namespace) -> int:
    from hil_rigs.real_clock import RealClock
    from v2g.link.interfaces import ready_interface

    clock, certificates = RealClock(), Certificates(args)
    _state(args, certificates, clock)  # what is wrong with the options is said before anything is waited for
    link = await ready_interface(args.interface, clock)
    with Show(args, clock) as show:
        try:
            paused = await _session(
                args, certificates, show, link, clock, pause=args.pause or args.resume_after is not None
            )
            if paused is not None and args.resume_after is not None:
                show.say(f"paused, joining session {paused.session_id.hex()} again in {args.resume_after:g} s")
                await clock.sleep(args.resume_after)
                await _session(args, certificates, show, link, clock, paused=paused)
        except asyncio.CancelledError:
            show.say("interrupted")
        except BaseException:
            show.finish()
            raise
        return show.finish()


async def _session(
    args: argparse.Namespace,
    certificates: Certificates,
    show: Show,
    link: Interface,
    clock: Clock,
    *,
    pause: bool = False,
    paused: PausedSession | None = None,
) -> PausedSession | None:
    """Drive one session; the paused session when it ended so."""
    from ports.faults import no_fault
    from v2g.link.connection import Connection, LinkSettings
    from v2g.link.sdp_client import TlsWish
    from v2g.link.simple_vehicle import SimpleVehicle
    from v2g.link.vehicle import connect
    from v2g.session.evcc import Evcc, EvccSettings
    from v2g.session.events import ContractInstalled, Ended, Event
    from v2g.session.faults import FaultPlan
    from v2g.session.vehicle_side import PAUSE, STOP

    state = _state(args, certificates, clock)
    recorder = show.recorder()
    tls = certificates.tls(show.key_log)
    wish = TlsWish(args.tls or ("preferred" if tls is not None else "off"))
    if wish is not TlsWish.OFF and paused is None:
        report_features(show)
    machine = EvccSettings(pre_charge_tolerance=args.pre_charge_tolerance, message_times=dict(args.timeout))
    vehicle = SimpleVehicle(state, clock, loops=args.loops, wish=PAUSE if pause else STOP)
    ended: list[Ended] = []
    hook = FaultPlan(args.fault) if args.fault else no_fault

    def make(connection: Connection, now: float) -> Evcc:
        return Evcc(state, now=now, tls=connection.is_tls, settings=machine, paused=paused, hook=hook)

    def on_event(connection: Connection, event: Event) -> None:
        vehicle.handle(connection, event)
        if isinstance(event, Ended):
            ended.append(event)
        elif isinstance(event, ContractInstalled) and (kept := certificates.keep(event)):
            show.say(kept)

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


def _fault(text: str) -> Fault:
    from ports.errors import LocalError
    from v2g.session.faults import read_fault
    from v2g.session.signing_faults import CONTRACT_FAULTS

    if text in CONTRACT_FAULTS:
        return CONTRACT_FAULTS[text]
    try:
        return read_fault(json.loads(text))
    except (ValueError, AttributeError):
        names = ", ".join(CONTRACT_FAULTS)
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON object, and none of {names}") from None
    except LocalError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _interrupt(session: asyncio.Task[Any]) -> None:
    """Ctrl-C: stop looking for a station, or end the session."""
    if session.done() and not session.cancelled() and session.exception() is None:
        session.result().abort("interrupted")
    else:
        session.cancel()


def _state(args: argparse.Namespace, certificates: Certificates, clock: Clock) -> VehicleState:
    from firmware_sim.vehicle.certificate_store import root_ids
    from ports.errors import RigError
    from v2g.session.vehicle_side import VehicleState

    try:
        evcc_id = bytes.fromhex(args.evcc_id.replace(":", ""))
    except ValueError:
        evcc_id = b""
    if len(evcc_id) != 6:
        raise RigError(f"--evcc-id {args.evcc_id}: a MAC address has 12 hex digits")
    choice, roots = certificates.choice(clock.now()), certificates.roots()
    return VehicleState(
        evcc_id=evcc_id,
        protocols=words(args.protocols, ("iso2", "din"), "--protocols"),
        payment=choice.payment,
        fallback=not args.no_fallback,
        mode=args.mode or ("DC_extended" if args.energy == "dc" else "AC_three_phase_core"),
        contract=choice.contract,
        provisioning=certificates.provisioning,
        certificate_action=choice.action,
        root_ids=root_ids(roots),
        v2g_roots=None if args.trust_any or not roots else roots,
        civil_time=clock.now(),
        soc=args.soc,
        target_voltage=args.voltage,
        target_current=args.current,
    )
