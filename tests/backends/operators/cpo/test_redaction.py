from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.operators.cpo.redaction import HIDDEN, redacted


@pytest.mark.parametrize(
    "payload",
    [
        {"idToken": {"idToken": "SECRET", "type": "KeyCode"}},
        {"setVariableData": [{"attributeValue": "SECRET", "variable": {"name": "BasicAuthPassword"}, "component": {}}]},
        {"reportData": [{"variable": {"name": "basicauthpassword"}, "variableAttribute": [{"value": "SECRET"}]}]},
        {"eventData": [{"variable": {"name": "BasicAuthPassword"}, "actualValue": "SECRET"}]},
        {"key": "AuthorizationKey", "value": "SECRET"},
        {"configurationKey": [{"key": "AuthorizationKey", "readonly": False, "value": "SECRET"}]},
        {"connectionData": {"apn": {"apnUserName": "u", "apnPassword": "SECRET", "simPin": 1}}},
        {
            "connectionData": {
                "vpn": {"server": "s", "user": "u", "password": "SECRET", "key": "SECRET", "type": "IKEv2"}
            }
        },
    ],
)
def test_secrets_are_hidden(payload: dict[str, Any]) -> None:
    found = str(redacted([2, "1", "X", payload]))
    assert HIDDEN in found
    assert "SECRET" not in found


def test_what_is_no_secret_stays() -> None:
    payload = {
        "idToken": {"idToken": "04A1B2C3", "type": "ISO14443"},
        "variable": {"name": "HeartbeatInterval"},
        "attributeValue": "300",
        "key": "HeartbeatInterval",
        "value": Decimal("1.50"),
    }
    assert redacted(payload) == payload


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["idToken", "key", "value", "variable", "type", "password", "x"]), inner)
        ),
        max_leaves=12,
    )
)
def test_any_payload_can_be_traced(value: Any) -> None:
    redacted(value)


def test_a_contract_is_shown_by_its_hash() -> None:
    for payload in (
        {"status": "Accepted", "exiResponse": "SECRET"},
        {"status": "Accepted", "data": json.dumps({"status": "Accepted", "exiResponse": "SECRET"})},
    ):
        shown = str(redacted(payload))
        assert "SECRET" not in shown
        assert hashlib.sha256(b"SECRET").hexdigest() in shown
    assert redacted({"data": "exiResponse"}) == {"data": HIDDEN}
