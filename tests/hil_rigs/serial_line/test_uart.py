"""The UART model gives what mismatched UARTs give in the field."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil_rigs.serial_line.uart import (
    Character,
    as_linux_delivers,
    as_sent,
    characters,
    mismatch,
    together,
    wave,
)
from ports.serial_line import SerialSettings

FORMATS = ("8N1", "8E1", "8O1", "8N2", "7E1")
DATA = Random(1).randbytes(2000)


def received(sender: SerialSettings, receiver: SerialSettings, octets: bytes = DATA) -> list[Character]:
    return characters(wave(octets, sender, 1000.0), receiver)


def errors(got: list[Character]) -> Counter[str]:
    return Counter(one.error for one in got)


@settings(deadline=None)  # the machine may be busy
@given(
    st.binary(max_size=40),
    st.sampled_from([300, 1200, 9600, 19200, 115200, 250000]),
    st.sampled_from(["8N1", "8E1", "8O1", "8N2", "8E2", "7E1", "7O2", "7N2"]),
    st.floats(0, 1e6),
)
def test_same_settings_carry_everything(octets: bytes, baud: int, format_: str, start: float) -> None:
    settings = SerialSettings(baud, format_)
    got = characters(wave(octets, settings, start), settings)
    short = as_sent(octets, settings, start)
    mask = (1 << settings.data_bits) - 1
    assert [(one.value, one.error) for one in got] == [(octet & mask, "") for octet in octets]
    assert [(one.value, one.error) for one in short] == [(octet & mask, "") for octet in octets]
    first_stop_bit = settings.stop_bits - 1  # a receiver is done after the first one
    for one, other in zip(got, short, strict=True):
        assert one.at == pytest.approx(other.at - first_stop_bit / baud, abs=1e-9)


def test_a_wave_is_what_the_oscilloscope_shows() -> None:
    # 0x55 at 8N1: start 0, then 1 0 1 0 1 0 1 0, stop 1: a change at every bit
    assert wave(b"\x55", SerialSettings(1, "8N1"), 0.0) == list(map(float, range(10)))
    assert wave(b"\xff", SerialSettings(1, "8E1"), 0.0) == [0.0, 1.0, 9.0, 10.0]  # parity of eight ones is low
    assert wave(b"\x00", SerialSettings(1, "8O1"), 0.0) == [0.0, 9.0]


# columns are receivers; 2000 random octets, nothing between the characters
@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        ("8N1", ["", "garbage", "garbage", "", "parity errors"]),
        ("8E1", ["framing errors", "", "parity errors", "framing errors", "framing errors"]),
        ("8O1", ["framing errors", "parity errors", "", "framing errors", "framing errors"]),
        ("8N2", ["", "parity errors", "parity errors", "", "parity errors"]),
        ("7E1", ["wrong bit 7", "garbage", "garbage", "wrong bit 7", ""]),
    ],
)
def test_every_pair_of_formats_does_its_own_damage(sender: str, expected: list[str]) -> None:
    assert [mismatch(SerialSettings(9600, sender), SerialSettings(9600, one)) for one in FORMATS] == expected


def test_even_parity_read_without_half_works() -> None:
    got = received(SerialSettings(9600, "8E1"), SerialSettings(9600, "8N1"))
    assert bytes(one.value for one in got) == DATA
    flagged = len(got) - errors(got)[""]
    assert 0.45 < flagged / len(got) < 0.55


def test_no_parity_read_as_even_merges_and_some_garbage_is_not_flagged() -> None:
    got = received(SerialSettings(9600, "8N1"), SerialSettings(9600, "8E1"))
    assert 1450 < len(got) < 1600
    assert 0.1 < errors(got)[""] / len(got) < 0.25  # only a CRC catches those


def test_even_read_as_odd_flags_every_octet() -> None:
    assert errors(received(SerialSettings(9600, "8E1"), SerialSettings(9600, "8O1"))) == {"parity": len(DATA)}


def test_twice_the_baud_rate_reads_more_octets_and_half_reads_fewer() -> None:
    twice = received(SerialSettings(9600, "8N1"), SerialSettings(19200, "8N1"), b"\x01\x03\x00\x00\x00\x01")
    assert bytes(one.value for one in twice) == bytes.fromhex("061e00000006")
    assert len(received(SerialSettings(9600, "8N1"), SerialSettings(19200, "8N1"))) > len(DATA)
    assert len(received(SerialSettings(19200, "8N1"), SerialSettings(9600, "8N1"))) < len(DATA)


@pytest.mark.parametrize(("percent", "fine"), [(3, True), (-3, True), (6, False), (-6, False)])
def test_how_far_a_bit_clock_may_be_off(percent: int, fine: bool) -> None:
    sender = SerialSettings(round(9600 * (1 + percent / 100)), "8N1")
    got = received(sender, SerialSettings(9600, "8N1"))
    assert (bytes(one.value for one in got) == DATA and not errors(got)["framing"]) == fine


def test_a_slow_clock_damages_octets_with_a_low_bit_7() -> None:
    got = received(SerialSettings(9024, "8N1"), SerialSettings(9600, "8N1"))
    assert len(got) == len(DATA)
    for one, octet in zip(got, DATA, strict=True):
        assert bool(one.error) == (octet < 0x80)


def test_d0_sign_on_read_at_8n1_has_its_parity_in_bit_7() -> None:
    got = received(SerialSettings(300, "7E1"), SerialSettings(300, "8N1"), b"/?!")
    assert bytes(one.value for one in got).hex() == "af3f21"


def test_a_glitch_shorter_than_half_a_bit_is_no_start_bit() -> None:
    assert characters([0.0, 0.4], SerialSettings(1, "8N1")) == []


def test_a_long_low_is_one_break() -> None:
    assert characters([0.0, 30.0], SerialSettings(1, "8N1")) == [Character(10.0, 0, "break")]


def test_two_senders_at_once_are_low_when_either_is() -> None:
    settings = SerialSettings(9600, "8N1")
    both = together([wave(b"\x0f\xaa", settings, 0.0), wave(b"\x3c\xaa", settings, 0.0)])
    assert bytes(one.value for one in characters(both, settings)) == b"\x0c\xaa"


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.tuples(st.binary(max_size=6), st.floats(0, 0.01)), max_size=4))
def test_waves_together_stay_waves(senders: list[tuple[bytes, float]]) -> None:
    settings = SerialSettings(9600, "8E1")
    both = together([wave(octets, settings, start) for octets, start in senders])
    assert len(both) % 2 == 0
    assert both == sorted(both)
    characters(both, settings)


def test_linux_hands_over_errors_as_termios_says() -> None:
    got = [Character(0, 0x41, ""), Character(1, 0x42, "parity"), Character(2, 0, "break"), Character(3, 0xFF, "")]
    assert as_linux_delivers(got, check=False) == b"\x41\x42\x00\xff"
    assert as_linux_delivers(got, check=True) == b"\x41\x00\x00\xff"
    assert as_linux_delivers(got, check=True, mark=True) == b"\x41\xff\x00\x42\xff\x00\x00\xff\xff"
    assert as_linux_delivers(got, check=True, ignore=True) == b"\x41\x00\xff"
