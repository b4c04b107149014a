"""Registers: which OBIS codes count as billed energy."""

import pytest

from ocmf.obis import parse_register


@pytest.mark.parametrize(
    "text",
    ["1-b:1.8.0", "1-0:1.8.0", "1-0:1.8.1", "01-00:01.08.00*FF", "01-00:01.08.00.FF", "01-00:B2.08.00*FF",
     "01-00:98.08.00*FF", "01-00:c7.08.00*ff", "1-0:1.8.0*255", "1-0:1.8.0*200"],
)  # fmt: skip
def test_billed(text):
    register = parse_register(text)
    assert register is not None
    assert register.is_energy


@pytest.mark.parametrize("text", ["1-0:2.8.0", "1-0:1.8.0*198", "1-0:1.7.0", "2-0:1.8.0", "01-00:C8.08.00*FF"])
def test_not_billed(text):
    register = parse_register(text)
    assert register is not None
    assert not register.is_energy


@pytest.mark.parametrize("text", ["", "xyz", "1.8.0", "1-b", "1-0:1.8"])
def test_no_obis_code(text):
    assert parse_register(text) is None


def test_spellings_of_one_register_are_equal():
    assert parse_register("1-0:1.8.0*FF") == parse_register("01-00:01.08.00.ff")


@pytest.mark.parametrize(
    ("code", "compensated"), [("01", False), ("98", True), ("B0", False), ("B1", True), ("C3", True)]
)
def test_compensated(code, compensated):
    register = parse_register(f"01-00:{code}.08.00*FF")
    assert register is not None
    assert register.is_compensated is compensated
