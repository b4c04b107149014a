"""Register content to exact decimals and back; no value ever passes through a binary float of ours.

A decoded number is a Decimal with the digits that the register has. float32 registers are read as the shortest
decimal that has the same float32 (what the meter's firmware meant), never as the binary expansion.
"""

from __future__ import annotations

import contextlib
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Literal

Order = Literal["be", "lsw"]
NumberType = Literal["u16", "i16", "u32", "i32", "u64", "i64", "acc32", "acc64", "f32", "f64", "t5", "t6"]
TextType = Literal["text", "bcd_time", "hex"]

_INTEGERS: dict[str, tuple[int, bool]] = {  # type -> registers, signed
    "u16": (1, False),
    "i16": (1, True),
    "u32": (2, False),
    "i32": (2, True),
    "u64": (4, False),
    "i64": (4, True),
    "acc32": (2, False),  # SunSpec: counts up and wraps
    "acc64": (4, False),
}
_FLOATS = {"f32": (2, ">f"), "f64": (4, ">d")}
_FLOAT_LAST = {"f32": 23, "f64": 52}  # IEEE 754 fraction bits
WORDS: dict[str, int] = {kind: words for kind, (words, _) in _INTEGERS.items()} | {"f32": 2, "f64": 4, "t5": 2, "t6": 2}
WRAPS = {"acc32": 2**32, "acc64": 2**64}


class NotImplementedValueError(ValueError):
    """The register holds the value by which the device says "not measured here"."""


@dataclass(frozen=True, slots=True)
class Number:
    """A decoded register: its value, and whether every digit of it is the meter's own."""

    value: Decimal
    exact: bool = True


def to_octets(registers: Sequence[int], order: Order = "be") -> bytes:
    """Octets, high word first; lsw: the device sends the low word first."""
    words = registers if order == "be" else reversed(registers)
    return b"".join(word.to_bytes(2, "big") for word in words)


def to_registers(octets: bytes, order: Order = "be") -> tuple[int, ...]:
    """The reverse of `to_octets`."""
    words = [int.from_bytes(octets[i : i + 2], "big") for i in range(0, len(octets), 2)]
    return tuple(words if order == "be" else reversed(words))


def decode_number(
    registers: Sequence[int],
    kind: NumberType,
    order: Order = "be",
    exponent: int = 0,
    nan: Sequence[int] = (),
    digit: int | None = None,
) -> Number:
    """A number from registers, times ten to `exponent`.

    nan: raw unsigned contents that mean "not implemented"; a float NaN or infinity always does.
    digit: floats only: power of ten of the last digit that the meter counts in (before `exponent`); with it a
    value is exact while the float still tells neighbouring digits apart.
    Raises NotImplementedValueError.
    """
    octets = to_octets(registers, order)
    if int.from_bytes(octets, "big") in nan:
        raise NotImplementedValueError(octets.hex())
    if kind in _INTEGERS:
        return Number(Decimal(int.from_bytes(octets, "big", signed=_INTEGERS[kind][1])).scaleb(exponent))
    if kind in ("t5", "t6"):  # Iskra: signed exponent in the first octet, 24 bits of mantissa
        power = int.from_bytes(octets[:1], "big", signed=True)
        return Number(Decimal(int.from_bytes(octets[1:], "big", signed=kind == "t6")).scaleb(power + exponent))
    (number,) = struct.unpack(_FLOATS[kind][1], octets)
    if not math.isfinite(number):
        raise NotImplementedValueError(octets.hex())
    shortest = shortest_decimal(number, kind)
    exact = False
    if digit is not None:
        counted = shortest.quantize(Decimal(1).scaleb(digit))
        if counted == shortest and float_step(number, kind) < Decimal(1).scaleb(digit):
            shortest, exact = counted, True
    return Number(shortest.scaleb(exponent), exact)


def shortest_decimal(number: float, kind: NumberType) -> Decimal:
    """The decimal with the fewest digits that is stored as the same float32 (or float64)."""
    if kind == "f64":
        return Decimal(repr(number))
    for digits in range(1, 10):  # nine significant digits always suffice for float32
        text = f"{number:.{digits}g}"
        with contextlib.suppress(OverflowError):  # rounded up beyond the largest float32
            if struct.unpack(">f", struct.pack(">f", float(text)))[0] == number:
                break
    decimal = Decimal(text)
    return Decimal(int(decimal)) if decimal == int(decimal) else decimal


def float_step(number: float, kind: NumberType) -> Decimal:
    """Distance to the next float at `number`."""
    if number == 0:
        return Decimal(0)
    return Decimal(2) ** (math.frexp(number)[1] - 1 - _FLOAT_LAST[kind])


def exact_below(digit: int, kind: NumberType) -> Decimal:
    """Up to which value a float counter still tells steps of ten to `digit` apart."""
    exponent = math.ceil(_FLOAT_LAST[kind] + digit * math.log2(10))
    return Decimal(2) ** exponent


def encode_number(value: Decimal, kind: NumberType, order: Order = "be", exponent: int = 0) -> tuple[int, ...]:
    """Registers that hold `value`, rounded down at the register's last digit as counters do.

    Raises OverflowError when it does not fit (acc types wrap).
    """
    scaled = value.scaleb(-exponent)
    if kind in _FLOATS:
        words, code = _FLOATS[kind]
        return to_registers(struct.pack(code, float(scaled)), order)
    if kind in ("t5", "t6"):
        return to_registers(_encode_t(scaled, signed=kind == "t6"), order)
    words, signed = _INTEGERS[kind]
    whole = int(scaled.to_integral_value(ROUND_FLOOR))
    if kind in WRAPS:
        whole %= WRAPS[kind]
    return to_registers(whole.to_bytes(2 * words, "big", signed=signed), order)


def _encode_t(value: Decimal, *, signed: bool) -> bytes:
    limit = 1 << (23 if signed else 24)
    sign, digits, power = value.as_tuple()
    mantissa = int("".join(map(str, digits)) or "0") * (-1 if sign else 1)
    power = int(power)
    while abs(mantissa) >= limit:
        mantissa, power = mantissa // 10, power + 1
    return power.to_bytes(1, "big", signed=True) + mantissa.to_bytes(3, "big", signed=signed)


def decode_text(registers: Sequence[int], kind: TextType, order: Order = "be") -> str:
    """Text: null or space padded ASCII; bcd_time: "YYYY-MM-DD hh:mm:ss" from eight BCD octets; hex."""
    octets = to_octets(registers, order)
    if kind == "text":
        return octets.split(b"\0")[0].decode("ascii", "backslashreplace").strip()
    if kind == "bcd_time":
        second, minute, hour, _, day, month, year, century = (f"{octet:02x}" for octet in octets[:8])
        return f"{century}{year}-{month}-{day} {hour}:{minute}:{second}"
    return octets.hex()


def encode_text(text: str, words: int, pad: Literal["null", "space"] = "null") -> tuple[int, ...]:
    """Registers of ASCII text, padded to `words`. Raises ValueError when it is longer."""
    octets = text.encode("ascii")
    if len(octets) > 2 * words:
        raise ValueError(f"{len(octets)} characters do not fit into {words} registers")
    return to_registers(octets.ljust(2 * words, b"\0" if pad == "null" else b" "))
