"""Build msgspec structs from YAML nodes, and say of everything that does not fit: where, what was found, what was
expected."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from hil_rigs.yaml_nodes import MappingNode, Node, ScalarNode, SequenceNode, YamlError, compose, scalar_value

T = TypeVar("T", bound=msgspec.Struct)
Place = tuple[str | int, ...]

MAX_DEPTH = 20
SECRET_KEY = re.compile(r"(^|_)(pin|puk|password|passphrase|secret|bearer|credential)", re.IGNORECASE)
_MISSING: Any = object()


def path_unless(*words: str) -> dict[str, tuple[str, ...]]:
    """For `Meta(extra=...)`: this text is the path of a file, unless it is one of these words."""
    return {"path_unless": words}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file. place: the path to it, e.g. ("resources", "m1", "unit")."""

    file: Path
    line: int
    place: Place
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {place_text(self.place)}{': ' if self.place else ''}{self.message}"


def place_text(place: Place) -> str:
    """E.g. `gateway.connectors[0].board`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")


def did_you_mean(name: str, known: list[str]) -> str:
    """A hint for a near miss, else what is known."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else f"known: {', '.join(known) or 'none'}"


class TypedYaml:
    """One file: its nodes, the lines of every place, and the problems found so far."""

    def __init__(self, file: Path, text: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._lines: dict[Place, int] = {}
        try:
            self._root = compose(text)
        except YamlError as error:
            self._root = None
            self.problems.append(Problem(file, error.line, (), f"not YAML: {error}"))
            return
        if self._root is None:
            self.problems.append(Problem(file, 1, (), "the file is empty"))

    def line(self, place: Place) -> int:
        """The line of a place, or of the nearest thing around it that stands in the file."""
        while place and place not in self._lines:
            place = place[:-1]
        return self._lines.get(place, 1)

    def report(self, place: Place, message: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(self.file, self.line(place), place, message))

    def build(self, struct: type[T]) -> T | None:
        """The whole file as a struct; None when there are problems."""
        if self._root is None:
            return None
        built = self._value(self._root, struct, ())
        return None if self.problems else built

    def _value(self, node: Node, wanted: Any, place: Place) -> Any:
        self._lines[place] = self._lines.get(place, node.start_mark.line + 1)
        if len(place) > MAX_DEPTH:
            self.report(place, "nested too deeply (an alias inside its own anchor?)")
            return _MISSING
        may_be_empty = not any(meta.min_length for meta in _metas(wanted))
        wanted = _unwrapped(wanted)
        structs = [
            option for option in _options(wanted) if isinstance(option, type) and issubclass(option, msgspec.Struct)
        ]
        if structs:
            return self._struct(node, structs, place)
        for option in map(_unwrapped, _options(wanted)):
            if get_origin(option) is list:
                return self._list(node, get_args(option)[0], place, may_be_empty=may_be_empty)
            if get_origin(option) is dict:
                return self._dict(node, get_args(option)[1], place)
        return self._leaf(node, wanted, place)

    def _pairs(self, node: Node, place: Place, what: str) -> Iterator[tuple[str, Node]]:
        if not isinstance(node, MappingNode):
            self.report(place, f"expected {what}, found {_found(node, place)}")
            return
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode) or not key_node.tag.endswith(":str"):
                self._lines[(*place, "?")] = line
                self.report((*place, "?"), f"expected text as key, found {_found(key_node, place)}; write it in quotes")
                continue
            key = key_node.value
            if key in seen:
                self.problems.append(
                    Problem(self.file, line, (*place, key), f"stands here twice, first in line {seen[key]}")
                )
                continue
            seen[key] = line
            self._lines[(*place, key)] = line
            yield key, value_node

    def _struct(self, node: Node, structs: list[type[msgspec.Struct]], place: Place) -> Any:
        pairs = dict(self._pairs(node, place, "a mapping (key: value)"))
        if not isinstance(node, MappingNode):
            return _MISSING
        struct = structs[0]
        tag_field = struct.__struct_config__.tag_field
        if tag_field is not None:
            tags = {str(option.__struct_config__.tag): option for option in structs}
            if tag_field not in pairs:
                self.report(place, f'"{tag_field}" is missing; known: {", ".join(tags)}')
                return _MISSING
            tag_node = pairs.pop(tag_field)
            tag = tag_node.value if isinstance(tag_node, ScalarNode) else ""
            if tag not in tags:
                self.report((*place, tag_field), f'unknown {tag_field} "{tag}": {did_you_mean(tag, list(tags))}')
                return _MISSING
            struct = tags[tag]
        hints, fields = _members(struct)
        before = len(self.problems)
        values: dict[str, Any] = {}
        for key, value_node in pairs.items():
            if key not in fields:
                self.report((*place, key), self._unknown_key(key, list(fields)))
                continue
            values[fields[key].name] = self._value(value_node, hints[fields[key].name], (*place, key))
        for key, field in fields.items():
            if field.required and key not in pairs:
                self.report(place, f'"{key}" is missing: expected {expected(hints[field.name])}')
        if len(self.problems) > before:
            return _MISSING
        try:
            return struct(**values)
        except ValueError as error:  # of __post_init__: "key: what is wrong", or of several keys
            key, colon, message = str(error).partition(": ")
            self.report(
                (*place, key) if colon and key in fields else place, message if colon and key in fields else str(error)
            )
            return _MISSING

    def _resolved(self, path: str) -> Path:
        return self.file.absolute().parent / Path(path).expanduser()

    @staticmethod
    def _unknown_key(key: str, known: list[str]) -> str:
        references = [name for name in known if name.startswith(key + "_") and name.endswith(("_file", "_env"))]
        if SECRET_KEY.search(key) and references:
            return f"a secret never stands in a rig file (its value is not shown here): use {' or '.join(references)}"
        return f"unknown key: {did_you_mean(key, known)}"

    def _list(self, node: Node, item: Any, place: Place, *, may_be_empty: bool) -> Any:
        if not isinstance(node, SequenceNode):
            self.report(place, f"expected a list, found {_found(node, place)}")
            return _MISSING
        if not (node.value or may_be_empty):
            self.report(place, "expected a list with at least one entry, found an empty one")
        return [self._value(item_node, item, (*place, number)) for number, item_node in enumerate(node.value)]

    def _dict(self, node: Node, item: Any, place: Place) -> Any:
        return {
            key: self._value(value_node, item, (*place, key))
            for key, value_node in self._pairs(node, place, "a mapping (name: value)")
        }

    def _leaf(self, node: Node, wanted: Any, place: Place) -> Any:
        if not isinstance(node, ScalarNode):
            self.report(place, f"expected {expected(wanted)}, found {_found(node, place)}")
            return _MISSING
        try:
            value = scalar_value(node)
        except YamlError as error:
            self.report(place, str(error))
            return _MISSING
        options = [_base(option) for option in _options(wanted)]
        try:
            if Decimal in options and isinstance(value, int | float | str) and not isinstance(value, bool):
                return Decimal(node.value)
            if Path in options and isinstance(value, str) and value:
                return self._resolved(value)
            converted = msgspec.convert(value, wanted)
            words = _path_unless(wanted)
            return converted if words is None or converted in words else str(self._resolved(converted))
        except (msgspec.ValidationError, InvalidOperation, TypeError):
            advice = ""
            if isinstance(value, int | float) and not isinstance(value, bool) and str in options:
                said = _with_unit(wanted, node.value)
                quoted = "" if _is_secret(place) else f": {chr(34)}{node.value}{chr(34)}"
                advice = f"; write {said}" if said else f"; write it in quotes{quoted}"
            self.report(place, f"expected {expected(wanted)}, found {_found(node, place)}{advice}")
            return _MISSING


