"""Read scenario files: everything is checked before anything starts, and every finding has its line."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from msgspec import structs

from hil_rigs.rig_file import MAX_OCTETS, RigFile
from hil_rigs.scenario import format as said
from hil_rigs.scenario.channels import CHANNELS
from hil_rigs.scenario.kind import is_scenario
from hil_rigs.scenario.moment import Moment, parse_moment
from hil_rigs.scenario.pattern import Pattern, parse_pattern
from hil_rigs.scenario.scenario_check import Checker
from hil_rigs.typed_yaml import Problem, TypedYaml
from hil_rigs.yaml_nodes import MappingNode, ScalarNode, SequenceNode, YamlError, compose
from ports.errors import RigError

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
    checker = Checker(source, scenario)
    rig = checker.rig()
    checker.everything(rig)
    if source.problems or rig is None:
        raise ScenarioError(sorted(source.problems, key=lambda problem: problem.line))
    named = ", ".join(f"{name}={value}" for name, value in variant.items())
    return ScenarioFile(path, scenario, rig, named, source)
