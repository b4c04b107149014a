"""A rig in the hands of a Python test: the same engine as scenario files, one call after the other.

    with open_handle(Path("rigs/ci.yaml")) as rig:
        rig.plug()
        rig.card("04A1B2C3D4E5F6")
        rig.until("wire.power contactor closed=true", within="10 s")
        rig.inject("line.corrupt", times=3)
        rig.wait("10 min")
        rig.unplug()
        rig.finish()
        rig.check("store.pagination_gapless")

In virtual time the rig moves only inside these calls. In real time it lives in a thread of its own and moves always.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from msgspec import structs

from hil_rigs.bench import Bench, BootClock
from hil_rigs.fault_catalogue import catalogue
from hil_rigs.fault_catalogue.entry import Undo, Value, checked
from hil_rigs.real_clock import RealClock
from hil_rigs.rig import VirtualClockSettings
from hil_rigs.rig_file import RigFile, load_rig
from hil_rigs.scenario import checks
from hil_rigs.scenario import format as said
from hil_rigs.scenario.duration import seconds
from hil_rigs.scenario.fault_targets import target_problem
from hil_rigs.scenario.judge import Judge, Judged, Verdict
from hil_rigs.scenario.open_scenario import Stage, open_stage
from hil_rigs.scenario.remains import Remains
from hil_rigs.scenario.runners import Runner, ThreadRunner, VirtualRunner
from hil_rigs.scenario.strategy import RigState
from hil_rigs.scenario.vocabulary import read_moment, read_pattern, sources_of
from hil_rigs.virtual_clock import VirtualClock
from ocmf.keys import decode_public_key
from ports.errors import LocalError, RigError
from ports.trace import Tracer, no_trace

T = TypeVar("T")


class UnmetError(AssertionError):
    """What was expected was not seen; `judged` says what was seen instead."""

    def __init__(self, judged: Judged) -> None:
        super().__init__(f"expected {judged.expected}\nobserved {judged.observed}\n[{judged.channel}] {judged.where}")
        self.judged = judged


class RigHandle:
    """See the module. Every method that fails raises UnmetError (an assertion), RigError or LocalError."""

    def __init__(self, runner: Runner, stage: Stage, clock: BootClock, file: RigFile) -> None:
        """file: the rig. judged: every assertion so far."""
        self.stage = stage
        self.clock = clock
        self.file = file
        self.judged: list[Judged] = []
        self._runner = runner
        self._remains: Remains | None = None

    @property
    def bench(self) -> Bench:
        """Every part of the rig."""
        return self.stage.bench

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the rig's loop, for what has no method here."""
        return self._runner.run(work)

    def call(self, function: Callable[[], T]) -> T:
        """Call a plain function on the rig's loop."""

        async def work() -> T:
            return function()

        return self.run(work())

    def do(self, *steps: said.AnyStep) -> None:
        """Steps of `hil_rigs.scenario.format`. Raises StepError when one does not come about."""
        for step in steps:
            self.run(self.stage.actor.do(step))

    def plug(self, vehicle: str = "", connector: str = "", **plan: Any) -> None:
        """Plug a vehicle in. plan: pause_after, pause, renegotiate_after as durations."""
        self.do(said.Plug(vehicle=vehicle, connector=connector, **plan))

    def unplug(self, vehicle: str = "") -> None:
        """Pull the plug."""
        self.do(said.Unplug(vehicle=vehicle))

    def want(self, vehicle: str = "", **wish: Any) -> None:
        """time="10 min", kwh=2 or soc=80; nothing: no more."""
        self.do(said.Want(vehicle=vehicle, **wish))

    def card(self, identification: str, connector: str = "", type: str = "ISO14443") -> None:  # noqa: A002
        """Show an identification."""
        self.do(said.Card(id=identification, type=type, connector=connector))

    def stop(self, connector: str = "") -> None:
        """End the transaction from afar."""
        self.do(said.Stop(connector=connector))

    def wait(self, time: str) -> None:
        """Let time pass."""
        _local(lambda: seconds(time))
        self.do(said.Wait(time=time))

    def until(self, seen: str, within: str, *, since: str = "step") -> None:
        """Wait until something is seen, from the last call on, or since="start"."""
        _local(lambda: (read_pattern(seen, live=True), seconds(within)))
        self.do(said.Until(seen=seen, within=within, since=since))

    def reach(self, state: str, **content: Any) -> None:
        """Bring the rig into a state of `hil_rigs.scenario.strategy`: powered, plugged, authorised, charging."""
        self.do(said.Reach(state=RigState(state), **content))

    def session(self, **content: Any) -> None:
        """A whole session: vehicle, connector, identification, and one of time, kwh, soc."""
        self.do(said.Session(**content))

    def inject(
        self, fault: str, on: str = "", *, times: int | None = None, lasts: str | None = None, **values: Value
    ) -> Undo:
        """Break something now; returns the undo. times: how often it strikes. lasts: a duration, until it is undone.

        values: parameters of the fault.
        """
        target = target_problem(catalogue.find(fault), on, self.bench.rig)
        if target:
            raise RigError(target)
        one = said.Inject(fault=fault, on=on, values=dict(values), times=times, time=_duration(lasts))
        undo = self.call(lambda: self.stage.actor.inject(one))
        return lambda: self.call(undo)

    def expect(self, pattern: str, **more: Any) -> Judged:
        """Something was seen: after, before, within; says, claim, ids."""
        return self._must(said.Assertion(expect=pattern, **more))

    def never(self, pattern: str, **more: Any) -> Judged:
        """Something was not seen: after, before, within; says, claim, ids."""
        return self._must(said.Assertion(never=pattern, **more))

    def count(self, pattern: str, **more: Any) -> Judged:
        """So often: exactly, at_least, at_most; after, before; says, claim, ids."""
        return self._must(said.Assertion(count=pattern, **more))

    def order(self, *patterns: str, **more: Any) -> Judged:
        """One after the other: after, before; says, claim, ids."""
        return self._must(said.Assertion(order=list(patterns), **more))

    def check(self, name: str, **values: Any) -> Judged:
        """A judgement of what the run left, with its parameters; only after `finish`."""
        checked(name, checks.find(name).parameters, values)
        if self._remains is None:
            raise RigError(f"{name} is judged when everything is over: call finish() before")
        return self._must(said.Assertion(check=name, values=values))

    def finish(self) -> Remains:
        """Everybody goes home; what is left can be checked."""
        if self._remains is None:
            self.call(self.stage.actor.close)
            self.run(self.stage.settle())
            self._remains = self.run(self.stage.remains())
        return self._remains

    def _so_far(self) -> Remains:
        """What was seen; records are not there before the end."""
        key = decode_public_key(self.run(self.bench.signer.identity()).public_key)
        return Remains(self.stage.folder, key, (), None, self.stage.observer)

    def _read(self, one: said.Assertion) -> None:
        """What cannot be judged raises ValueError."""
        live = self._remains is None
        for text in filter(None, (one.expect, one.never, one.count, *(one.order or ()))):
            read_pattern(text, live=live)
        for text in filter(None, (one.after, one.before)):
            read_moment(text, live=live)

    def _must(self, assertion: said.Assertion) -> Judged:
        _local(lambda: self._read(assertion))
        remains = self._remains or self._so_far()
        caller = inspect.stack()[2]
        place = f"{caller.filename}:{caller.lineno}"
        judged = Judge(remains, self.stage.start, sources_of(self.file.rig)).one(
            assertion, f"then[{len(self.judged)}]", place
        )
        self.judged.append(judged)
        if judged.verdict not in (Verdict.PASS, Verdict.NOT_RUN):
            raise UnmetError(judged)
        return judged