@cache
def _members(struct: type[msgspec.Struct]) -> tuple[dict[str, Any], dict[str, msgspec.structs.FieldInfo]]:
    """Types by name, and fields by the name that they have in a file."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    return get_type_hints(struct, include_extras=True), fields


def _unwrapped(wanted: Any) -> Any:
    """Without Annotated around containers (leaves keep it: it holds their limits)."""
    if get_origin(wanted) is Annotated and get_origin(get_args(wanted)[0]) in (list, dict):
        return get_args(wanted)[0]
    return wanted


def _options(wanted: Any) -> tuple[Any, ...]:
    if get_origin(wanted) is Annotated:
        return _options(get_args(wanted)[0])
    return get_args(wanted) if get_origin(wanted) in (Union, types.UnionType) else (wanted,)


def _base(wanted: Any) -> Any:
    return get_args(wanted)[0] if get_origin(wanted) is Annotated else wanted


def _path_unless(wanted: Any) -> tuple[str, ...] | None:
    return next((meta.extra["path_unless"] for meta in _metas(wanted) if meta.extra), None)


def _metas(wanted: Any) -> tuple[msgspec.Meta, ...]:
    return get_args(wanted)[1:] if get_origin(wanted) is Annotated else ()


def _with_unit(wanted: Any, number: str) -> str:
    """The number with the unit of the type's example, where the type wants a unit; "" elsewhere."""
    for option in (wanted, *get_args(wanted)):
        for meta in _metas(option):
            if meta.pattern and meta.examples and not re.search(meta.pattern, number):
                said = re.sub(r"^[0-9.]+", number, str(meta.examples[0]))
                return said if re.search(meta.pattern, said) else ""
    return ""


