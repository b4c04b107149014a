"""Read scenario files: everything is checked before anything starts, and every finding has its line."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from msgspec import structs

from hil_rigs.fault_catalogue import catalogue
from hil_rigs.fault_catalogue.entry import checked
from hil_rigs.resources import VehicleResource
from hil_rigs.rig_file import MAX_OCTETS, RigFile, RigFileError
from hil_rigs.scenario import checks
from hil_rigs.scenario import format as said
from hil_rigs.scenario.channels import CHANNELS
from hil_rigs.scenario.defects import DEFECTS
from hil_rigs.scenario.fault_targets import target_problem
from hil_rigs.scenario.kind import is_scenario
from hil_rigs.scenario.moment import Moment, parse_moment
from hil_rigs.scenario.pattern import Pattern, parse_pattern
from hil_rigs.scenario.rig_changes import changed_rig
from hil_rigs.scenario.vocabulary import read_moment, read_pattern
from hil_rigs.typed_yaml import Place, Problem, TypedYaml
from hil_rigs.yaml_nodes import MappingNode, ScalarNode, SequenceNode, YamlError, compose
from ports.errors import LocalError, RigError

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class ScenarioError(RigError):
    """A scenario file with problems: one line for each."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class ScenarioFile:
    """One scenario, ready to run. variant: the values of its matrix, "" without one. source: for lines."""

    path: Path
    scenario: said.Scenario
    rig: RigFile
    variant: str
    source: TypedYaml

    @property
    def name(self) -> str:
        """With the variant, where there are several."""
        return f"{self.scenario.scenario} [{self.variant}]" if self.variant else self.scenario.scenario

    def seeded(self, seed: int) -> ScenarioFile:
        """The same with another seed of its rig."""
        return replace(self, rig=replace(self.rig, rig=structs.replace(self.rig.rig, seed=seed)))

    def line(self, *place: str | int) -> str:
        """`file:line` of a place."""
        return f"{self.path}:{self.source.line(place)}"

    def pattern(self, text: str) -> Pattern:
        """A pattern of this file; it was checked when the file was read."""
        return parse_pattern(text, CHANNELS)

    def moment(self, text: str) -> Moment:
        """A moment of this file; it was checked when the file was read."""
        return parse_moment(text, CHANNELS)


def load_scenarios(path: Path) -> list[ScenarioFile]:
    """All variants of one file, or of all scenario files of a folder and its subfolders, in the order of their names.

    Raises ScenarioError with every problem of every file; RigError when a folder holds no scenario.
    """
    files = sorted(one for one in path.rglob("*.yaml") if is_scenario(one)) if path.is_dir() else [path]
    if not files:
        raise RigError(f"{path}: no scenario in it (a YAML file with `scenario:`)")
    loaded: list[ScenarioFile] = []
    problems: list[Problem] = []
    for file in files:
        try:
            loaded += _load(file)
        except ScenarioError as error:
            problems += error.problems
    if problems:
        raise ScenarioError(problems)
    return loaded


