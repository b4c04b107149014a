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
from v2g.exi.grammar import Complex
from v2g.exi.schemas import SchemaSet, grammar, schema
from v2g.session import events

_MESSAGE = ("message", "decoded", "peer", "role", "sha256", "deviations")
_V2G = (SchemaSet.SAP, SchemaSet.DIN, SchemaSet.ISO2)  # what station and vehicle speak
_OCPP = ("v16", "v201")


@dataclass(frozen=True, slots=True)
class Fields:
    """Of one name. lists: how long those are that are lists, "" = any length. is_open: there may be others."""

    names: frozenset[str]
    lists: Mapping[str, str] = dataclasses.field(default_factory=dict)
    is_open: bool = False

    def __or__(self, other: Fields) -> Fields:
        lists = {name: size for name, size in self.lists.items() if name in other.lists or name not in other.names}
        lists |= {name: size for name, size in other.lists.items() if name in self.lists or name not in self.names}
        return Fields(self.names | other.names, lists, self.is_open or other.is_open)


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
    found: set[str] = {"direction", "V2G_Message", "Header", "Body", name, *_MESSAGE}
    for key in (*v2g_messages()[name], "iso2.MessageHeaderType", "din.MessageHeaderType"):
        _walk(key, found, set())
    return Fields(frozenset(found), is_open=False)


def _walk(key: str, found: set[str], done: set[str]) -> None:
    """Every name below a type."""
    if key in done:
        return
    done.add(key)
    kind = grammar(key)
    if isinstance(kind, Complex):
        for step in kind.steps:
            found.update({member.name for member in step.members if member.name} or {step.field})
            for member in step.members:
                _walk(member.type, found, done)


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
    found, places = {"direction", "message", "station"}, ocpp_frames()[name]
    for place in places:
        version, _, stem = place.partition("/")
        text = (files("ocpp") / version / "schemas" / f"{stem}.json").read_text(encoding="utf-8-sig")
        _properties(json.loads(text), found)
    is_open = not places or name.startswith("DataTransfer")
    return Fields(frozenset(found), {"message": ""}, is_open)


def _properties(part: Any, found: set[str]) -> None:
    if isinstance(part, dict):
        if isinstance(part.get("properties"), dict):
            found.update(part["properties"])
        for inner in part.values():
            _properties(inner, found)
    elif isinstance(part, list):
        for inner in part:
            _properties(inner, found)
