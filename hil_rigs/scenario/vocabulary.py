"""What each channel can show: the names, and the fields of each. What no run can show is refused before it is run."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import cache, reduce
from operator import or_

from hil_rigs.fault_catalogue.catalogue import CATALOGUE
from hil_rigs.rig import Rig
from hil_rigs.scenario.channels import CHANNELS, ROWS, Names
from hil_rigs.scenario.event_kinds import KINDS, RECORD, RECORDS
from hil_rigs.scenario.field_values import BEGUN_VALUES, RECORD_VALUES, VALUES, Values
from hil_rigs.scenario.message_fields import (
    Fields,
    ocpp_fields,
    ocpp_frames,
    session_events,
    v2g_fields,
    v2g_messages,
)
from hil_rigs.scenario.moment import Moment, parse_moment
from hil_rigs.scenario.pattern import Condition, Pattern, parse_pattern
from ports.trace import TraceEvent

_NEAR = 0.6  # of difflib: how alike a name has to be to be meant
_NULL = "null"  # as a pattern names a field that is there without a value


def read_pattern(text: str, *, live: bool = False) -> Pattern:
    """A pattern that can match. Raises ValueError that says what is wrong with it, and what is near.

    live: while the run goes on, when there are no records yet.
    """
    pattern = parse_pattern(text, CHANNELS)
    _check(pattern, live=live)
    return pattern


def read_moment(text: str, *, live: bool = False) -> Moment:
    """A moment that can come. live, errors: as of `read_pattern`."""
    moment = parse_moment(text, CHANNELS)
    if moment.pattern is not None:
        _check(moment.pattern, live=live)
    return moment


def sources_of(rig: Rig) -> frozenset[str]:
    """Names that may stand after @, whether something comes from them or not."""
    connectors = [one.id for one in rig.gateway.connectors]
    ends = [f"{name}.{end}" for name in (*connectors, *rig.resources) for end in ("secc", "evcc")]
    return frozenset({*rig.resources, *connectors, *ends})


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
        found += sorted(v2g_messages())
    if channel in ("secc", "evcc"):
        found += sorted(session_events())
    if channel == "store":
        found += RECORDS
    if channel in ("ocpp", "csms"):
        found += sorted(ocpp_frames())
    if channel == "fault":
        found += ["begun", "over"]
    return tuple(dict.fromkeys(found))


@cache
def _fields(channel: str, name: str) -> Fields:
    if name in (kinds := _of_kinds(channel)):
        return reduce(or_, (_read(KINDS[kind], VALUES.get(kind)) for kind in kinds[name]))
    if channel in ("wire.v2g", "evcc") and name in v2g_messages():
        return v2g_fields(name)
    if channel == "store":
        return _read(RECORD, RECORD_VALUES)
    if channel == "fault":
        parameters = {parameter.name for entry in CATALOGUE.values() for parameter in entry.parameters}
        return Fields(frozenset({"fault", "times", *parameters}), values=BEGUN_VALUES)
    if channel in ("ocpp", "csms"):
        return ocpp_fields(name)
    return session_events()[name]


def _check(pattern: Pattern, *, live: bool) -> None:
    fields = fields_of(pattern.channel, pattern.name)
    if fields is None:
        there = names_of(pattern.channel)
        raise ValueError(f'"{pattern}": {pattern.channel} never shows "{pattern.name}"; {_near(pattern.name, there)}')
    if live and pattern.channel == "store" and pattern.name in RECORDS:
        signed = f"store signed kind={pattern.name}"
        raise ValueError(f'"{pattern}": records are there when everything is over; meanwhile there is "{signed}"')
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
    values = fields.values.get(last)
    if values is not None and condition.operator in ("=", "!=") and condition.value not in (*values, _NULL):
        return f"never has {last}={condition.value}; {_near(condition.value, sorted(values))}"
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


def _read(words: str, values: Values | None = None) -> Fields:
    names, lists = set[str](), dict[str, str]()
    for word in words.split():
        name, bracket, size = word.removesuffix("]").partition("[")
        names.add(name)
        if bracket:
            lists[name] = size
    return Fields(frozenset(names - {"..."}), lists, "..." in names, values or {})
