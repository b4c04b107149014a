"""Names and fields of messages, read from what knows them: EXI schemas, V2G session events, OCPP's JSON schemas."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from hil_rigs.scenario.channels import ENDINGS
from hil_rigs.scenario.field_values import BOOLEAN
from v2g.exi.grammar import Complex, Simple, Type
from v2g.exi.schemas import SchemaSet, grammar, schema
from v2g.session import events

_MESSAGE = ("message", "decoded", "peer", "role", "sha256", "deviations")
_V2G = (SchemaSet.SAP, SchemaSet.DIN, SchemaSet.ISO2)  # what station and vehicle speak
_OCPP = ("v16", "v201")


@dataclass(frozen=True, slots=True)
class Fields:
    """Of one name. lists: how long those are that are lists, "" = any length. is_open: there may be others.

    values: all that those can be whose values are known.
    """

    names: frozenset[str]
    lists: Mapping[str, str] = dataclasses.field(default_factory=dict)
    is_open: bool = False
    values: Mapping[str, frozenset[str]] = dataclasses.field(default_factory=dict)

    def __or__(self, other: Fields) -> Fields:
        lists = {name: size for name, size in self.lists.items() if name in other.lists or name not in other.names}
        lists |= {name: size for name, size in other.lists.items() if name in self.lists or name not in self.names}
        values = {name: mine | other.values.get(name, mine) for name, mine in self.values.items()}
        values = {name: mine for name, mine in values.items() if name in other.values or name not in other.names}
        values |= {name: theirs for name, theirs in other.values.items() if name not in self.names}
        return Fields(self.names | other.names, lists, self.is_open or other.is_open, values)


# names, each with all its values; None: it can be anything
_Found = dict[str, frozenset[str] | None]


def _note(found: _Found, name: str, values: frozenset[str] | None) -> None:
    known = found.setdefault(name, values)
    found[name] = None if known is None or values is None else known | values


def _fields(found: _Found, lists: Mapping[str, str] | None = None, *, is_open: bool = False) -> Fields:
    values = {name: each for name, each in found.items() if each is not None}
    return Fields(frozenset(found), lists or {}, is_open, values)


# V2G ---------------------------------------------------------------------------------------------------------------


@cache
def v2g_messages() -> Mapping[str, tuple[str, ...]]:
    """V2G messages: the keys of their types in each schema."""
    found: dict[str, tuple[str, ...]] = {}
    for one in _V2G:
        for root in schema(one).documents:
            if root.name.endswith(("Req", "Res")):
                found[root.name] = found.get(root.name, ()) + root.types
    return found


@cache
def v2g_fields(name: str) -> Fields:
    """Every element and attribute below a message and its header."""
    found: _Found = dict.fromkeys(("direction", "V2G_Message", "Header", "Body", name, *_MESSAGE))
    for key in (*v2g_messages()[name], "iso2.MessageHeaderType", "din.MessageHeaderType"):
        _walk(key, found, set())
    return _fields(found)


def _walk(key: str, found: _Found, done: set[str]) -> None:
    """Every name below a type."""
    if key in done:
        return
    done.add(key)
    kind = grammar(key)
    if isinstance(kind, Complex):
        for step in kind.steps:
            for member in step.members:
                _note(found, member.name or step.field, _simple_values(grammar(member.type)))
                _walk(member.type, found, done)
            if not step.members:
                _note(found, step.field, None)


def _simple_values(kind: Type) -> frozenset[str] | None:
    """All that a simple type can be; None: too much for a list."""
    if isinstance(kind, Simple) and kind.kind == "enumeration":
        return frozenset(kind.values)
    return BOOLEAN if isinstance(kind, Simple) and kind.kind == "boolean" else None


@cache
def session_events() -> Mapping[str, Fields]:
    """What the V2G machines of both sides report, as the trace names it."""
    found = {}
    for kind in _subclasses(events.Event):
        shown = [one for one in dataclasses.fields(kind) if one.repr]
        lists = {one.name: "" for one in shown if str(one.type).startswith("tuple")}
        found[kind.__name__] = Fields(frozenset({*(one.name for one in shown), "peer", "role"}), lists)
    found["ignored"] = Fields(frozenset({"why", "peer", "role"}))
    return {name: fields for name, fields in found.items() if name not in ("Send", "Received", "Ignored")}


def _subclasses(kind: type[events.Event]) -> Iterator[type[events.Event]]:
    for one in kind.__subclasses__():
        yield one
        yield from _subclasses(one)


# OCPP --------------------------------------------------------------------------------------------------------------


@cache
def ocpp_frames() -> Mapping[str, tuple[str, ...]]:
    """OCPP frames as they are named here, with the files of their schemas: "v201/AuthorizeResponse"."""
    found: dict[str, tuple[str, ...]] = {"Response": (), "Error": ()}  # to a call that nobody saw
    for version in _OCPP:
        for file in (files("ocpp") / version / "schemas").iterdir():
            stem = file.name.removesuffix(".json")
            name = stem.removesuffix("Request")
            found[name] = (*found.get(name, ()), f"{version}/{stem}")
            if not name.endswith(ENDINGS[3]):
                found[f"{name}{ENDINGS[4]}"] = ()
    return found


def ocpp_fields(name: str) -> Fields:
    """Every property of a frame's schemas; errors and DataTransfer are open."""
    found: _Found = dict.fromkeys(("direction", "message", "station"))
    places = ocpp_frames()[name]
    for place in places:
        version, _, stem = place.partition("/")
        text = (files("ocpp") / version / "schemas" / f"{stem}.json").read_text(encoding="utf-8-sig")
        whole = json.loads(text)
        _properties(whole, whole.get("definitions", {}), found)
    is_open = not places or name.startswith("DataTransfer")
    return _fields(found, {"message": ""}, is_open=is_open)


def _properties(part: Any, types: Mapping[str, Any], found: _Found) -> None:
    if isinstance(part, dict):
        if isinstance(part.get("properties"), dict):
            for name, one in part["properties"].items():
                kind = types.get(str(one.get("$ref", "")).removeprefix("#/definitions/"), one)
                values = frozenset(kind["enum"]) if "enum" in kind else None
                _note(found, name, BOOLEAN if kind.get("type") == "boolean" else values)
        for inner in part.values():
            _properties(inner, types, found)
    elif isinstance(part, list):
        for inner in part:
            _properties(inner, types, found)
