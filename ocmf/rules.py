"""The rules of a charging transaction, as a table.

Each rule looks at a Case (the records of one transaction, in order) and yields what it found. `official` says what the
S.A.F.E. Transparenzsoftware 1.4.1 does with the same fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from ocmf.case import Case
from ocmf.findings import REFUSES, REFUSES_ONLY, SHOWS, SILENT, Severity
from ocmf.terms import IDENTIFICATION_FLAGS, LEVEL_ERRORS, TX_ENDS, UNITS, Tx

Hits: TypeAlias = Iterator[tuple[str, str]]  # (OCMF key or path, what is wrong)


def _no_readings(case: Case) -> Hits:
    for index, record in enumerate(case.records):
        if not record.readings:
            yield case.path(index, "RD"), "there is no reading"


def _no_page(case: Case) -> Hits:
    for index, record in enumerate(case.records):
        if record.page is None:
            yield case.path(index, "PG"), f"{record.string('PG')!r} is no page"


def _begin_and_end(case: Case) -> Hits:
    begins, ends = case.of_tx({Tx.BEGIN}), case.of_tx(TX_ENDS)
    if len(begins) > 1:
        yield "RD.TX", f"{len(begins)} begin readings of a billed register"
    if len(ends) > 1:
        yield "RD.TX", f"{len(ends)} end readings of a billed register"
    if case.begin and case.end and case.begin.place >= case.end.place:
        yield "RD.TX", "the end stands before the begin"
    for item in case.all:
        if item.reading.tx and item.reading.tx not in _REASONS:
            yield item.path("TX"), f"{item.reading.tx!r} is no reason of table 7"


def _judged_register(case: Case) -> Hits:
    if case.is_transaction and case.all and not case.judged:
        names = sorted({item.reading.register for item in case.all})
        yield "RD.RI", f"none of the registers {names} is a billed one"


def _same_register(case: Case) -> Hits:
    if case.begin and case.end and case.begin.register != case.end.register:
        yield case.end.path("RI"), f"begin reads {case.begin.reading.register}, end {case.end.reading.register}"


def _value_readable(case: Case) -> Hits:
    for item in case.ends:
        if item.reading.value is None:
            yield item.path("RV"), f"{item.reading.fields.get('RV')!r} is no number"
        elif item.reading.kwh is None:
            yield item.path("RU"), f"{item.reading.unit!r} is no unit of energy"


def _value_order(case: Case) -> Hits:
    for before, after in pairwise(case.judged_values):
        if before.kwh is not None and after.kwh is not None and after.kwh < before.kwh:
            yield after.path("RV"), f"the register runs backwards, from {before.kwh} to {after.kwh} kWh"


def _time_order(case: Case) -> Hits:
    for before, after in pairwise(item for item in case.all if item.reading.time):
        if before.reading.time and after.reading.time and after.reading.time < before.reading.time:
            yield after.path("TM"), f"earlier than the reading before it ({before.reading.time.isoformat()})"


def _time_readable(case: Case) -> Hits:
    for item in case.all:
        if item.reading.time is None:
            yield item.path("TM"), f"{item.reading.fields.get('TM')!r} is no time"


def _time_letter(case: Case) -> Hits:
    for item in case.ends:
        if item.reading.time is not None and item.reading.time_status not in _TIME_LETTERS:
            yield item.path("TM"), f"the status letter is {item.reading.time_status!r}, not U, I, S or R"
    if case.begin and case.end and case.begin.reading.time_status == "R" and case.end.reading.time_status != "R":
        yield case.end.path("TM"), "begin is in relative time, end is not"


def _status_ends(case: Case) -> Hits:
    for item in case.ends:
        if item.reading.status != "G":
            yield item.path("ST"), f"meter status {item.reading.status or 'missing'!s}, not G"


def _status_between(case: Case) -> Hits:
    for item in case.between:
        if item.reading.status != "G" and item.reading.status not in _NEVER_BILLED:
            yield item.path("ST"), f"meter status {item.reading.status or 'missing'!s} between begin and end"


def _status_forbids(case: Case) -> Hits:
    for item in case.between:
        if item.reading.status in _NEVER_BILLED:
            yield item.path("ST"), f"meter status {item.reading.status} (manipulated, exchanged or substitute)"


def _energy_flag(case: Case) -> Hits:
    for item in case.all:
        if "E" in item.reading.error_flags:
            yield item.path("EF"), "energy is marked as not usable"


def _time_flag(case: Case) -> Hits:
    for item in case.all:
        if "t" in item.reading.error_flags:
            yield item.path("EF"), "time is marked as not usable: no billing by time"


def _exception(case: Case) -> Hits:
    for item in case.all:
        if item.reading.tx == Tx.EXCEPTION:
            yield item.path("TX"), "an exception: values from here on are unusable"


def _level(case: Case) -> Hits:
    for index, record in enumerate(case.records):
        level = record.string("IS" if case.old_model[index] else "IL")
        if level in LEVEL_ERRORS:
            yield case.path(index, "IL"), f"the identification is in error: {level}"


def _pages(case: Case) -> Hits:
    for index, (before, after) in enumerate(pairwise(case.records), start=1):
        if before.page and after.page and after.page != (before.page[0], before.page[1] + 1):
            yield case.path(index, "PG"), f"{after.string('PG')} does not follow {before.string('PG')}"


def _differs(keys: tuple[str, ...]) -> Callable[[Case], Hits]:
    def check(case: Case) -> Hits:
        for index, record in enumerate(case.records[1:], start=1):
            for key in keys:
                if record.fields.get(key) != case.records[0].fields.get(key):
                    first, here = case.records[0].string(key), record.string(key)
                    yield case.path(index, key), f"{first!r} in the first record, {here!r} here"

    return check


def _same_key(case: Case) -> Hits:
    for index, key in enumerate(case.keys[1:], start=1):
        if key != case.keys[0]:
            yield case.path(index, "SD"), "signed with another key than the first record"


def _source_named(case: Case) -> Hits:
    for index, record in enumerate(case.records):
        if not (any(record.source) or (record.string("CT") and record.string("CI"))):
            yield case.path(index, "MS"), "neither MS, GS nor CT and CI name the source"


def _billed_twice(case: Case) -> Hits:
    seen = set(case.already_billed)
    for index, record in enumerate(case.records):
        if record.record_id in seen:
            yield case.path(index, ""), f"the payload {record.record_id[:16]} is billed a second time"
        seen.add(record.record_id)


def _event_counter(case: Case) -> Hits:
    if case.begin and case.end and case.begin.reading.fields.get("EI") != case.end.reading.fields.get("EI"):
        yield case.end.path("EI"), "the event counter moved"


def _version(case: Case) -> Hits:
    for index, record in enumerate(case.records):
        version = record.version
        if version is None or not (version[0] == 0 or (1, 0) <= version <= (1, 3)):
            yield case.path(index, "FV"), f"version {record.string('FV') or 'absent'!s}"


def _units_differ(case: Case) -> Hits:
    if case.begin and case.end and case.begin.reading.unit != case.end.reading.unit:
        yield case.end.path("RU"), f"begin in {case.begin.reading.unit}, end in {case.end.reading.unit}: converted"


def _unit_known(case: Case) -> Hits:
    for item in case.judged:
        if item.reading.unit not in UNITS:
            yield item.path("RU"), f"{item.reading.unit!r} is not in table 20"


def _loss_at_begin(case: Case) -> Hits:
    for item in case.of_tx({Tx.BEGIN}):
        if item.reading.fields.get("CL"):
            yield item.path("CL"), "the cumulated loss is not 0 at the begin"


def _user_fields(case: Case) -> Hits:
    for index, record in enumerate(case.records):
        for key in ("IS", "IT"):
            if record.page and record.page[0] == "T" and not case.old_model[index] and key not in record.fields:
                yield case.path(index, key), "missing in a transaction"
        flags = record.fields.get("IF")
        if isinstance(flags, list):
            groups = [str(flag).split("_", 1)[0] for flag in flags]
            if len(set(groups)) != len(groups) or any(
                flag not in IDENTIFICATION_FLAGS.get(group, ()) for flag, group in zip(flags, groups, strict=True)
            ):
                yield case.path(index, "IF"), f"{flags} are not single flags of tables 13 to 16"


def _value_carried(case: Case) -> Hits:
    if case.end and "RV" in case.end.reading.carried:
        yield case.end.path("RV"), "omitted, so equal to the reading before"


def _contexts(case: Case) -> Hits:
    for index, (context, record) in enumerate(zip(case.contexts, case.records, strict=True)):
        reasons = {reading.tx for reading in record.readings}
        if context == "Transaction.Begin" and reasons & TX_ENDS:
            yield case.path(index, "TX"), "marked as begin, but holds an end"
        if context == "Transaction.End" and len(case.records) > 1 and Tx.BEGIN in reasons:
            yield case.path(index, "TX"), "marked as end, but holds a begin"


_REASONS = frozenset(reason.value for reason in Tx)
_TIME_LETTERS = frozenset("UISR")
_NEVER_BILLED = frozenset("MXS")
_SOURCE_KEYS = ("MS", "GS", "CT", "CI", "LC", "CF")


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the table. source: where the rule comes from."""

    name: str
    source: str
    severity: Severity
    official: str
    check: Callable[[Case], Hits]