def _local(read: Callable[[], object]) -> None:
    """What a test has written wrongly is its own error, with what is wrong."""
    try:
        read()
    except ValueError as error:
        raise LocalError(str(error)) from None


def _duration(text: str | None) -> str | None:
    if text is not None:
        _local(lambda: seconds(text))
    return text


@contextmanager
def open_handle(
    rig: Path | RigFile, folder: Path, *, seed: int | None = None, tracer: Tracer = no_trace
) -> Iterator[RigHandle]:
    """A rig that is up, for as long as the context lasts. folder: for what it leaves. Raises RigError, PeerError."""
    file = rig if isinstance(rig, RigFile) else load_rig(rig)
    if seed is not None:
        file = replace(file, rig=structs.replace(file.rig, seed=seed))
    settings = file.rig.clock
    zone = ZoneInfo(settings.zone) if settings.zone else None
    runner: VirtualRunner | ThreadRunner
    if isinstance(settings, VirtualClockSettings):
        runner = VirtualRunner()
        clock: BootClock = VirtualClock(runner.loop, settings.start, file.rig.seed, zone, settings.drift_ppm)
    else:
        runner, clock = ThreadRunner(), RealClock(zone)
    stack = AsyncExitStack()
    try:
        stage = runner.run(stack.enter_async_context(open_stage(file, clock, folder, tracer, lambda _text: None)))
        try:
            yield RigHandle(runner, stage, clock, file)
        finally:
            runner.run(stack.aclose())
    finally:
        runner.close()
