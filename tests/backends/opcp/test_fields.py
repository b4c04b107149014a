import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.opcp.fields import MAX_CERTIFICATE, base64_text, certificate_octets, colon_hex, plain_hex, timestamp
from backends.refusals import Refusal, Refused


@given(st.binary(min_size=1, max_size=3000))
def test_base64_there_and_back(octets: bytes) -> None:
    assert certificate_octets(base64_text(octets), "root certificate") == octets


@pytest.mark.parametrize(
    "text", ["", "A", "AAA", "AA=A", "AAAA\n", " AAAA", "AA-_", "ÄÄÄÄ", "A" * (MAX_CERTIFICATE + 4)]
)
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        certificate_octets(text, "root certificate")
    assert refused.value.reason is Refusal.CERTIFICATE_FORMAT
    assert refused.value.field == "root certificate"


def test_pem_in_base64_is_taken_as_octets() -> None:
    pem = b"-----BEGIN CERTIFICATE-----"
    assert certificate_octets(base64.b64encode(pem).decode(), "root certificate") == pem


@pytest.mark.parametrize("text", ["45:B8:40:9e", "45b8409E", "45B8:409e"])
def test_key_identifiers_in_any_spelling(text: str) -> None:
    assert plain_hex(text) == "45b8409e"
    assert colon_hex(plain_hex(text)) == "45:b8:40:9e"


@pytest.mark.parametrize("text", ["", "4", "45:", ":45", "45::b8", "45-b8", "xy", "45" * 40, "٤٥"])
def test_other_key_identifiers_are_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        plain_hex(text)
    assert refused.value.reason is Refusal.ROOT_KEY_IDENTIFIER


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1970-01-01T00:00:00Z"), (1547124866, "2019-01-10T12:54:26Z"), (253402300799, "9999-12-31T23:59:59Z")],
)
def test_times_up_to_the_last_year_that_certificates_have(seconds: int, text: str) -> None:
    assert timestamp(seconds) == text
