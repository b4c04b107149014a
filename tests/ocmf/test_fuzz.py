"""Long campaigns (make fuzz): mutated records, keys and XML files end in a verdict or in one of the named errors."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ocmf.container import FormatError, parse
from ocmf.grouping import group_transactions
from ocmf.keys import KeyFormatError, decode_public_key
from ocmf.safe_xml import SafeXmlError, read_safe_xml, write_safe_xml
from ocmf.stream import check_stream
from ocmf.transaction import TransactionStatus, judge_transaction
from ocmf.verify import InvalidSignatureError, UndecidableError, VerifiedRecord, verify_record

pytestmark = pytest.mark.fuzz

LONG = settings(
    max_examples=20_000, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
EDITS = st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 4), st.binary(max_size=4)), min_size=1, max_size=6)
VALUES = st.sampled_from(
    ["", "B", "E", "X", "S", "kWh", "Wh", "1-b:1.8.0", "01-00:B1.08.00*FF", "9" * 50, "1e5", "-0", "T1", "F0", "0.4"]
) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def mutate(octets, edits):
    mutable = bytearray(octets)
    for at, length, new in edits:
        at %= len(mutable) or 1
        mutable[at : at + length] = new
    return bytes(mutable)


@given(edits=EDITS)
@LONG
def test_mutated_records(record, key, edits):
    text = record().encode()
    changed = mutate(text, edits)
    try:
        verified = verify_record(changed, key.public)
    except (FormatError, InvalidSignatureError, UndecidableError):
        return
    assert verified.record.payload == parse(text).payload  # only what is not signed may have changed


@given(
    fields=st.dictionaries(
        st.sampled_from(["FV", "PG", "MS", "GS", "IS", "IL", "IF", "IT", "ID", "CT", "CI", "LC", "CF", "ZH"]), VALUES
    ),
    readings=st.lists(
        st.dictionaries(st.sampled_from(["TM", "TX", "RV", "RI", "RU", "RT", "CL", "EF", "ST", "EI"]), VALUES),
        max_size=4,
    ),
)
@LONG
def test_any_content_gets_a_verdict(key, fields, readings):
    text = f'OCMF|{json.dumps(fields | {"RD": readings})}|{{"SD":"00"}}'
    try:
        found = parse(text)
    except FormatError:
        return
    verified = VerifiedRecord(found, key.public, ())
    verdict = judge_transaction([verified, verified])
    assert verdict.status is TransactionStatus.NOT_OK  # the same record twice is never billed
    assert judge_transaction([verified]).status in TransactionStatus
    assert check_stream([found]).findings is not None
    assert len(group_transactions([verified, verified])) == 1


@given(edits=EDITS)
@LONG
def test_mutated_xml(record, key, edits):
    content = write_safe_xml([(1, "", record())], key.public).encode()
    try:
        values = read_safe_xml(mutate(content, edits))
    except SafeXmlError:
        return
    assert values


@given(edits=EDITS, form=st.sampled_from(["hex", "base64", "pem", "oca"]))
@LONG
def test_mutated_keys(key, edits, form):
    changed = mutate(getattr(key.public, form)().encode(), edits)
    try:
        found = decode_public_key(changed, key.public.curve)
    except KeyFormatError:
        return
    assert len(found.spki) > 60