_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO
_OCMF, _REA = "OCMF 1.4.1", "REA 6-A"
RULES: tuple[Rule, ...] = (
    Rule("readings", _OCMF, _E, "the official verifier accepts it", _no_readings),
    Rule("page", _OCMF, _E, "the official verifier stops with an internal error", _no_page),
    Rule("begin and end", _OCMF, _E, REFUSES, _begin_and_end),
    Rule("context", "SAFE XML", _E, REFUSES, _contexts),
    Rule("billed register", _OCMF, _E, REFUSES, _judged_register),
    Rule("same register", _OCMF, _E, SILENT, _same_register),
    Rule("value", _OCMF, _E, REFUSES, _value_readable),
    Rule("value order", f"{_OCMF}, {_REA}", _E, "the official verifier compares begin and end only", _value_order),
    Rule("time", _OCMF, _E, "the official verifier accepts impossible dates", _time_readable),
    Rule("time order", _REA, _E, "the official verifier compares begin and end only", _time_order),
    Rule("time letter", f"{_OCMF} table 19", _E, REFUSES, _time_letter),
    Rule("status", f"{_OCMF} table 10", _E, REFUSES, _status_ends),
    Rule("status between", f"{_OCMF} table 10", _W, SILENT, _status_between),
    Rule("status forbids billing", f"{_OCMF} table 10", _E, SILENT, _status_forbids),
    Rule("energy flag", f"{_OCMF} table 7", _E, "the official verifier looks at begin and end only", _energy_flag),
    Rule("time flag", f"{_OCMF} table 7", _I, SHOWS, _time_flag),
    Rule("exception", f"{_OCMF} table 7", _E, SILENT, _exception),
    Rule("identification level", f"{_OCMF} table 11", _E, REFUSES, _level),
    Rule("pagination", _OCMF, _E, SILENT, _pages),
    Rule("same source", _OCMF, _E, SILENT, _differs(_SOURCE_KEYS)),
    Rule("same key", _OCMF, _E, REFUSES, _same_key),
    Rule("source named", _OCMF, _E, SILENT, _source_named),
    Rule("same user", _REA, _E, SILENT, _differs(("IT", "ID"))),
    Rule("billed twice", _REA, _E, SILENT, _billed_twice),
    Rule("event counter", "OCMF 0.4", _E, REFUSES, _event_counter),
    Rule("version", _OCMF, _W, REFUSES_ONLY, _version),
    Rule("units differ", _OCMF, _W, "the official verifier compares the bare numbers", _units_differ),
    Rule("unit", f"{_OCMF} table 20", _W, SILENT, _unit_known),
    Rule("loss at begin", f"{_OCMF} table 7", _W, SILENT, _loss_at_begin),
    Rule("user fields", f"{_OCMF} table 4", _W, SILENT, _user_fields),
    Rule("value omitted", _OCMF, _W, REFUSES_ONLY, _value_carried),
)
