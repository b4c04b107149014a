"""Spellings of EMAID, PCID, EVSEID and SECCID."""

from __future__ import annotations

import pytest

from v2g.identifiers import EMAID, EVSEID, PCID, SECCID, normalise, same


@pytest.mark.parametrize("text", ["DEABCC123ABC56", "DE-ABC-C123ABC56", "EMP99CQATEST001", "de-abc-c123abc56-x"])
def test_emaids(text):
    assert EMAID.fullmatch(text)


@pytest.mark.parametrize("text", ["", "DEABCC123ABC5", "DEABCE1234567890", "D1ABCC123ABC56", "DEABC_123ABC56"])
def test_no_emaids(text):
    assert not EMAID.fullmatch(text)


def test_other_identifiers():
    assert PCID.fullmatch("hubjectopenpnc0001")
    assert not PCID.fullmatch("hubjectopenpnc00")
    assert not PCID.fullmatch("hubjectopenpnc00012")
    assert EVSEID.fullmatch("DE*ABC*E1234*1")
    assert not EVSEID.fullmatch("DE*ABC*X1234")
    assert SECCID.fullmatch("DE-ICE-S-00003C4D557878675645330967543476-2")


def test_spellings_of_one_contract_are_the_same_and_a_15th_character_counts():
    assert normalise("de-abc-C123abc56") == "DEABCC123ABC56"
    assert same("DE-ABC-C123ABC56", "deabcc123abc56")
    assert not same("EMP99CQATEST001", "EMP99CQATEST002")
    assert not same("EMP99CQATEST00", "EMP99CQATEST001")
