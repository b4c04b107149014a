"""Register contents to exact decimals and back."""

from __future__ import annotations

import math
import struct
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from meters.values import (
    WORDS,
    NotImplementedValueError,
    decode_number,
    decode_text,
    encode_number,
    encode_text,
    exact_below,
    float_step,
    shortest_decimal,
    to_octets,
    to_registers,
)

RANGES = {
    "u16": (0, 2**16 - 1),
    "i16": (-(2**15), 2**15 - 1),
    "u32": (0, 2**32 - 1),
    "i32": (-(2**31), 2**31 - 1),
    "u64": (0, 2**64 - 1),
    "i64": (-(2**63), 2**63 - 1),
    "acc32": (0, 2**32 - 1),
    "acc64": (0, 2**64 - 1),
}
orders = st.sampled_from(["be", "lsw"])


@given(st.sampled_from(sorted(RANGES)), orders, st.integers(-6, 3), st.data())
def test_integers_survive_in_every_order_and_scale(kind: str, order: str, exponent: int, data: st.DataObject) -> None:
    whole = data.draw(st.integers(*RANGES[kind]))
    value = Decimal(whole).scaleb(exponent)
    registers = encode_number(value, kind, order, exponent)
    assert len(registers) == WORDS[kind]
    number = decode_number(registers, kind, order, exponent)
    assert (number.value, number.exact) == (value, True)


def test_word_order() -> None:
    assert encode_number(Decimal(0x12345678), "u32", "be") == (0x1234, 0x5678)
    assert encode_number(Decimal(0x12345678), "u32", "lsw") == (0x5678, 0x1234)
    assert decode_number((0, 1, 0, 0), "u64", "lsw").value == 0x10000


def test_a_64_bit_counter_keeps_every_watt_hour() -> None:
    """float32 would read 16 777 216 here."""
    assert decode_number(encode_number(Decimal(16_777_217), "i64"), "i64").value == 16_777_217


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_the_shortest_decimal_of_a_float32_is_the_same_float32(number: float) -> None:
    shortest = shortest_decimal(number, "f32")
    assert struct.unpack(">f", struct.pack(">f", float(shortest)))[0] == number
    assert len(shortest.normalize().as_tuple().digits) <= 9


@given(st.integers(0, 13_107_199), st.sampled_from([-2]))
def test_a_float_counter_is_exact_below_its_limit(count: int, digit: int) -> None:
    """Every hundredth of a kWh up to 131 072 kWh comes back as it was counted."""
    value = Decimal(count).scaleb(digit)
    assert value < exact_below(digit, "f32")
    number = decode_number(encode_number(value, "f32"), "f32", digit=digit)
    assert (number.value, number.exact) == (value, True)
    assert str(number.value) == str(value)


@given(st.integers(13_107_200, 2**31))
def test_a_float_counter_is_marked_beyond_its_limit(count: int) -> None:
    number = decode_number(encode_number(Decimal(count).scaleb(-2), "f32"), "f32", digit=-2)
    assert not number.exact


@given(st.floats(width=32, min_value=2.0**-10, max_value=2.0**40))
def test_float_step(number: float) -> None:
    bits = struct.unpack(">I", struct.pack(">f", number))[0]
    following = struct.unpack(">f", struct.pack(">I", bits + 1))[0]
    assert Decimal(following - number) == float_step(number, "f32")  # both are exact in float64


def test_finer_counting_than_declared_is_not_rounded_and_marked() -> None:
    number = decode_number(encode_number(Decimal("1234.567"), "f32"), "f32", digit=-2)
    assert (number.value, number.exact) == (Decimal("1234.567"), False)
    number = decode_number(encode_number(Decimal("1234.567"), "f32"), "f32", digit=-3)
    assert (number.value, number.exact) == (Decimal("1234.567"), True)


def test_a_float_without_a_declared_digit_is_never_exact() -> None:
    assert not decode_number(encode_number(Decimal("12.5"), "f32"), "f32").exact


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("kind", "code"), [("f32", ">f"), ("f64", ">d")])
def test_floats_that_are_no_numbers(number: float, kind: str, code: str) -> None:
    with pytest.raises(NotImplementedValueError):
        decode_number(to_registers(struct.pack(code, number)), kind)


def test_sentinels() -> None:
    with pytest.raises(NotImplementedValueError):
        decode_number((0xFFFF, 0xFFFF), "u32", nan=(0xFFFFFFFF,))
    with pytest.raises(NotImplementedValueError):
        decode_number((0xFFFF, 0x7FFF), "i32", "lsw", nan=(0x7FFFFFFF,))
    assert decode_number((0xFFFF, 0xFFFE), "u32", nan=(0xFFFFFFFF,)).value == 0xFFFFFFFE


@given(st.integers(-(2**23) + 1, 2**23 - 1), st.integers(-10, 10))
def test_t6_survives(mantissa: int, power: int) -> None:
    value = Decimal(mantissa).scaleb(power)
    assert decode_number(encode_number(value, "t6"), "t6").value == value


def test_t5_and_t6_by_hand() -> None:
    """Iskra: exponent -2, mantissa 23 012 is 230.12; a T6 mantissa is signed."""
    assert decode_number((0xFE00, 0x59E4), "t5").value == Decimal("230.12")
    assert decode_number((0xFFFF, 0xFFF6), "t6").value == Decimal("-1.0")
    assert decode_number((0xFFFF, 0xFFF6), "t5").value == Decimal("1677720.6")


def test_counters_wrap_and_others_overflow() -> None:
    assert decode_number(encode_number(Decimal(2**32 + 5), "acc32"), "acc32").value == 5
    with pytest.raises(OverflowError):
        encode_number(Decimal(2**32), "u32")


def test_encoding_rounds_down() -> None:
    assert decode_number(encode_number(Decimal("12.39"), "i32", exponent=-1), "i32", exponent=-1).value == Decimal(
        "12.3"
    )


@given(st.lists(st.integers(0, 0xFFFF), max_size=8), orders)
def test_octets_and_registers_survive(registers: list[int], order: str) -> None:
    assert to_registers(to_octets(registers, order), order) == tuple(registers)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=14), st.sampled_from(["null", "space"]))
def test_text_survives_padding(text: str, pad: str) -> None:
    registers = encode_text(text, 7, pad)
    assert len(registers) == 7
    assert decode_text(registers, "text") == text


def test_text_that_is_too_long() -> None:
    with pytest.raises(ValueError, match="15 characters do not fit into 7 registers"):
        encode_text("x" * 15, 7)


def test_bcd_time() -> None:
    octets = bytes.fromhex("30 15 13 05 20 11 26 20")
    assert decode_text(to_registers(octets), "bcd_time") == "2026-11-20 13:15:30"


@given(st.sampled_from(sorted(WORDS)), st.data())
def test_any_registers_decode_or_say_not_implemented(kind: str, data: st.DataObject) -> None:
    words = WORDS[kind]
    registers = data.draw(st.lists(st.integers(0, 0xFFFF), min_size=words, max_size=words))
    try:
        number = decode_number(registers, kind)
    except NotImplementedValueError:
        assume(False)
    assert number.value.is_finite()
