"""Registers: which OBIS codes count as billed energy (IEC 62056-6-1; OCMF 1.4.1 table 25)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

# the field writes "1-b:1.8.0", "01-00:01.08.00.FF" and "01-00:B2.08.00*FF" alike
_OBIS = re.compile(
    r"(?P<a>[0-9A-Fa-f]{1,2})-(?P<b>[0-9A-Za-z]{1,3}):"
    r"(?P<c>[0-9A-Fa-f]{1,2})\.(?P<d>[0-9A-Fa-f]{1,2})\.(?P<e>[0-9A-Fa-f]{1,3})(?:[*.](?P<f>[0-9A-Fa-f]{1,3}))?"
)

# active import, its loss compensated forms, and table 25's B0 to C7
_ENERGY = frozenset({"1", "98", "9E"} | {f"{code:X}" for code in range(0xB0, 0xC8)})
_COMPENSATED = frozenset({"98", "B1", "B3", "C1", "C3"})
_CURRENT_VALUE = frozenset({"200", "255", "FF", None})  # group F: not a value of an earlier billing period


@dataclass(frozen=True, slots=True)
class Register:
    """A register by its groups, upper case, without leading zeros; f is None when not written."""

    a: str
    b: str
    c: str
    d: str
    e: str
    f: str | None

    @property
    def is_energy(self) -> bool:
        """Whether public verifiers bill from it."""
        return self.a == "1" and self.d == "8" and self.c in _ENERGY and self.f in _CURRENT_VALUE

    @property
    def is_compensated(self) -> bool:
        """Whether the loss in the cable is already taken off: where one exists, only such registers are billed."""
        return self.c in _COMPENSATED


@lru_cache(maxsize=256)
def parse_register(text: str) -> Register | None:
    """The register that RI names; None for text that is no OBIS code."""
    match = _OBIS.fullmatch(text.strip())
    if match is None:
        return None
    groups = {name: value.upper().lstrip("0") or "0" for name, value in match.groupdict().items() if value}
    return Register(groups["a"], groups["b"], groups["c"], groups["d"], groups["e"], groups.get("f"))
