"""What is wrong with a scenario beyond types, found before its rig comes up."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from hil_rigs.fault_catalogue import catalogue
from hil_rigs.fault_catalogue.entry import Parameter, checked
from hil_rigs.resources import VehicleResource
from hil_rigs.rig_file import RigFile, RigFileError
from hil_rigs.scenario import checks
from hil_rigs.scenario import format as said
from hil_rigs.scenario.defects import DEFECTS
from hil_rigs.scenario.fault_targets import target_problem
from hil_rigs.scenario.rig_changes import changed_rig
from hil_rigs.scenario.vocabulary import read_moment, read_pattern
from hil_rigs.typed_yaml import Place, TypedYaml
from hil_rigs.yaml_nodes import YamlError
from ports.errors import LocalError


class Checker:
    """Finds what is wrong beyond types: names that lead nowhere, patterns and durations that cannot be read."""

    def __init__(self, source: TypedYaml, scenario: said.Scenario) -> None:
        self._source = source
        self._scenario = scenario

    def rig(self) -> RigFile | None:
        """The rig with the scenario's changes; None when it is no good."""
        place = ("changes",) if self._scenario.changes else ("rig",)
        try:
            return changed_rig(self._scenario.rig, self._scenario.changes)
        except (RigFileError, LocalError, YamlError) as error:
            self._source.report(place, str(error))
        except OSError as error:
            self._source.report(("rig",), f"cannot read {self._scenario.rig}: {error.strerror}")
        return None

    def everything(self, rig: RigFile | None) -> None:
        """Report all that is wrong to the source. rig: None leaves out what needs one."""
        scenario = self._scenario
        for section in ("given", "when"):
            for number, step in enumerate(getattr(scenario, section)):
                self._step(step, (section, number), rig)
        for number, timed in enumerate(scenario.inject):
            self._parsed(("inject", number, "at"), timed.at, partial(read_moment, live=True))
            self._fault(timed.fault, timed, timed.times, ("inject", number), rig)
        for number, assertion in enumerate(scenario.then):
            self._assertion(assertion, ("then", number))
        for number, defect in enumerate(scenario.defects):
            self._defect(defect, ("defects", number), rig)

    def _step(self, step: said.AnyStep, place: Place, rig: RigFile | None) -> None:
        match step:
            case said.Repeat():
                self._pattern((*place, "until"), step.until, live=True)
                for number, inner in enumerate(step.steps):
                    self._step(inner, (*place, "steps", number), rig)
            case said.Until():
                self._pattern((*place, "seen"), step.seen, live=True)
            case said.Inject():
                self._fault(step.fault, step, step.times, place, rig)
        if rig is None:
            return
        vehicles = [name for name, one in rig.rig.resources.items() if isinstance(one, VehicleResource)]
        connectors = [one.id for one in rig.rig.gateway.connectors]
        for key, known in (("vehicle", vehicles), ("connector", connectors)):
            name = getattr(step, key, None)
            if name is None or name in known:
                continue
            if name or len(known) != 1:
                problem = f'no {key} "{name}" in the rig' if name else f"say which {key}"
                self._source.report((*place, key), f"{problem}; there are {', '.join(known)}")

    def _assertion(self, one: said.Assertion, place: Place) -> None:
        for key in ("expect", "never", "count"):
            self._pattern((*place, key), getattr(one, key))
        for number, text in enumerate(one.order or ()):
            self._pattern((*place, "order", number), text)
        for key in ("after", "before"):
            if (text := getattr(one, key)) is not None:
                self._parsed((*place, key), text, read_moment)
        if one.check is not None:
            self._check(one.check, one.values, place)

    def _check(self, name: str, values: Mapping[str, said.Scalar], place: Place) -> None:
        try:
            check = checks.find(name)
        except LocalError as error:
            self._source.report((*place, "check"), str(error))
            return
        self._values(name, check.parameters, values, place, "check")

    def _values(
        self,
        name: str,
        parameters: Sequence[Parameter],
        values: Mapping[str, said.Scalar],
        place: Place,
        key: str,
    ) -> None:
        """key: where the name stands, for what is missing when there is no `with`."""
        try:
            checked(name, parameters, values)
        except LocalError as error:
            self._source.report((*place, "with" if values else key), str(error))

    def _defect(self, one: said.Defect, place: Place, rig: RigFile | None) -> None:
        if one.seed not in DEFECTS and one.seed not in catalogue.CATALOGUE:
            self._source.report((*place, "seed"), f'no defect or fault "{one.seed}"; there are {", ".join(DEFECTS)}')
        elif one.seed not in DEFECTS:
            self._fault(one.seed, one, None, place, rig)
        else:
            self._values(one.seed, DEFECTS[one.seed].parameters, one.values, place, "seed")
            if one.on:
                self._source.report((*place, "on"), f'{one.seed} is a defect of the device: leave out on, "{one.on}"')
        last = len(self._scenario.then) - 1
        for number, name in enumerate(one.caught_by):
            found = re.fullmatch(r"then\[(\d+)\]", name)
            if found is None or int(found[1]) > last:
                there = f"then[0] to then[{last}]" if last > 0 else "then[0]"
                self._source.report((*place, "caught_by", number), f'"{name}" is none of {there}')

    def _fault(
        self,
        name: str,
        one: said.Inject | said.Timed | said.Defect,
        times: int | None,
        place: Place,
        rig: RigFile | None,
    ) -> None:
        try:
            entry = catalogue.find(name)
        except LocalError as error:
            self._source.report((*place, "fault"), str(error))
            return
        key = "seed" if isinstance(one, said.Defect) else "fault"
        self._values(name, entry.parameters, one.values, place, key)
        if rig is not None and (problem := target_problem(entry, one.on, rig.rig)):
            self._source.report((*place, "on"), problem)
        if times is not None and not entry.counts:
            self._source.report((*place, "times"), f"{name} cannot be counted: say for, not times")

    def _pattern(self, place: Place, text: str | None, *, live: bool = False) -> None:
        if text is not None:
            self._parsed(place, text, partial(read_pattern, live=live))

    def _parsed(self, place: Place, text: str, parse: Callable[[str], object]) -> None:
        try:
            parse(text)
        except ValueError as error:
            self._source.report(place, str(error))
