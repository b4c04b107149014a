"""Faults of what stands around a session: token, backend, civil time, network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from backends.faults import NO_FAULT, BackendFault, FaultKind
from hil_rigs.fault_catalogue.breakable import Breakable
from hil_rigs.fault_catalogue.entry import Entry, Injection, Parameter, Undo, number
from hil_rigs.virtual_clock import VirtualClock
from hil_rigs.virtual_loop import VirtualLoop
from hil_rigs.virtual_net.link import Link
from hsm import signer_faults
from ports.errors import RigError
from ports.trace import TraceEvent


def _nothing() -> None:
    """What is over by itself needs no undo."""


def _token_entry(kind: signer_faults.FaultKind) -> Entry:
    def inject(bench: Breakable, injection: Injection) -> Undo:
        if bench.signer is None:
            raise RigError("the bench has no signer to break")
        seconds = number(injection.values, "seconds", kind.slow_s)
        return bench.signer.inject(kind.name, seconds=seconds, times=injection.times)

    parameters = (Parameter("seconds", "s", kind.slow_s, "before each signature"),) if kind.slow_s else ()
    return Entry(f"token.{kind.name}", "nothing", parameters, kind.effect, kind.undo, inject)


def _cpo_entry(kind: FaultKind, effect: str, parameters: tuple[Parameter, ...] = ()) -> Entry:
    def inject(bench: Breakable, injection: Injection) -> Undo:
        values = injection.values
        fault = BackendFault(kind, seconds=number(values, "seconds"), status=int(number(values, "status", 503)))
        if injection.times is not None:
            bench.cpo.queue += [fault] * injection.times
            return bench.cpo.queue.clear
        bench.cpo.lasting = fault

        def undo() -> None:
            if bench.cpo.lasting is fault:
                bench.cpo.lasting = NO_FAULT

        return undo

    return Entry(f"cpo.{kind.value}", "nothing", parameters, effect, "it answers as it should", inject)


def _virtual(bench: Breakable) -> VirtualClock:
    if not isinstance(bench.clock, VirtualClock):
        raise RigError("this fault needs virtual time")
    return bench.clock


def _step(bench: Breakable, injection: Injection) -> Undo:
    clock = _virtual(bench)
    seconds = number(injection.values, "seconds")
    clock.step(seconds)
    bench.tracer(TraceEvent(clock.monotonic(), "clock", "clock.stepped", "", {"seconds": seconds}))
    return _nothing


def _drift(bench: Breakable, injection: Injection) -> Undo:
    clock = _virtual(bench)
    before, clock.drift_ppm = clock.drift_ppm, number(injection.values, "ppm")

    def undo() -> None:
        clock.drift_ppm = before

    return undo


def _unsynchronised(bench: Breakable, _injection: Injection) -> Undo:
    clock = _virtual(bench)
    before, clock.sync = clock.sync, None

    def undo() -> None:
        clock.sync = before

    return undo


def _network(change: Callable[[Link, Injection], None]) -> Callable[[Breakable, Injection], Undo]:
    def inject(_bench: Breakable, injection: Injection) -> Undo:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, VirtualLoop):
            raise RigError("this fault needs virtual time")
        host, _, port = injection.on.partition(" port ")
        link = loop.net.link(host or None, int(port) if port else None)
        before = (link.up, link.refuse, link.latency_s, link.loss, link.segment)
        change(link, injection)

        def undo() -> None:
            link.up, link.refuse, link.latency_s, link.loss, link.segment = before

        return undo

    return inject


def _down(link: Link, _injection: Injection) -> None:
    link.up = False


def _refuse(link: Link, _injection: Injection) -> None:
    link.refuse = True


def _slow(link: Link, injection: Injection) -> None:
    link.latency_s = number(injection.values, "seconds")


def _loss(link: Link, injection: Injection) -> None:
    link.loss = number(injection.values, "share")


def _pieces(link: Link, injection: Injection) -> None:
    link.segment = int(number(injection.values, "octets"))


_HOST = 'host, or "host port n"; empty = everybody'
SECONDS = Parameter("seconds", "s", required=True)

ENTRIES = (
    *(_token_entry(kind) for kind in signer_faults.FAULTS.values()),
    _cpo_entry(FaultKind.ERROR, "a server error, without effect: sent again", (Parameter("status", "HTTP", 503),)),
    _cpo_entry(FaultKind.SLOW, "takes effect and answers late", (Parameter("seconds", "s", 5.0),)),
    _cpo_entry(FaultKind.LOST_ACK, "takes effect, but the sender gets a time-out: sent again, taken once"),
    _cpo_entry(FaultKind.DUPLICATE, "arrives twice: taken once"),
    Entry(
        "clock.step", "nothing", (SECONDS,), "civil time jumps; durations do not notice", "none", _step, counts=False
    ),
    Entry(
        "clock.drift",
        "nothing",
        (Parameter("ppm", "ppm", required=True),),
        "civil time runs too fast against durations",
        "as before",
        _drift,
        counts=False,
    ),
    Entry(
        "clock.unsynchronised",
        "nothing",
        (),
        "nobody says that the clock is right: readings lose their S after a while",
        "synchronised again",
        _unsynchronised,
        counts=False,
    ),
    Entry(
        "network.down", _HOST, (), "everything is swallowed; timeouts tell", "up again", _network(_down), counts=False
    ),
    Entry(
        "network.refuse",
        _HOST,
        (),
        "new connections are refused",
        "accepted again",
        _network(_refuse),
        counts=False,
    ),
    Entry("network.slow", _HOST, (SECONDS,), "each way takes so long", "as before", _network(_slow), counts=False),
    Entry(
        "network.loss",
        _HOST,
        (Parameter("share", "0 to 1", required=True),),
        "so many segments and datagrams are lost",
        "as before",
        _network(_loss),
        counts=False,
    ),
    Entry(
        "network.pieces",
        _HOST,
        (Parameter("octets", "octets", required=True),),
        "streams arrive in pieces of at most so much",
        "as before",
        _network(_pieces),
        counts=False,
    ),
)
