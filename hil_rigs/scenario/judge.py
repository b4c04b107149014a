"""What became of each assertion: pass, fail, inconclusive or not run, with what was expected and what was seen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any

import msgspec

from hil_rigs.fault_catalogue.entry import checked
from hil_rigs.scenario import format as said
from hil_rigs.scenario.channels import CHANNELS
from hil_rigs.scenario.checks import CHECKS
from hil_rigs.scenario.duration import seconds
from hil_rigs.scenario.moment import Moment, parse_moment
from hil_rigs.scenario.observer import Observer
from hil_rigs.scenario.pattern import ORDERING, Observation, Pattern, number_of, parse_pattern, values_of
from hil_rigs.scenario.remains import Remains
from hil_rigs.scenario.scenario_file import ScenarioFile
from hil_rigs.scenario.verifiers import NotRunError
from hil_rigs.scenario.vocabulary import fields_of
from ports.errors import PlugbenchError

TOLERANCE_S = 1e-6  # of comparing two boot times
MOST_SHOWN = 400  # characters of an observation in a verdict


class Verdict(StrEnum):
    """The worst last."""

    PASS = "pass"  # noqa: S105 - no password
    NOT_RUN = "not run"
    INCONCLUSIVE = "inconclusive"
    FAIL = "fail"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Judged:
    """One assertion. id: "then[0]". where: file:line. at: boot-time seconds of what decided it, if it was seen."""

    id: str
    where: str
    channel: str
    verdict: Verdict
    expected: str
    observed: str
    claim: str = ""
    ids: tuple[str, ...] = ()
    at: float | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    verdict: Verdict
    observed: str
    at: float | None = None


@dataclass(frozen=True, slots=True)
class _Window:
    """Numbers of observations from `since` on, before `until`; boot times of the anchors."""

    since: int
    until: int | None
    began: float
    ended: float | None


class Judge:
    """Judges assertions about one run. start: boot-time seconds at which it began.

    sources: from which something may come, whether it does or not.
    """

    def __init__(self, remains: Remains, start: float, sources: Collection[str] = ()) -> None:
        self._remains = remains
        self._observer: Observer = remains.observer.by_time()
        self._start = start
        self._sources = sources

    def all(self, file: ScenarioFile) -> tuple[Judged, ...]:
        """Every assertion of a scenario, in the order of the file."""
        return tuple(
            self.one(assertion, f"then[{number}]", file.line("then", number))
            for number, assertion in enumerate(file.scenario.then)
        )

    def one(self, assertion: said.Assertion, name: str, where: str) -> Judged:
        """One of them. where: file:line."""
        found = self._found(assertion)
        subject = assertion.check or " then ".join(assertion.order or ())
        subject = subject or assertion.expect or assertion.never or assertion.count or ""
        words = _words(assertion, subject)
        return Judged(
            id=name,
            where=where,
            channel=CHECKS[assertion.check].channel if assertion.check is not None else subject.split()[0],
            verdict=found.verdict,
            expected=f"{assertion.says}: {words}" if assertion.says else words,
            observed=found.observed,
            claim=assertion.claim,
            ids=tuple(assertion.ids),
            at=found.at,
        )

    def _found(self, one: said.Assertion) -> _Found:
        if one.check is not None:
            return self._check(one)
        window = self._window(one)
        if isinstance(window, _Found):
            return window
        found = _KINDS[one.kind](self, one, window)
        if found.verdict is Verdict.PASS:
            for text in filter(None, (one.expect, one.never, one.count, *(one.order or ()))):
                if blind := self._blind(parse_pattern(text, CHANNELS)):
                    return _Found(Verdict.INCONCLUSIVE, f'"{text}" was not looked at: {blind}')
        return found

    def _blind(self, pattern: Pattern) -> str:
        """Why this pattern says nothing about this run: its source, a field or a number is nowhere in it."""
        seen = self._observer.seen
        if pattern.source not in ("", *self._sources) and all(one.source != pattern.source for one in seen):
            there = dict.fromkeys(one.source for one in seen if one.channel == pattern.channel)
            return f"nothing came from @{pattern.source}; on {pattern.channel} came {', '.join(there) or 'nothing'}"
        named = list(self._observer.matching(Pattern(pattern.channel, pattern.name, pattern.source)))
        known = fields_of(pattern.channel, pattern.name)
        for condition in pattern.conditions if named else ():
            values = [value for one in named for value in islice(values_of(one.fields, condition.field), 1)]
            if not values and (known is None or condition.field.split(".")[-1] not in known.names):
                have = sorted({name for one in named for name in one.fields} - {"direction"})
                return f"no {pattern.name} of this run has {condition.field}; they have {', '.join(have)}"
            if values and condition.operator in ORDERING and all(number_of(value) is None for value in values):
                return f"{condition.field} is never a number; the last is {values[-1]!r}"
            if condition.operator != "~" and any(isinstance(value, Mapping | list | tuple) for value in values):
                return f"{condition.field} is no single value: say what of it, as {condition.field}.0 for the first"
        return ""

    def _window(self, one: said.Assertion) -> _Window | _Found:
        since, began, until, ended = 0, self._start, None, None
        if one.after is not None:
            anchor = self._anchor(parse_moment(one.after, CHANNELS))
            if anchor is None:
                return _Found(Verdict.INCONCLUSIVE, f'"{one.after}" never came')
            since, began = anchor
        if one.before is not None:
            anchor = self._anchor(parse_moment(one.before, CHANNELS))
            if anchor is not None:  # what never came limits nothing
                until, ended = anchor[0] - 1, anchor[1]
        return _Window(since, until, began, ended)

    def _anchor(self, moment: Moment) -> tuple[int, float] | None:
        """Number of the first observation after the moment, and its time."""
        if moment.pattern is None:
            began, number = self._start + moment.delay, 0
        else:
            seen = self._observer.find(moment.pattern)
            if seen is None:
                return None
            began, number = seen.at + moment.delay, seen.number + 1
        if moment.delay:
            later = (one.number for one in self._observer.seen[number:] if one.at >= began - TOLERANCE_S)
            number = next(later, len(self._observer.seen))
        return number, began

    def _expect(self, one: said.Assertion, window: _Window) -> _Found:
        pattern = parse_pattern(one.expect or "", CHANNELS)
        seen = self._observer.find(pattern, window.since, window.until)
        if seen is None:
            return _Found(Verdict.FAIL, self._nearest(pattern, window))
        took = seen.at - window.began
        if one.within is not None and took > seconds(one.within) + TOLERANCE_S:
            return _Found(Verdict.FAIL, f"it came {took:.3f} s after, later than {one.within}", seen.at)
        return _Found(Verdict.PASS, f"{seen}, {took:.3f} s after", seen.at)

    def _never(self, one: said.Assertion, window: _Window) -> _Found:
        pattern = parse_pattern(one.never or "", CHANNELS)
        last = None if one.within is None else window.began + seconds(one.within)
        for seen in self._observer.matching(pattern, window.since, window.until):
            if last is None or seen.at <= last:
                return _Found(
                    Verdict.FAIL, f"{seen} at {seen.at - self._start:.3f} s: {_fields(seen, pattern)}", seen.at
                )
        return _Found(Verdict.PASS, "not seen")

    def _count(self, one: said.Assertion, window: _Window) -> _Found:
        pattern = parse_pattern(one.count or "", CHANNELS)
        count = sum(1 for _ in self._observer.matching(pattern, window.since, window.until))
        good = (
            (one.exactly is None or count == one.exactly)
            and (one.at_least is None or count >= one.at_least)
            and (one.at_most is None or count <= one.at_most)
        )
        return _Found(Verdict.PASS if good else Verdict.FAIL, f"{count} times")

    def _order(self, one: said.Assertion, window: _Window) -> _Found:
        number, at = window.since, None
        for text in one.order or ():
            seen = self._observer.find(parse_pattern(text, CHANNELS), number, window.until)
            if seen is None:
                return _Found(Verdict.FAIL, f'"{text}" did not follow', at)
            number, at = seen.number + 1, seen.at
        return _Found(Verdict.PASS, "in this order", at)

    def _check(self, one: said.Assertion) -> _Found:
        name = one.check or ""
        check = CHECKS[name]
        try:
            wrong = check.run(self._remains, checked(name, check.parameters, one.values))
        except NotRunError as error:
            return _Found(Verdict.NOT_RUN, str(error))
        except PlugbenchError as error:
            return _Found(Verdict.ERROR, str(error))
        return _Found(Verdict.FAIL, "; ".join(wrong[:5])) if wrong else _Found(Verdict.PASS, check.meaning)

    def _nearest(self, pattern: Pattern, window: _Window) -> str:
        """What came instead, for whoever has to find out why."""
        same = Pattern(pattern.channel, pattern.name)
        named = list(self._observer.matching(same, window.since, window.until))
        if pattern.conditions and named:
            return f"not seen; {len(named)} times {pattern.name}, the last: {_fields(named[-1], pattern)}"
        others = list(self._observer.matching(Pattern(pattern.channel, "*"), window.since, window.until))
        names = ", ".join(dict.fromkeys(other.name for other in others[-10:]))
        return f"not seen; on {pattern.channel} came {names or 'nothing'}"


_KINDS: Mapping[str, Callable[[Judge, said.Assertion, _Window], _Found]] = {
    "expect": Judge._expect,  # noqa: SLF001 - a table of its own methods
    "never": Judge._never,  # noqa: SLF001
    "count": Judge._count,  # noqa: SLF001
    "order": Judge._order,  # noqa: SLF001
}


def _words(one: said.Assertion, subject: str) -> str:
    """The assertion in words."""
    words = [{"never": "never", "count": "count of", "order": "in order"}.get(one.kind, ""), subject]
    for name in ("exactly", "at_least", "at_most", "after", "before", "within"):
        value = getattr(one, name)
        words += [name.replace("_", " "), str(value)] if value is not None else []
    words += [f"{name}={value}" for name, value in one.values.items()]
    return " ".join(filter(None, words))


def _fields(seen: Observation, pattern: Pattern) -> str:
    """What it says; first what was asked for."""
    asked = []
    for condition in pattern.conditions:
        value = next(values_of(seen.fields, condition.field), None)
        asked.append(f"{condition.field}={_plain(value)}" if value is not None else f"no {condition.field}")
    text = _plain({name: value for name, value in seen.fields.items() if name != "direction"})
    text = text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 3] + "..."
    return f"{', '.join(dict.fromkeys(asked))} in {text}" if asked else text


def _plain(value: Any) -> str:
    """A value as patterns write it: text as it is, the rest as JSON."""
    return str(value) if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
