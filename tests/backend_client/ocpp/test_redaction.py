"""No password of a message reaches a trace."""

from __future__ import annotations

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
