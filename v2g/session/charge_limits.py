"""Charge parameters of a vehicle: what no vehicle can mean ([V2G2-477], [V2G2-478])."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from v2g.session.physical import number
from v2g.session.refusal import Refusal

# field -> (unit, lowest, highest): ISO 15118-2 tables 68 and 69; DIN SPEC 70121 tables 37 and 38
RANGES: Mapping[str, tuple[str, float, float]] = MappingProxyType(
    {
        "EAmount": ("Wh", 0, 200_000),
        "EVMaxVoltage": ("V", 0, 1000),
        "EVMaxCurrent": ("A", 0, 400),
        "EVMinCurrent": ("A", 0, 400),
        "EVMaximumCurrentLimit": ("A", 0, 700),
        "EVMaximumPowerLimit": ("W", 0, 600_000),
        "EVMaximumVoltageLimit": ("V", 0, 1000),
        "EVEnergyCapacity": ("Wh", 0, 400_000),
        "EVEnergyRequest": ("Wh", 0, 400_000),
    }
)
PERCENTS = ("FullSOC", "BulkSOC")


def check_parameters(parameters: Any) -> None:
    """Raise Refusal(FAILED_WrongChargeParameter), naming the field, when a value is out of its range or unit."""
    for field in parameters.__struct_fields__:
        value = getattr(parameters, field)
        if value is None:
            continue
        if field in RANGES:
            unit, lowest, highest = RANGES[field]
            if value.Unit not in (unit, None):
                _refuse(f"{field} is in {value.Unit}, expected {unit}")
            if not lowest <= number(value) <= highest:
                _refuse(f"{field} is {number(value):g} {unit}, expected {lowest:g} to {highest:g}")
        elif field in PERCENTS and not 0 <= value <= 100:
            _refuse(f"{field} is {value} per cent")
    status = getattr(parameters, "DC_EVStatus", None)
    if status is not None and not 0 <= status.EVRESSSOC <= 100:
        _refuse(f"EVRESSSOC is {status.EVRESSSOC} per cent")
    low, high = getattr(parameters, "EVMinCurrent", None), getattr(parameters, "EVMaxCurrent", None)
    if low is not None and high is not None and number(low) > number(high):
        _refuse(f"EVMinCurrent {number(low):g} A is above EVMaxCurrent {number(high):g} A")


def _refuse(reason: str) -> None:
    raise Refusal("FAILED_WrongChargeParameter", reason)
