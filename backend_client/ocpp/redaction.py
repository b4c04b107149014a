"""Messages as traces may show them: no passwords; contracts, in which a sealed key is, by their hash."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

HIDDEN = "***"
CONTRACT = "exiResponse"
# variables (2.0.1) and keys (1.6) whose values are secrets
_NAMES = frozenset({"basicauthpassword", "authorizationkey", "webpaymentssharedsecret"})
# fields of SetNetworkProfile (APNType, VPNType)
_SECRET_KEYS = frozenset({"apnpassword", "password", "presharedkey", "simpin", "sharedsecret"})


def redacted(text: str) -> Any:
    """The message as JSON, or its beginning when it is none."""
    try:
        return _clean(json.loads(text, parse_float=_number, parse_constant=str))
    except (ValueError, RecursionError):
        return text[:200]


def _number(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def _clean(value: Any) -> Any:
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if not isinstance(value, dict):
        return value
    hidden = {key for key in value if key.lower() in _SECRET_KEYS}
    if _names_a_secret(value):
        hidden |= {"value", "attributeValue", "variableAttribute"}
    if value.get("type") == "KeyCode":  # of an IdTokenType: a PIN
        hidden.add("idToken")
    if "server" in value and "password" in value:  # VPNType
        hidden.add("key")
    return {key: HIDDEN if key in hidden else _field(key, item) for key, item in value.items()}


def _field(key: str, value: Any) -> Any:
    if key == CONTRACT and isinstance(value, str) and value:
        return f"sha256 {hashlib.sha256(value.encode()).hexdigest()}"
    if key == "data" and isinstance(value, str) and CONTRACT in value:  # 1.6: the same as text inside DataTransfer
        return json.dumps(redacted(value))
    return _clean(value)


def _names_a_secret(fields: dict[str, Any]) -> bool:
    """SetVariables names its variable in an object, ChangeConfiguration in `key`."""
    variable = fields.get("variable")
    name = variable.get("name") if isinstance(variable, dict) else fields.get("key")
    return isinstance(name, str) and name.lower() in _NAMES
