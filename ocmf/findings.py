"""Findings: what a check saw, how bad it is, and what the official verifier would make of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum

# what the S.A.F.E. Transparenzsoftware 1.4.1 does, in a few words each
REFUSES = "the official verifier refuses it too"
REFUSES_ONLY = "the official verifier refuses it"
SILENT = "the official verifier does not check this"
SHOWS = "the official verifier only shows it"


class Severity(StrEnum):
    """How much a finding weighs: an error forbids billing."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. rule: stable name; field: OCMF key or path; official: what the official verifier says."""

    rule: str
    severity: Severity
    field: str
    text: str
    official: str = SILENT

    def __str__(self) -> str:
        return f"{self.severity}: {self.rule} ({self.field}): {self.text}; {self.official}"

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return {name: str(value) for name, value in asdict(self).items()}


def errors(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those that forbid billing."""
    return tuple(finding for finding in findings if finding.severity is Severity.ERROR)
