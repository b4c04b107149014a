"""Parsing of records: raw bytes kept, odd forms read, ambiguous and broken ones refused with their place."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocmf.container import MAX_RECORD, FormatError, Record, UnknownFormatError, join, parse
from ocmf.payload import write_payload
from ports.errors import LocalError

SIGNATURE = '{"SD":"00"}'


def test_join_spells_the_curve_as_table_22(payload):
    text = join(write_payload(payload()), bytes.fromhex("30ff"), "brainpoolP256r1")
    assert text.endswith('|{"SA":"ECDSA-brainpool256r1-SHA256","SD":"30FF"}')
    assert text.startswith('OCMF|{"FV":')


@pytest.mark.parametrize("curve", ["secp521r1", "ed25519"])
def test_join_refuses_curves_that_ocmf_lacks(payload, curve):
    with pytest.raises(LocalError):
        join(write_payload(payload()), b"\x30", curve)


@pytest.mark.parametrize("broken", [b'{"a":"|"}', b' {"a":1}', b"[]"])
def test_join_refuses_what_does_not_survive(broken):
    with pytest.raises(LocalError):
        join(broken, b"\x30", "secp256r1")


@pytest.mark.parametrize("text", ["OCMF2|{}|{}", "", "{}", "ocmf|{}|{}", "<values/>", "AP;0;3;"])
def test_other_formats_are_unknown(text):
    with pytest.raises(UnknownFormatError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "position", "match"),
    [
        ('OCMF|{"PG":"T1","PG":"T2"}|' + SIGNATURE, 5, "'PG' stands twice"),
        ('OCMF|{"RD":[{"RV":1,"RV":2}]}|' + SIGNATURE, 5, "'RV' stands twice"),
        ('OCMF|{"PG":"T1"}|{"SD":"00","SD":"01"}', 17, "'SD' stands twice"),
        ("OCMF|{valid}|" + SIGNATURE, 6, "not JSON"),
        ("OCMF|[]|" + SIGNATURE, 5, "no JSON object"),
        ('OCMF|{"a":NaN}|' + SIGNATURE, 5, "NaN is not JSON"),
        ("OCMF|{}" + SIGNATURE, 7, "not followed"),
        ("OCMF|{}|", 8, "no JSON object"),
        ("OCMF|{}|" + SIGNATURE + "x", 19, "after the signature"),
        ('OCMF|{"a":' + "[" * 100_000 + "]" * 100_000 + "}|" + SIGNATURE, 5, "unreadable"),
    ],
)
def test_broken_records_name_the_place(text, position, match):
    with pytest.raises(FormatError, match=match) as error:
        parse(text)
    assert error.value.position == position
    assert not isinstance(error.value, UnknownFormatError)


def test_not_utf8_names_the_octet():
    with pytest.raises(FormatError, match="UTF-8") as error:
        parse(b'OCMF|{"GI":"\xff"}|' + SIGNATURE.encode())
    assert error.value.position == 12


def test_size_is_limited():
    with pytest.raises(FormatError, match="more than"):
        parse("OCMF|" + " " * MAX_RECORD)


def test_pipe_inside_a_string_is_read_and_reported():
    record = parse('OCMF|{"TT":"a|b"}|' + SIGNATURE)
    assert record.payload == b'{"TT":"a|b"}'
    assert "'|' inside" in record.deviations[0]


def test_white_space_around_the_payload_is_signed_and_reported():
    record = parse('OCMF| {"PG":"T1"}\n|' + SIGNATURE)
    assert record.payload == b' {"PG":"T1"}\n'
    assert "white space around the payload" in record.deviations[0]


def test_space_and_byte_order_mark_before_and_newline_after():
    record = parse(b'\xef\xbb\xbf\nOCMF|{"PG":"T1"}|' + SIGNATURE.encode() + b"\r\n")
    assert record.payload == b'{"PG":"T1"}'
    assert len(record.deviations) == 1


def test_numbers_keep_their_decimals_and_the_payload_its_bytes():
    text = '{"FV":1.0,"PG":"T7","CT":0,"RD":[{"RV":129.500}]}'
    record = parse(f"OCMF|{text}|{SIGNATURE}")
    assert record.payload == text.encode()
    assert str(record.readings[0].value) == "129.500"
    assert record.version == (1, 0)
    assert record.string("CT") == "0"
    assert record.page == ("T", 7)


@pytest.mark.parametrize(
    ("fv", "version"),
    [("1.3", (1, 3)), ("1", (1, 0)), ("0.4", (0, 4)), ("x", None), ("1.x", None), ("\u00b2", None)],  # superscript two
)
def test_versions(fv, version):
    assert parse(f'OCMF|{{"FV":"{fv}"}}|{SIGNATURE}').version == version


@pytest.mark.parametrize("page", ["", "X1", "T", "T1x", "T\u0661", "T" + "9" * 30])
def test_malformed_pages_are_none(page):
    assert parse(f'OCMF|{{"PG":"{page}"}}|{SIGNATURE}').page is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["TM", "RV", "RD", "PG", "x"]), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["FV", "PG", "RD", "IF", "MS", "GS", "IS", "CI"]), _JSON))
@settings(max_examples=300)
def test_any_json_in_any_field_parses_or_is_refused(fields):
    import json

    try:
        record = parse(f"OCMF|{json.dumps(fields)}|{SIGNATURE}")
    except FormatError:
        return
    assert isinstance(record, Record)
    assert all(isinstance(record.string(key), str) for key in fields)
    assert record.page is None or record.page[1] >= 0
    assert record.version is None or record.version >= (0, 0)
    assert all(reading.value is None or reading.value.is_finite() for reading in record.readings)
    assert all(reading.kwh is None or reading.kwh.is_finite() for reading in record.readings)


@given(st.text(st.sampled_from(string.printable + 'OCMF|{}":,[]\\é\ud800'), max_size=60), st.binary(max_size=60))
def test_rubbish_never_crashes(text, octets):
    for rubbish in (text, octets, "OCMF|" + text, b"OCMF|" + octets, 'OCMF|{"RD":[' + text):
        with pytest.raises(FormatError):
            parse(rubbish)


@given(st.data())
@settings(max_examples=300)
def test_mutated_records_parse_or_are_refused(payload, data):
    octets = bytearray(join(write_payload(payload()), bytes(70), "secp256r1").encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(octets) - 1))
        octets[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        parse(bytes(octets))
    except FormatError:
        return