def _load(path: Path) -> list[ScenarioFile]:
    try:
        octets = path.read_bytes()
        if len(octets) > MAX_OCTETS:
            raise ScenarioError([Problem(path, 0, (), f"{len(octets)} octets are too many for a scenario")])
        text = octets.decode("utf-8-sig")
    except OSError as error:
        raise ScenarioError([Problem(path, 0, (), f"cannot read it: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise ScenarioError([Problem(path, line, (), "not UTF-8")]) from None
    parameters, matrix = _values(path, text)
    variants = [dict(zip(matrix, chosen, strict=True)) for chosen in itertools.product(*matrix.values())]
    return [_variant(path, text, {**parameters, **variant}, variant) for variant in variants]


def _values(path: Path, text: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Parameters and matrix, as text: they are filled in before the file is read as a whole."""
    try:
        root = compose(text)
    except YamlError as error:
        raise ScenarioError([Problem(path, error.line, (), f"not YAML: {error}")]) from None
    parameters: dict[str, str] = {}
    matrix: dict[str, list[str]] = {}
    for key, value in root.value if isinstance(root, MappingNode) else ():
        if not isinstance(value, MappingNode) or key.value not in ("parameters", "matrix"):
            continue
        for name, inner in value.value:
            if key.value == "parameters" and isinstance(inner, ScalarNode):
                parameters[name.value] = inner.value
            if key.value == "matrix" and isinstance(inner, SequenceNode):
                matrix[name.value] = [item.value for item in inner.value if isinstance(item, ScalarNode)]
    return parameters, matrix


def _variant(path: Path, text: str, values: Mapping[str, str], variant: Mapping[str, str]) -> ScenarioFile:
    problems: list[Problem] = []

    def fill(found: re.Match[str]) -> str:
        if found[1] not in values:
            line = text.count("\n", 0, found.start()) + 1
            problems.append(
                Problem(path, line, (), f"no parameter {found[1]}; there are {', '.join(values) or 'none'}")
            )
            return ""
        return values[found[1]]

    source = TypedYaml(path, _PLACEHOLDER.sub(fill, text))
    scenario = source.build(said.Scenario)
    problems += source.problems
    if scenario is None or problems:
        raise ScenarioError(sorted(problems, key=lambda problem: problem.line))
    checker = _Checker(source, scenario)
    rig = checker.rig()
    checker.everything(rig)
    if source.problems or rig is None:
        raise ScenarioError(sorted(source.problems, key=lambda problem: problem.line))
    named = ", ".join(f"{name}={value}" for name, value in variant.items())
    return ScenarioFile(path, scenario, rig, named, source)


class _Checker:
    """Finds what is wrong beyond types: names that lead nowhere, patterns and durations that cannot be read."""

    def __init__(self, source: TypedYaml, scenario: said.Scenario) -> None:
        self._source = source
        self._scenario = scenario

    def rig(self) -> RigFile | None:
        place = ("changes",) if self._scenario.changes else ("rig",)
        try:
            return changed_rig(self._scenario.rig, self._scenario.changes)
        except (RigFileError, LocalError, YamlError) as error:
            self._source.report(place, str(error))
        except OSError as error:
            self._source.report(("rig",), f"cannot read {self._scenario.rig}: {error.strerror}")
        return None

    def everything(self, rig: RigFile | None) -> None:
        scenario = self._scenario
        for section in ("given", "when"):
            for number, step in enumerate(getattr(scenario, section)):
                self._step(step, (section, number), rig)
        for number, timed in enumerate(scenario.inject):
            self._parsed(("inject", number, "at"), timed.at, read_moment)
            self._fault(timed.fault, timed, timed.times, ("inject", number), rig)
        for number, assertion in enumerate(scenario.then):
            self._assertion(assertion, ("then", number))
        for number, defect in enumerate(scenario.defects):
            self._defect(defect, ("defects", number), rig)

    def _step(self, step: said.AnyStep, place: Place, rig: RigFile | None) -> None:
        match step:
            case said.Repeat():
                self._pattern((*place, "until"), step.until)
                for number, inner in enumerate(step.steps):
                    self._step(inner, (*place, "steps", number), rig)
            case said.Until():
                self._pattern((*place, "seen"), step.seen)
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
                self._source.report((*place, key), f'no {key} "{name}" in the rig; there are {", ".join(known)}')

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
        try:
            checked(name, check.parameters, values)
        except LocalError as error:
            self._source.report((*place, "with" if values else "check"), str(error))

    def _defect(self, one: said.Defect, place: Place, rig: RigFile | None) -> None:
        if one.seed not in DEFECTS and one.seed not in catalogue.CATALOGUE:
            self._source.report((*place, "seed"), f'no defect or fault "{one.seed}"; there are {", ".join(DEFECTS)}')
        elif one.seed not in DEFECTS:
            self._fault(one.seed, one, None, place, rig)
        for number, name in enumerate(one.caught_by):
            found = re.fullmatch(r"then\[(\d+)\]", name)
            if found is None or int(found[1]) >= len(self._scenario.then):
                self._source.report((*place, "caught_by", number), f'"{name}" is none of then[0] and so on')

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
        try:
            entry.checked(one.values)
        except LocalError as error:
            self._source.report((*place, "with"), str(error))
        if rig is not None and (problem := target_problem(entry, one.on, rig.rig)):
            self._source.report((*place, "on"), problem)
        if times is not None and not entry.counts:
            self._source.report((*place, "times"), f"{name} cannot be counted: say for, not times")

    def _pattern(self, place: Place, text: str | None) -> None:
        if text is not None:
            self._parsed(place, text, read_pattern)

    def _parsed(self, place: Place, text: str, parse: Callable[[str], object]) -> None:
        try:
            parse(text)
        except ValueError as error:
            self._source.report(place, str(error))
