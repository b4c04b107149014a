"""No password of a message reaches a trace."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend_client.ocpp.redaction import redacted

SECRET = "correct horse battery staple"


@pytest.mark.parametrize(
    "payload",
    [
        {"key": "AuthorizationKey", "value": SECRET},
        {"key": "authorizationkey", "value": SECRET},
        {
            "setVariableData": [
                {
                    "component": {"name": "SecurityCtrlr"},
                    "variable": {"name": "BasicAuthPassword"},
                    "attributeValue": SECRET,
                }
            ]
        },
        {"connectionData": {"apn": {"apnPassword": SECRET}, "vpn": {"server": "x", "password": SECRET, "key": SECRET}}},
        {"idToken": {"idToken": SECRET, "type": "KeyCode"}},
    ],
)
def test_passwords_are_hidden_and_the_rest_is_shown(payload: dict[str, Any]) -> None:
    shown = redacted(json.dumps([2, "1", "SetVariables", payload]))
    assert SECRET not in repr(shown)
    assert "***" in repr(shown)
    assert shown[:3] == [2, "1", "SetVariables"]


def test_other_settings_are_shown() -> None:
    message = [2, "1", "ChangeConfiguration", {"key": "HeartbeatInterval", "value": "60"}]
    assert redacted(json.dumps(message)) == message


@given(st.text())
def test_any_text_can_be_shown(text: str) -> None:
    redacted(text)


def test_a_contract_is_shown_by_its_hash() -> None:
    for message in (
        [3, "1", {"status": "Accepted", "exiResponse": SECRET}],
        [3, "1", {"status": "Accepted", "data": json.dumps({"status": "Accepted", "exiResponse": SECRET})}],
    ):
        shown = json.dumps(redacted(json.dumps(message)))
        assert SECRET not in shown
        assert hashlib.sha256(SECRET.encode()).hexdigest() in shown
