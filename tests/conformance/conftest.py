"""Prints the verdicts by ID when the conformance list has run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

MARK = "test_secc.py::test_case["


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """passed, failed and not applicable, family by family."""
    verdicts = dict(_verdicts(terminalreporter))
    if not verdicts:
        return
    terminalreporter.section("ISO 15118-4 cases")
    families: dict[str, dict[str, list[str]]] = {}
    for identifier, verdict in sorted(verdicts.items()):
        family, _, number = identifier.removeprefix("TC_SECC_").replace("_VTB_", " ").rpartition("_")
        families.setdefault(family, {}).setdefault(verdict, []).append(number)
    for family, found in families.items():
        parts = [f"{verdict} {' '.join(numbers)}" for verdict, numbers in found.items()]
        terminalreporter.write_line(f"{family:32} {'; '.join(parts)}")
    counts = {verdict: list(verdicts.values()).count(verdict) for verdict in ("passed", "failed", "not applicable")}
    terminalreporter.write_line(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))


def _verdicts(reporter: pytest.TerminalReporter) -> Iterator[tuple[str, str]]:
    for status, verdict in (("passed", "passed"), ("failed", "failed"), ("skipped", "not applicable")):
        for report in reporter.stats.get(status, ()):
            name = getattr(report, "nodeid", "")
            if MARK in name and (status != "passed" or report.when == "call"):
                yield name.split(MARK)[1].rstrip("]"), verdict
