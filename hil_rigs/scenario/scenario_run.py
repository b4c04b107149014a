"""Run one scenario: bring the rig up, do the steps, break what is to be broken, judge what was seen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from hil_rigs.bench import BootClock
from hil_rigs.real_clock import RealClock
from hil_rigs.rig import VirtualClockSettings
from hil_rigs.run_folder import write_records
from hil_rigs.scenario.coverage import covered
from hil_rigs.scenario.defects import plant
from hil_rigs.scenario.format import Defect
from hil_rigs.scenario.judge import Judge, Judged, Verdict
from hil_rigs.scenario.open_scenario import Stage, open_stage
from hil_rigs.scenario.scenario_file import ScenarioFile
from hil_rigs.scenario.steps import Actor
from hil_rigs.scenario.vocabulary import sources_of
from hil_rigs.virtual_clock import run_virtual
from ports.errors import PlugbenchError
from ports.trace import Tracer


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """What came of a scenario. problem: what stopped it before its end, "" otherwise; where: file:line of that.

    defect: name of the seeded defect, "" without one. caught_by: which assertions have to catch it.
    virtual_s: how long it took, on its own clock. coverage: (layer, phase) of each fault that was injected.
    """

    name: str
    file: Path
    verdict: Verdict
    judged: tuple[Judged, ...]
    problem: str = ""
    where: str = ""
    defect: str = ""
    caught_by: tuple[str, ...] = ()
    virtual_s: float = 0.0
    not_applicable: tuple[tuple[str, str], ...] = ()
    coverage: tuple[tuple[str, str], ...] = ()

    @property
    def failed(self) -> tuple[Judged, ...]:
        """What did not come out as it should."""
        return tuple(one for one in self.judged if one.verdict in (Verdict.FAIL, Verdict.ERROR))


def run_scenario(
    file: ScenarioFile,
    folder: Path,
    tracer: Tracer,
    say: Callable[[str], None],
    *,
    defect: Defect | None = None,
    seed: int | None = None,
) -> ScenarioResult:
    """Run it on its rig's clock. What the rig leaves is in `folder`. seed: instead of the rig file's.

    A rig that does not come up is the verdict "error", not an exception.
    """
    if seed is not None:
        file = file.seeded(seed)
    if why := _not_for(file):
        name = "" if defect is None else defect.seed
        return ScenarioResult(file.name, file.path, Verdict.NOT_RUN, (), why, file.line("needs"), name)
    settings = file.rig.rig.clock
    zone = ZoneInfo(settings.zone) if settings.zone else None

    def body(clock: BootClock) -> Coroutine[None, None, ScenarioResult]:
        return _Run(file, folder, tracer, say, clock, defect).whole()

    try:
        if isinstance(settings, VirtualClockSettings):
            return run_virtual(
                body,
                start=settings.start,
                seed=file.rig.rig.seed,
                zone=zone,
                drift_ppm=settings.drift_ppm,
            )
        return asyncio.run(body(RealClock(zone)))
    except (PlugbenchError, OSError) as error:
        name = "" if defect is None else defect.seed
        return ScenarioResult(
            file.name, file.path, Verdict.ERROR, (), f"{type(error).__name__}: {error}", str(file.path), name
        )


def _not_for(file: ScenarioFile) -> str:
    """Why a scenario does not apply to its rig; "" when it does."""
    needs, rig = file.scenario.needs, file.rig.rig
    mode = str(rig.clock.__struct_config__.tag)
    if missing := [claim for claim in needs.claims if claim not in rig.claims]:
        return f"the rig does not claim {', '.join(missing)}"
    return "" if needs.clock in ("any", mode) else f"the rig's clock is {mode}, not {needs.clock}"


class _Run:
    def __init__(
        self,
        file: ScenarioFile,
        folder: Path,
        tracer: Tracer,
        say: Callable[[str], None],
        clock: BootClock,
        defect: Defect | None,
    ) -> None:
        self._file = file
        self._scenario = file.scenario
        self._folder = folder
        self._say = say
        self._clock = clock
        self._defect = defect
        self._tracer = tracer
        self._problem = self._where = ""

    async def whole(self) -> ScenarioResult:
        async with AsyncExitStack() as seeded:
            stage = await seeded.enter_async_context(
                open_stage(self._file.rig, self._clock, self._folder, self._tracer, self._say)
            )
            if self._defect is not None:
                seeded.callback(plant(stage.breakable, self._defect))
            timed = [asyncio.create_task(self._strike(stage, number)) for number in range(len(self._scenario.inject))]
            try:
                await self._steps(stage.actor)
            finally:
                for task in timed:
                    task.cancel()
                await asyncio.gather(*timed, return_exceptions=True)
                stage.actor.close()
            await stage.settle()
            remains = await stage.remains()
            judged = Judge(remains, stage.start, sources_of(self._file.rig.rig)).all(self._file)
            took = self._clock.monotonic() - stage.start
        write_records(self._folder, remains.records(), remains.key)
        return ScenarioResult(
            name=self._file.name,
            file=self._file.path,
            verdict=self._verdict(judged),
            judged=judged,
            problem=self._problem,
            where=self._where,
            defect="" if self._defect is None else self._defect.seed,
            caught_by=() if self._defect is None else tuple(self._defect.caught_by),
            virtual_s=took,
            not_applicable=tuple(self._scenario.not_applicable.items()),
            coverage=tuple(covered(stage.observer.seen).elements()),
        )

    async def _steps(self, actor: Actor) -> None:
        """All steps; the first that cannot be done ends them, and everything is judged all the same."""
        for section in ("given", "when"):
            for number, step in enumerate(getattr(self._scenario, section)):
                try:
                    await actor.do(step)
                except PlugbenchError as error:
                    self._problem = str(error)
                    self._where = self._file.line(section, number)
                    return

    async def _strike(self, stage: Stage, number: int) -> None:
        """One planned fault at its moment; one that cannot be injected is the scenario's problem."""
        timed = self._scenario.inject[number]
        moment = self._file.moment(timed.at)
        if moment.pattern is not None:
            await stage.observer.wait(moment.pattern)
        if moment.delay:
            await self._clock.sleep(moment.delay)
        try:
            stage.actor.inject(timed)
        except PlugbenchError as error:
            self._problem = self._problem or str(error)
            self._where = self._where or self._file.line("inject", number)

    def _verdict(self, judged: tuple[Judged, ...]) -> Verdict:
        verdicts = {one.verdict for one in judged}
        if Verdict.FAIL in verdicts:
            return Verdict.FAIL
        if Verdict.ERROR in verdicts:
            return Verdict.ERROR
        if self._problem or Verdict.INCONCLUSIVE in verdicts:
            return Verdict.INCONCLUSIVE
        return Verdict.PASS
