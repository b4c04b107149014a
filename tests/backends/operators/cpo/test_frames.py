from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.operators.cpo.frames import (
    MAX_FRAME,
    Call,
    ErrorCode,
    Failure,
    FrameError,
    Result,
    Version,
    check_call,
    check_result,
    read_frame,
    write_frame,
)

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**16), 10**16) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
PAYLOAD = st.dictionaries(TEXT, JSON, max_size=4)
IDS = TEXT.filter(bool)


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ('[2,"1","Heartbeat",{}]', Call("1", "Heartbeat", {})),
        ('[3,"1",{"a":1.50}]', Result("1", {"a": Decimal("1.50")})),
        ('[4,"1","InternalError","x",{}]', Failure("1", "InternalError", "x", {})),
    ],
)
def test_frames_are_read_with_the_digits_that_were_sent(text: str, frame: Any) -> None:
    assert read_frame(text) == frame


@pytest.mark.parametrize(
    ("text", "message_id"),
    [
        ("", "-1"),
        ("{}", "-1"),
        ("[]", "-1"),
        ("[5]", "-1"),
        ('[2,"1","Heartbeat"]', "1"),
        ('[2,"1","Heartbeat",{},1]', "1"),
        ('[2,"1","Heartbeat",[]]', "1"),
        ('[2,1,"Heartbeat",{}]', "-1"),
        ('[2,"","Heartbeat",{}]', "-1"),
        (f'[2,"{"x" * 37}","Heartbeat",{{}}]', "-1"),
        ('[3,"1"]', "-1"),
        ('[2,"1","Heartbeat",{"a":1,"a":2}]', "1"),
        ('[2,"1","Heartbeat",{"a":NaN}]', "1"),
        ('[2,"1","Heartbeat",{"a":"\\ud800"}]', "1"),
        ('[2,"1","Heartbeat",{"a":"\\u0000"}]', "1"),
        ('[2,"1","Heartbeat",{"a":' + "1" * 19 + "}]", "1"),
        ("[" * 100_000, "-1"),
        ("1" * 5000, "-1"),
        ('"' + "x" * MAX_FRAME + '"', "-1"),
    ],
)
def test_what_is_no_frame_is_answered_with_a_failure(text: str, message_id: str) -> None:
    with pytest.raises(FrameError) as refused:
        read_frame(text)
    assert refused.value.code is ErrorCode.RPC
    assert refused.value.failure.message_id == message_id
    assert len(refused.value.failure.description) <= 255


@given(frame=st.builds(Call, IDS, TEXT, PAYLOAD) | st.builds(Result, IDS, PAYLOAD))
def test_frames_survive_the_wire(frame: Any) -> None:
    assert read_frame(write_frame(frame, Version.V201)) == frame


@given(text=st.text(max_size=200) | JSON.map(json.dumps))
def test_any_text_is_a_frame_or_refused(text: str) -> None:
    try:
        read_frame(text)
    except FrameError as error:
        json.loads(write_frame(error.failure, Version.V16))


@given(
    action=st.sampled_from(["TransactionEvent", "Authorize", "BootNotification", "../Authorize", "é", ""]),
    payload=PAYLOAD,
)
def test_any_payload_is_valid_or_refused(action: str, payload: dict[str, Any]) -> None:
    with suppress(FrameError):
        check_call(Call("1", action, payload), Version.V201)


@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("Heartbeat", {"a": 1}, ErrorCode.FORMAT),
        ("Authorize", {}, ErrorCode.OCCURRENCE),
        ("Authorize", {"idToken": 1}, ErrorCode.TYPE),
        ("Authorize", {"idToken": {"idToken": "x" * 37, "type": "ISO14443"}}, ErrorCode.PROPERTY),
        ("Authorize", {"idToken": {"idToken": "x", "type": "Pin"}}, ErrorCode.PROPERTY),
        ("Fly", {}, ErrorCode.NOT_IMPLEMENTED),
    ],
)
def test_payloads_are_checked_by_their_schemas(action: str, payload: dict[str, Any], code: ErrorCode) -> None:
    with pytest.raises(FrameError) as refused:
        check_call(Call("7", action, payload), Version.V201)
    assert refused.value.code is code
    assert refused.value.failure.message_id == "7"


def test_a_long_value_is_not_repeated_in_the_error() -> None:
    answer = {"status": "Accepted", "exiResponse": "x" * 7500}
    check_result(Result("1", answer), "Get15118EVCertificate", Version.V201)
    signed = {"signedMeterData": "x" * 3000, "signingMethod": "", "encodingMethod": "OCMF", "publicKey": ""}
    values = [{"timestamp": "2026-01-01T12:00:00Z", "sampledValue": [{"value": 1, "signedMeterValue": signed}]}]
    with pytest.raises(FrameError, match="3000 characters, at most 2500") as refused:
        check_call(Call("1", "MeterValues", {"evseId": 1, "meterValue": values}), Version.V201)
    assert "xxx" not in str(refused.value)


def test_1_6_has_its_own_spelling() -> None:
    failure = Failure("1", ErrorCode.FORMAT, "x")
    assert json.loads(write_frame(failure, Version.V16))[2] == "FormationViolation"
    assert json.loads(write_frame(failure, Version.V201))[2] == "FormatViolation"
