"""Settings through a pty."""

from __future__ import annotations

import os
import termios
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meters.line_code import encode, is_pty, observe, publish
from meters.termios2 import Termios2
from ports.serial_line import SerialSettings

FORMATS = ["8N1", "8E1", "8O1", "8N2", "8E2", "8O2", "7N1", "7E1", "7O1", "7N2"]


@pytest.fixture(scope="module")
def pty() -> Iterator[tuple[int, int]]:
    master, slave = os.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


@settings(deadline=None)  # the machine may be busy
@given(st.sampled_from(FORMATS), st.integers(300, 1_000_000), st.sampled_from(FORMATS))
def test_what_one_end_publishes_the_other_observes(pty: tuple[int, int], format_: str, baud: int, before: str) -> None:
    master, slave = pty
    for wanted in (SerialSettings(9600, before), SerialSettings(baud, format_)):
        attributes = Termios2.read(slave)
        attributes.make_raw()
        publish(attributes, wanted)
        attributes.apply(slave)
        assert observe(Termios2.read(master)) == wanted


def test_named_rates_are_readable_by_other_programs(pty: tuple[int, int]) -> None:
    attributes = Termios2.read(pty[1])
    publish(attributes, SerialSettings(19200, "8N1"))
    attributes.apply(pty[1])
    assert termios.tcgetattr(pty[0])[5] == termios.B19200


def raw(settings: SerialSettings) -> Termios2:
    attributes = Termios2(0, 0, 0, 0, 0, bytearray(19), 0, 0)
    publish(attributes, settings)
    return attributes


@pytest.mark.parametrize("left", FORMATS)
@pytest.mark.parametrize("wanted", ["8N1", "8E1", "8O1", "8N2"])
def test_a_code_left_over_is_believed_only_when_the_flags_agree(left: str, wanted: str) -> None:
    attributes = raw(SerialSettings(9600, wanted))
    attributes.cc[termios.VEOL2] = encode(SerialSettings(9600, left))
    seen = observe(attributes)
    assert (seen.parity, seen.stop_bits) == (wanted[1], int(wanted[2]))


@settings(deadline=None)  # the machine may be busy
@given(st.integers(0, 255), st.integers(0, 2**18 - 1), st.integers(0, 2**16 - 1))
def test_any_flags_and_any_code_give_settings(code: int, cflag: int, iflag: int) -> None:
    attributes = Termios2(iflag, 0, cflag, 0, 0, bytearray(19), 9600, 9600)
    attributes.cc[termios.VEOL2] = code
    assert observe(attributes).format in {f"{bits}{parity}{stop}" for bits in "78" for parity in "NEO" for stop in "12"}


@pytest.mark.parametrize(("flags", "seen"), [(0, "8N1"), (termios.CSTOPB, "8N2"), (termios.PARODD, "8O1")])
def test_without_a_code_the_flags_tell_what_they_can(flags: int, seen: str) -> None:
    attributes = raw(SerialSettings(9600, "8N1"))
    attributes.cc[termios.VEOL2] = 0
    attributes.cflag |= flags
    assert observe(attributes).format == seen


def test_a_program_that_checks_parity_has_some() -> None:
    attributes = raw(SerialSettings(9600, "8N1"))
    attributes.cc[termios.VEOL2] = 0
    attributes.iflag |= termios.INPCK
    assert observe(attributes).format == "8E1"


def test_only_slaves_of_ptys_are_ptys(pty: tuple[int, int]) -> None:
    assert is_pty(pty[1])
    null = os.open("/dev/null", os.O_RDWR)
    assert not is_pty(null)
    os.close(null)
