"""What came of the assertions: counted, those that failed, by claim and conformance id, and all of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath

from hil_rigs.evidence.assertions import Assertion, overall
from hil_rigs.evidence.report.markup import Markup, element, joined, table

WORDS = ("pass", "fail", "error", "inconclusive", "not run")
"""Verdicts of assertions."""


def verdict(word: str) -> Markup:
    """A verdict in its colour."""
    kind = "".join(char for char in str(word).lower() if char.isascii() and char.isalpha())
    return element("span", word, class_=f"verdict v-{kind}")


def counted(assertions: Sequence[Assertion]) -> str:
    """How many of each verdict."""
    words = Counter[str](one.verdict for one in assertions)
    return ", ".join(f"{words[word]} {word}" for word in WORDS if words[word])


def failed(one: Assertion) -> Markup:
    """One that did not come out as it should, in a sentence."""
    named = ", ".join(filter(None, (one.claim, *one.ids)))
    what = f" {one.id}{f' ({named})' if named else ''}: expected "
    return joined((verdict(one.verdict), what, element("b", one.expected), ", observed ", element("b", one.observed)))


def results(assertions: Sequence[Assertion]) -> Markup:
    """The tables."""
    columns = [(name, show) for name, show in _COLUMNS.items() if any(show(one) for one in assertions)]
    details = table((name for name, _ in columns), ([show(one) for _, show in columns] for one in assertions))
    return joined((_by("claim", assertions), _by("conformance", assertions), details))


def _by(what: str, assertions: Sequence[Assertion]) -> Markup:
    """How many of each verdict, for each claim or conformance id; nothing where nobody named any."""
    groups: dict[str, list[Assertion]] = defaultdict(list)
    for one in assertions:
        for name in one.ids if what == "conformance" else (one.claim,):
            groups[name].append(one)
    if set(groups) <= {""}:
        return Markup()
    words = [word for word in WORDS if any(one.verdict == word for one in assertions)]
    rows = (
        (
            name or "none",
            verdict(overall(own)),
            *(sum(one.verdict == word for one in own) or "" for word in words),
            " ".join(one.id for one in own),
        )
        for name, own in groups.items()
    )
    return table((what, "verdict", *words, "assertions"), rows, class_="by")


def _free(text: str) -> Markup | str:
    """A cell that may break its text anywhere."""
    return element("td", text, class_="free") if text else ""


_COLUMNS: Mapping[str, Callable[[Assertion], object]] = {  # those with nothing in them are left out
    "id": lambda one: one.id,
    "claim": lambda one: one.claim,
    "conformance": lambda one: _free(", ".join(one.ids)),
    "channel": lambda one: one.channel,
    "verdict": lambda one: verdict(one.verdict),
    "expected": lambda one: _free(one.expected),
    "observed": lambda one: _free(one.observed),
    "real": lambda one: _free(" ".join(one.real)),
    "where": lambda one: element("code", PurePath(one.place).name),
}
