"""YAML with line numbers, scalars by the core schema of YAML 1.2: `no` is text, `012` is twelve, dates are text."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

__all__ = ["MappingNode", "Node", "ScalarNode", "SequenceNode", "YamlError", "compose", "scalar_value"]

_TAG = "tag:yaml.org,2002:"
# YAML 1.2.2, 10.3.2
_CORE_SCHEMA = {
    "null": (r"null|Null|NULL|~|", "nN~\0"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
}


class _CoreLoader(yaml.SafeLoader):
    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc] # the stubs know no ClassVar


class _FastLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # libyaml where it was built in
    yaml_implicit_resolvers = _CoreLoader.yaml_implicit_resolvers


for _name, (_pattern, _first) in _CORE_SCHEMA.items():
    _CoreLoader.add_implicit_resolver(
        _TAG + _name, re.compile(f"(?:{_pattern})$"), ["" if first == "\0" else first for first in _first]
    )


class YamlError(Exception):
    """Not YAML. `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def compose(text: str) -> Node | None:
    """The node tree of one document, None when it is empty. Raises YamlError."""
    try:
        return yaml.compose(text, Loader=_FastLoader)
    except yaml.YAMLError:
        pass  # the other one says what is wrong, and where, in the same words on every machine
    try:
        return yaml.compose(text, Loader=_CoreLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        parts = [part for part in (error.context, error.problem) if part]
        raise YamlError(mark.line + 1 if mark else 1, ": ".join(parts)) from None
    except yaml.YAMLError as error:  # characters that YAML forbids
        position = getattr(error, "position", 0)
        raise YamlError(text.count("\n", 0, position) + 1, "a character that YAML does not allow") from None


def scalar_value(node: ScalarNode) -> str | int | float | bool | None:
    """What a scalar means. Raises YamlError for a tag that is not of the core schema."""
    text: str = node.value
    kind = node.tag.removeprefix(_TAG)
    if kind == "str":
        return text
    try:
        if kind == "int":
            return int(text, {"0x": 16, "0o": 8}.get(text[:2], 10))
        if kind == "float":
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        kind = ""
    if kind == "bool":
        return text.lower() == "true"
    if kind == "null":
        return None
    raise YamlError(node.start_mark.line + 1, f"the tag {node.tag} has no meaning here")
