"""YAML whose errors know their line: every value's place is kept beside the plain data."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeVar

import msgspec
import yaml

from ports.errors import RigError

T = TypeVar("T")
Place = tuple[str | int, ...]

_AT = re.compile(r" - at `(?P<path>[^`]*)`$")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_UNKNOWN = re.compile(r"unknown field `(?P<key>[^`]*)`")


class PlacedYaml:
    """A YAML document as plain data, with the line of every key and item. Raises RigError on bad YAML."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self.lines: dict[Place, int] = {(): 1}
        self._constructor = yaml.SafeLoader("")
        self._seen: set[int] = set()
        try:
            root = yaml.compose(text, yaml.SafeLoader)
            self.data = self._plain(root, ()) if root is not None else None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise RigError(f"{name}:{mark.line + 1 if mark else 1}: no YAML: {error.problem}") from error
        except (yaml.YAMLError, RecursionError) as error:
            raise RigError(f"{name}:1: no YAML: {error}") from error

    def error(self, place: Place, text: str) -> RigError:
        """An error that names file and line of `place`."""
        while place and place not in self.lines:
            place = place[:-1]
        return RigError(f"{self.name}:{self.lines[place]}: {text}")

    def convert(self, kind: type[T], expected: dict[str, str]) -> T:
        """The document as `kind` (a msgspec Struct). expected: field name -> what may stand there, for errors."""
        try:
            return msgspec.convert(self.data, kind)
        except msgspec.ValidationError as error:
            raise self._explain(str(error), expected) from error

    def _explain(self, text: str, expected: dict[str, str]) -> RigError:
        at = _AT.search(text)
        place: Place = ()
        if at:
            text = text[: at.start()]
            steps = _STEP.findall(at["path"])
            place = tuple(key or (0 if index == "..." else int(index)) for key, index in steps)
        unknown = _UNKNOWN.search(text)
        if unknown:
            place = (*place, unknown["key"])
            return self.error(place, f"unknown key {unknown['key']!r}")
        name = next((step for step in reversed(place) if isinstance(step, str)), "")
        where = f"{name}: " if name else ""
        hint = f"; expected {expected[name]}" if name in expected else ""
        return self.error(place, f"{where}{text[0].lower()}{text[1:]}{hint}")

    def _plain(self, node: yaml.Node, place: Place) -> object:
        line = node.start_mark.line + 1
        self.lines.setdefault(place, line)
        if id(node) in self._seen:
            raise RigError(f"{self.name}:{line}: anchors and aliases are not allowed here")
        self._seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(item, (*place, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            found: dict[object, object] = {}
            for key_node, value_node in node.value:
                line = key_node.start_mark.line + 1
                key = self._scalar(key_node)
                if key in found:
                    raise RigError(f"{self.name}:{line}: key {key!r} stands twice")
                self.lines[(*place, key)] = line
                found[key] = self._plain(value_node, (*place, key))
            return found
        return self._scalar(node)

    def _scalar(self, node: yaml.Node) -> str | int:
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.ScalarNode):
            raise RigError(f"{self.name}:{line}: expected a plain word or number")
        try:
            value: str | int = self._constructor.construct_object(node)
        except ValueError as error:  # a date that does not exist, a number that is none
            raise RigError(f"{self.name}:{line}: {node.value!r}: {error}") from error
        return value


def read_yaml(path: Path) -> PlacedYaml:
    """Read a file. Raises RigError: missing, unreadable, bad YAML."""
    try:
        return PlacedYaml(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise RigError(f"{path}: cannot read: {error}") from error
