"""The octets after decoding are the octets that were signed, on every path."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.operators.cpo.signed_values import (
    MAX_RECORD,
    Carriage,
    SignedMeterValue,
    signed_values_16,
    signed_values_201,
)
from ocmf.container import FormatError
from tests.backends.signed_records import RecordMaker

RECORD = RecordMaker().make()
OCMF = RECORD.ocmf
BASE64 = base64.b64encode(OCMF.encode()).decode()


def values_16(value: str, **more: str) -> list[SignedMeterValue]:
    sampled = {"value": value, "format": "SignedData", "context": "Transaction.Begin", **more}
    return signed_values_16([{"timestamp": "2026-01-01T12:00:00Z", "sampledValue": [sampled]}])


def oca(**fields: Any) -> str:
    return json.dumps(
        {"signedMeterData": BASE64, "signingMethod": "", "encodingMethod": "OCMF", "publicKey": "", **fields}
    )


@pytest.mark.parametrize(
    ("value", "carriage"),
    [
        (oca(), Carriage.JSON),
        (oca(publicKey=base64.b64encode(b"oca:base16:asn1:00").decode()), Carriage.JSON),
        (oca(publicKey=base64.b64encode(b"3059").decode()), Carriage.JSON),
        (oca(signedMeterData=OCMF), Carriage.JSON),
        (json.dumps({"signedMeterValue": BASE64, "encodingMethod": "OCMF"}), Carriage.JSON_SIGNED_METER_VALUE),
        (OCMF, Carriage.BARE),
        (BASE64, Carriage.BARE_BASE64),
    ],
)
def test_every_carriage_of_1_6(value: str, carriage: Carriage) -> None:
    (found,) = values_16(value)
    assert (found.ocmf, found.carriage, found.problem) == (OCMF, carriage, "")
    record = found.record("CP1/1")
    assert (record.record_id, record.gateway, record.meter, record.page) == (
        RECORD.record_id,
        RECORD.gateway,
        RECORD.meter,
        RECORD.page,
    )
    assert record.public_key == ""  # whatever came along


def test_2_0_1() -> None:
    signed = {"signedMeterData": BASE64, "signingMethod": "", "encodingMethod": "OCMF", "publicKey": "aa"}
    sampled = [{"value": 1}, {"value": 1, "signedMeterValue": signed}]
    (found,) = signed_values_201([{"timestamp": "2026-01-01T12:00:00Z", "sampledValue": sampled}])
    assert (found.ocmf, found.context, found.carriage) == (OCMF, "Sample.Periodic", Carriage.OCPP_201)


def test_readings_that_are_not_signed_are_left_out() -> None:
    assert (
        signed_values_16([{"timestamp": "", "sampledValue": [{"value": "1", "format": "Raw"}, {"value": "2"}]}]) == []
    )


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("not base64!", "neither a record nor base64"),
        ("{", "no JSON"),
        ("{}", "signedMeterData is missing"),
        (oca(signedMeterData=3), "signedMeterData is missing"),
        (oca(encodingMethod="EDL"), "encodingMethod is 'EDL'"),
        (oca(signedMeterData="%%"), "neither a record nor base64"),
        ("OCMF|" + "x" * MAX_RECORD, "at most"),
        ("OCMF|\0", "no text"),
        (oca(signedMeterData="OCMF|\ud800"), "no text"),
        ("[" * 100_000, "neither"),
        ('{"a":' * 100_000, "no JSON"),
    ],
)
def test_what_cannot_be_read_is_kept_with_its_reason(value: str, problem: str) -> None:
    (found,) = values_16(value)
    assert problem in found.problem
    assert "\0" not in found.ocmf
    with pytest.raises(FormatError, match=problem[:20]):
        found.record("CP1/1")


@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200))
def test_any_text_comes_back_octet_by_octet(text: str) -> None:
    record = "OCMF|" + text.replace("\0", "")
    (bare,), (wrapped,) = values_16(record), values_16(oca(signedMeterData=base64.b64encode(record.encode()).decode()))
    assert bare.ocmf == wrapped.ocmf == record


@given(text=st.text(max_size=300))
def test_no_value_breaks_the_reader(text: str) -> None:
    for found in values_16(text):
        assert len(found.identity) == 64
        try:
            found.record("CP1/1")
        except FormatError:
            continue
