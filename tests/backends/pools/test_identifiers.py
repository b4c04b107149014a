import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.opcp.error_texts import EMAID_PATTERN, PCID_PATTERN
from backends.pools.identifiers import emaid_key, normalised_emaid, pcid_key
from backends.refusals import Refusal, Refused


@pytest.mark.parametrize(
    ("spelling", "key"),
    [
        ("DE-8AA-CA2B3C4D5", "DE8AACA2B3C4D5"),
        ("de8aaca2b3c4d5", "DE8AACA2B3C4D5"),
        ("DE-8AA-CA2B3C4D5-L", "DE8AACA2B3C4D5"),  # L is its check digit
        ("DE8AACA2B3C4D5M", "DE8AACA2B3C4D5M"),  # M is not: a longer number
        ("EMP99CQATEST001", "EMP99CQATEST001"),
        ("EMP99CQATEST002", "EMP99CQATEST002"),
        ("EMP99CQAPAB004", "EMP99CQAPAB004"),
    ],
)
def test_one_key_for_every_spelling(spelling: str, key: str) -> None:
    assert emaid_key(spelling) == key


@pytest.mark.parametrize(
    "emaid", ["", "DEABCE1234567890", "D1ABCC123ABC56", "DE_ABC123ABC56", "DEABCC123ABC5_", "DE\n"]
)
def test_emaids_of_another_form_are_refused(emaid: str) -> None:
    with pytest.raises(Refused) as refused:
        emaid_key(emaid)
    assert refused.value.reason is Refusal.EMAID_FORMAT


@pytest.mark.parametrize(
    "pcid", ["", "X" * 16, "X" * 19, "WMI-2345671234567", "WMI1234567123456\n", "ÄMI12345671234567"]
)
def test_pcids_of_another_form_are_refused(pcid: str) -> None:
    with pytest.raises(Refused) as refused:
        pcid_key(pcid)
    assert refused.value.reason is Refusal.PCID_FORMAT


def test_pcids_ignore_case() -> None:
    assert pcid_key("hubUsEaTest000003") == pcid_key("HUBUSEATEST000003")


@given(st.from_regex(re.compile(EMAID_PATTERN, re.ASCII), fullmatch=True))
def test_whatever_the_published_form_allows_is_taken_unless_it_has_an_underscore(emaid: str) -> None:
    emaid = emaid.rstrip("\n")
    if "_" in emaid:
        with pytest.raises(Refused):
            emaid_key(emaid)
    else:
        assert len(normalised_emaid(emaid)) in (14, 15)
        assert emaid_key(emaid) == emaid_key(emaid.lower())


@given(st.text())
def test_any_text_is_taken_or_refused(text: str) -> None:
    for form, pattern in ((pcid_key, PCID_PATTERN), (emaid_key, EMAID_PATTERN)):
        try:
            form(text)
        except Refused:
            continue
        assert re.fullmatch(pattern, text, re.ASCII)
