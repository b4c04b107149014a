"""The registers of a simulated meter: exactly what a device of the model shows for an electrical state."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_DOWN, ROUND_FLOOR, Decimal

from meters.model import Identity, MeterModel, Point
from meters.values import WORDS, encode_number, encode_text, to_registers
from ports.energy import Electrical

SIMULATED_EXPONENT = -2  # what exponent registers say, where the model has some

_PHASES = range(3)
_VALUES: dict[str, Callable[[Electrical], Decimal]] = {
    "energy_import": lambda e: e.energy_import_wh,
    "energy_export": lambda e: e.energy_export_wh,
    "power": lambda e: _exact(sum(e.power_w)),
    "power_import": lambda e: max(_exact(sum(e.power_w)), Decimal(0)),
    "power_export": lambda e: max(-_exact(sum(e.power_w)), Decimal(0)),
    "frequency": lambda e: _exact(e.frequency_hz),
    "power_factor": lambda e: _power_factor(e),
} | {
    f"{name}_l{phase + 1}": (lambda e, field=field, phase=phase: _exact(getattr(e, field)[phase]))
    for name, field in (("voltage", "voltage_v"), ("current", "current_a"), ("power", "power_w"))
    for phase in _PHASES
}
_TO_SI = {"kWh": -3, "kW": -3}  # the plant counts in Wh and W


def _exact(value: float) -> Decimal:
    return Decimal(repr(float(value)))


def _power_factor(state: Electrical) -> Decimal:
    apparent = sum(u * i for u, i in zip(state.voltage_v, state.current_a, strict=True))
    return _exact(round(sum(state.power_w) / apparent, 6)) if apparent else Decimal(1)


class PhaseEnergies:
    """Energy of each phase: the plant's total, shared out by the phases' power whenever somebody looks."""

    def __init__(self) -> None:
        self._last = Decimal(0)
        self.import_wh = [Decimal(0)] * 3

    def update(self, state: Electrical) -> None:
        """Share out what was imported since the last look."""
        delta = state.energy_import_wh - self._last
        self._last = state.energy_import_wh
        powers = [max(_exact(power), Decimal(0)) for power in state.power_w]
        total = sum(powers) or Decimal(1)
        shares = [power / total for power in powers] if any(powers) else [Decimal(1), Decimal(0), Decimal(0)]
        first = [(delta * share).quantize(Decimal("1e-6")) for share in shares[1:]]
        for phase, energy in enumerate([delta - sum(first), *first]):
            self.import_wh[phase] += energy


def physical_value(name: str, state: Electrical, phases: PhaseEnergies) -> Decimal | None:
    """The value of a point in Wh, W, V, A or Hz; None when the plant does not have it."""
    if name.startswith("energy_import_l"):
        return phases.import_wh[int(name[-1]) - 1]
    source = _VALUES.get(name)
    return source(state) if source is not None else None


def last_digit(point: Point) -> Decimal:
    """The smallest step of a counter, in the register's unit."""
    return Decimal(1).scaleb(point.digit if point.digit is not None else point.exp)


def shown_value(point: Point, value: Decimal, start: Decimal = Decimal(0)) -> Decimal:
    """What the register shows, in its own unit. Counters show whole last digits: the floor, as they count pulses."""
    own = value.scaleb(_TO_SI.get(point.unit, 0))
    if point.kind == "instant":
        return own
    return start + own.quantize(last_digit(point), ROUND_FLOOR)


def point_registers(point: Point, shown: Decimal) -> dict[tuple[int, int], int]:
    """All registers of a point that shows `shown` (in the register's unit)."""
    registers: dict[tuple[int, int], int] = {}
    exponent = point.exp
    if point.exp_from is not None:
        content = SIMULATED_EXPONENT - point.exp_from.add
        content = max(content, 0) if point.exp_from.type == "u16" else content
        registers[point.function, point.exp_from.addr] = content & 0xFFFF
        exponent += content + point.exp_from.add
    for index, part in enumerate(point.summands):
        of_this_sign = max(part.sign * shown, Decimal(0)) if len(point.summands) > 1 else shown
        first = index == next(i for i, other in enumerate(point.summands) if other.sign == part.sign)
        value = of_this_sign if first else Decimal(0)
        if point.kind == "instant" and point.type not in ("f32", "f64", "t5", "t6"):
            value = value.quantize(Decimal(1).scaleb(exponent), ROUND_DOWN)
        if point.bits is not None:
            value = value * (1 << point.bits[0])
        for offset, word in enumerate(encode_number(value, point.type, point.order, exponent)):
            registers[point.function, part.addr + offset] = word
    return registers


def not_measured(point: Point) -> dict[tuple[int, int], int]:
    """Registers of a point that this device does not measure: its sentinel, or nothing at all."""
    if not point.nan:
        return {}
    words = to_registers(point.nan[0].to_bytes(2 * point.size, "big"), point.order)
    return {(point.function, part.addr + i): word for part in point.summands for i, word in enumerate(words)}


def identity_registers(identity: Identity, text: str) -> dict[tuple[int, int], int]:
    """Registers of an identity that reads `text`."""
    if identity.type not in WORDS:
        words = encode_text(text, identity.size)
    elif identity.form == "decimal":
        words = encode_number(Decimal(text), identity.type, identity.order)  # type: ignore[arg-type]
    else:
        octets = bytes(map(int, text.split("."))) if identity.form == "dotted" else bytes.fromhex(text)
        words = to_registers(octets.rjust(2 * identity.size, b"\0"), identity.order)
    return {(identity.fc or 3, identity.addr + i): word for i, word in enumerate(words)}


def default_identity(model: MeterModel, key: str, serial: str) -> str:
    """What a simulated device says where nothing was asked for."""
    identity: Identity | None = getattr(model.identify, key)
    if key == "serial" or identity is None:
        return serial
    if identity.expect:
        return str(next(iter(identity.expect)))
    return (
        {"decimal": "1", "hex": "0100", "bcd": "0100", "dotted": "1.0"}[identity.form]
        if identity.type in WORDS
        else "1.0.0"
    )
