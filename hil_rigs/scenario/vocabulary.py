"""What each channel can show: the names, and the fields of each. What no run can show is refused before it is run."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, reduce
from importlib.resources import files
from operator import or_
from typing import Any

from hil_rigs.fault_catalogue.catalogue import CATALOGUE
from hil_rigs.scenario.channels import CHANNELS, ENDINGS, ROWS, Names
from hil_rigs.scenario.event_kinds import KINDS, RECORD, RECORDS
from hil_rigs.scenario.moment import Moment, parse_moment
from hil_rigs.scenario.pattern import Condition, Pattern, parse_pattern
from ports.trace import TraceEvent
from v2g.exi.grammar import Complex
from v2g.exi.schemas import SchemaSet, grammar, schema
from v2g.session import events

_MESSAGE = ("message", "decoded", "peer", "role", "sha256", "deviations")
_V2G = (SchemaSet.SAP, SchemaSet.DIN, SchemaSet.ISO2)  # what station and vehicle speak
_OCPP = ("v16", "v201")
_NEAR = 0.6  # of difflib: how alike a name has to be to be meant


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


def read_pattern(text: str) -> Pattern:
    """A pattern that can match. Raises ValueError that says what is wrong with it, and what is near."""
    pattern = parse_pattern(text, CHANNELS)
    _check(pattern)
    return pattern


def read_moment(text: str) -> Moment:
    """A moment that can come. Raises ValueError as `read_pattern`."""
    moment = parse_moment(text, CHANNELS)
    if moment.pattern is not None:
        _check(moment.pattern)
    return moment


def fields_of(channel: str, name: str) -> Fields | None:
    """The fields of a name; of all of the channel for "*"; None: the channel never shows it."""
    known = names_of(channel)
    if name == "*":
        return reduce(or_, (_fields(channel, each) for each in known))
    return _fields(channel, name) if name in known else None


@cache
def names_of(channel: str) -> tuple[str, ...]:
    """Every name that a channel can show."""
    found = list(_of_kinds(channel))
    if channel in ("wire.v2g", "evcc"):
        found += sorted(_messages())
    if channel in ("secc", "evcc"):
        found += sorted(_session_events())
    if channel == "store":
        found += RECORDS
    if channel in ("ocpp", "csms"):
        found += sorted(_actions())
    if channel == "fault":
        found += ["begun", "over"]
    return tuple(dict.fromkeys(found))


@cache
def _fields(channel: str, name: str) -> Fields:
    if name in (kinds := _of_kinds(channel)):
        return reduce(or_, (_read(KINDS[kind]) for kind in kinds[name]))
    if channel in ("wire.v2g", "evcc") and name in _messages():
        return _v2g_fields(name)
    if channel == "store":
        return _read(RECORD)
    if channel == "fault":
        parameters = {parameter.name for entry in CATALOGUE.values() for parameter in entry.parameters}
        return Fields(frozenset({"fault", "times", *parameters}))
    if channel in ("ocpp", "csms"):
        return _ocpp_fields(name)
    return _session_events()[name]


def _check(pattern: Pattern) -> None:
    fields = fields_of(pattern.channel, pattern.name)
    if fields is None:
        there = names_of(pattern.channel)
        raise ValueError(f'"{pattern}": {pattern.channel} never shows "{pattern.name}"; {_near(pattern.name, there)}')
    for condition in pattern.conditions:
        if "[" in condition.field:
            path = condition.field.replace("[", ".").replace("]", "")
            raise ValueError(f'"{pattern}": write {path} instead of {condition.field}')
        if problem := _field_problem(condition, fields):
            raise ValueError(f'"{pattern}": {pattern.channel} {pattern.name} {problem}')


def _field_problem(condition: Condition, fields: Fields) -> str:
    words = [word for word in condition.field.split(".") if not word.isdigit()]
    unknown = [word for word in words if word not in fields.names]
    if unknown and not fields.is_open:
        return f'has no field "{unknown[0]}"; {_near(unknown[0], sorted(fields.names))}'
    last = condition.field.rpartition(".")[2]
    if last in fields.lists and condition.operator != "~":
        size = fields.lists[last]
        of = f" of {size}" if size else ""
        return f"has a list{of} in {last}: write {last}.0 for its first, or {last}~... to look into all of it"
    return ""


def _near(word: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(word, known, 3, _NEAR)
    every = list(known)
    if found:
        return f"did you mean {' or '.join(found)}?"
    shown = ", ".join(every[:20])
    return f"there are {shown}{', ...: `plugbench channels` lists them' if len(every) > 20 else ''}"


@cache
def _of_kinds(channel: str) -> Mapping[str, list[str]]:
    """Names of a channel, each with its kinds of the table."""
    found: dict[str, list[str]] = {}
    for kind in KINDS:
        for row in ROWS:
            if row.channel == channel and kind.startswith(row.prefix):
                found.setdefault(row.name(Names(), TraceEvent(0.0, "", kind, "")), []).append(kind)
    return found


def _read(words: str) -> Fields:
    names, lists = set[str](), dict[str, str]()
    for word in words.split():
        name, bracket, size = word.removesuffix("]").partition("[")
        names.add(name)
        if bracket:
            lists[name] = size
    return Fields(frozenset(names - {"..."}), lists, "..." in names)


# V2G ---------------------------------------------------------------------------------------------------------------


@cache
def _messages() -> Mapping[str, tuple[str, ...]]:
    """V2G messages: the keys of their types in each schema."""
    found: dict[str, tuple[str, ...]] = {}
    for one in _V2G:
        for root in schema(one).documents:
            if root.name.endswith(("Req", "Res")):
                found[root.name] = found.get(root.name, ()) + root.types
    return found


@cache
def _v2g_fields(name: str) -> Fields:
    found: set[str] = {"direction", "V2G_Message", "Header", "Body", name, *_MESSAGE}
    for key in (*_messages()[name], "iso2.MessageHeaderType", "din.MessageHeaderType"):
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
def _session_events() -> Mapping[str, Fields]:
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
def _actions() -> Mapping[str, tuple[str, ...]]:
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


def _ocpp_fields(name: str) -> Fields:
    found, places = {"direction", "message", "station"}, _actions()[name]
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