def _is_secret(place: Place) -> bool:
    return bool(place) and isinstance(place[-1], str) and bool(SECRET_KEY.search(place[-1]))


def _found(node: Node, place: Place) -> str:
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    text = node.value if len(node.value) <= 60 else node.value[:57] + "..."
    kind = node.tag.rpartition(":")[2]
    if kind == "null":
        return "nothing"
    name = {"str": "the text", "int": "the number", "float": "the number"}.get(kind, "")
    if _is_secret(place):
        return name or "something else"
    return f'{name} "{text}"' if kind == "str" else f"{name} {text}".strip()


def schema_of_path(wanted: type) -> dict[str, Any]:
    """JSON Schema of the types that msgspec does not know."""
    if wanted is Path:
        return {"type": "string", "format": "path"}
    raise NotImplementedError(wanted)  # what msgspec asks of a schema_hook for a type that it does not know


_TYPE_NAMES = {"string": "text", "boolean": "true or false", "integer": "a whole number", "number": "a number"}


def expected(wanted: Any) -> str:
    """What a type accepts, in words made from its JSON Schema."""
    (schema,), _ = msgspec.json.schema_components([wanted], schema_hook=schema_of_path)
    if "$ref" in schema or any("$ref" in option for option in schema.get("anyOf", ())):
        return "a mapping"
    options = [{**schema, **option} for option in schema.get("anyOf", [schema]) if option.get("type") != "null"]
    text = " or ".join(_one_expected(option) for option in options)
    description = options[0].get("description")
    return f"{text} ({description})" if description else text


def _one_expected(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(f"{value}" for value in schema["enum"])
    if schema.get("type") == "array":
        return "a list"
    if schema.get("type") == "object":
        return "a mapping"
    text = {"date-time": "a date and time with zone", "path": "the path of a file", "decimal": "a decimal number"}.get(
        schema.get("format", ""), _TYPE_NAMES.get(schema.get("type", ""), "a value")
    )
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    more_than = "more than " if "exclusiveMinimum" in schema else ""
    if low is not None and high is not None:
        text += f" from {more_than}{low} to {high}"
    elif low is not None:
        text += f", {more_than or 'at least '}{low}"
    elif high is not None:
        text += f", at most {high}"
    if schema.get("minLength"):
        text += ", not empty"
    if schema.get("examples"):
        text += f" like {schema['examples'][0]}"
    return text
