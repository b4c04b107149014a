"""Messages as traces may show them: without passwords."""

from __future__ import annotations

import json
import math
from typing import Any

HIDDEN = "***"
# where a CSMS sends a password: name of the setting -> key of its value, in the same object
_NAMES = frozenset({"basicauthpassword", "authorizationkey", "apnpassword", "vpnpassword"})
_SECRET_KEYS = frozenset({"apnpassword", "vpnpassword", "password", "sharedsecret", "basicauthpassword"})


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
    named = _names_a_secret(value)
    return {key: HIDDEN if _is_secret(key, named) else _clean(item) for key, item in value.items()}


def _is_secret(key: str, named: bool) -> bool:
    return key.lower() in _SECRET_KEYS or (named and key in {"value", "attributeValue"})


def _names_a_secret(fields: dict[str, Any]) -> bool:
    """SetVariables names its variable in an object, ChangeConfiguration in `key`."""
    variable = fields.get("variable")
    name = variable.get("name") if isinstance(variable, dict) else fields.get("key")
    return isinstance(name, str) and name.lower() in _NAMES
