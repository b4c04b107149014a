"""Bill lines: signed energy (and time, where the meter's clock allows it) by tariff, exact until the cent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

import msgspec

from ocmf.transaction import TransactionVerdict
from ports.errors import LocalError

CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """What customers pay from `valid_from` on. Prices in cent, without VAT; vat_percent on top of them.

    ct_per_minute is charged only where the time may be billed (OCMF 1.4.1 table 19: synchronised or relative).
    """

    name: str
    valid_from: datetime
    ct_per_kwh: Decimal
    ct_fixed: Decimal = Decimal(0)
    ct_per_minute: Decimal = Decimal(0)
    vat_percent: Decimal = Decimal(19)
    currency: str = "EUR"


class Line(msgspec.Struct, frozen=True):
    """One line. amount: in the bill's currency, rounded to cents."""

    text: str
    quantity: Decimal
    unit: str
    ct_per_unit: Decimal
    amount: Decimal


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer owes for one transaction. net, vat, total: in `currency`. energy_kwh: as signed."""

    id: str
    operator: str
    cdr_id: str
    emaid: str
    evse_id: str
    meter: str
    began: datetime
    ended: datetime
    energy_kwh: Decimal
    tariff: str
    currency: str
    lines: list[Line]
    net: Decimal
    vat_percent: Decimal
    vat: Decimal
    total: Decimal
    digest: str
    notes: list[str]


def tariff_at(tariffs: Sequence[Tariff], moment: datetime) -> Tariff:
    """The newest tariff that held when the transaction began. Raises LocalError when none did."""
    held = [one for one in tariffs if one.valid_from <= moment]
    if not held:
        raise LocalError(f"no tariff holds at {moment.isoformat()}: the earliest must begin before the first session")
    return max(held, key=lambda one: one.valid_from)


def lines_of(tariff: Tariff, verdict: TransactionVerdict) -> list[Line]:
    """verdict: of a transaction that may be billed. Lines of 0 are left out, but for the energy."""
    assert verdict.energy_kwh is not None  # noqa: S101 - status OK
    lines = [_line("Energy", verdict.energy_kwh, "kWh", tariff.ct_per_kwh)]
    if tariff.ct_fixed:
        lines.append(_line("Session", Decimal(1), "", tariff.ct_fixed))
    if tariff.ct_per_minute and verdict.time_billable and verdict.duration is not None:
        minutes = Decimal(int(verdict.duration.total_seconds()) // 60)  # begun minutes are free
        lines.append(_line("Time", minutes, "min", tariff.ct_per_minute))
    return lines


def sums(lines: Sequence[Line], vat_percent: Decimal) -> tuple[Decimal, Decimal, Decimal]:
    """Net, VAT, total."""
    net = sum((line.amount for line in lines), Decimal("0.00"))
    vat = (net * vat_percent / 100).quantize(CENT, ROUND_HALF_UP)
    return net, vat, net + vat


def _line(text: str, quantity: Decimal, unit: str, price: Decimal) -> Line:
    return Line(text, quantity, unit, price, (quantity * price / 100).quantize(CENT, ROUND_HALF_UP))
