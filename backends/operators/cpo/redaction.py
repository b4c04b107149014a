"""What of a frame may stand in a trace: no secrets; contracts, in which a sealed key is, by their hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

HIDDEN = "***"
CONTRACT = "exiResponse"
# names of variables and keys whose values are secrets, in small letters: OCPP 2.0.1 part 2 appendix 3.1; 1.6 whitepaper
SECRET_VARIABLES = frozenset({"basicauthpassword", "authorizationkey", "webpaymentssharedsecret"})
SECRET_FIELDS = frozenset({"apnPassword", "password", "preSharedKey", "simPin"})
PIN_TYPE = "KeyCode"  # a PIN (OCPP 2.0.1 IdTokenEnumType)


def redacted(value: Any) -> Any:
    """A copy of plain values without secrets; numbers as a trace takes them."""
    if isinstance(value, Mapping):
        return {name: _field(value, name, one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(one) for one in value]
    return float(value) if isinstance(value, Decimal) else value


def _field(parent: Mapping[str, Any], name: str, value: Any) -> Any:
    rule = _RULES.get(name)
    if name in SECRET_FIELDS or (rule is not None and rule(parent)):
        return HIDDEN
    if name == CONTRACT and isinstance(value, str) and value:
        return f"sha256 {hashlib.sha256(value.encode()).hexdigest()}"
    if name == "data" and isinstance(value, str) and CONTRACT in value:  # 1.6: the same as text inside DataTransfer
        return _inner(value)
    return redacted(value)


def _inner(text: str) -> str:
    try:
        return json.dumps(redacted(json.loads(text)))
    except (ValueError, RecursionError):
        return HIDDEN


def _names_secret(name: object) -> bool:
    if isinstance(name, Mapping):
        name = name.get("name")
    return isinstance(name, str) and name.lower() in SECRET_VARIABLES


_RULES: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "attributeValue": lambda parent: _names_secret(parent.get("variable")),  # SetVariables, GetVariables
    "variableAttribute": lambda parent: _names_secret(parent.get("variable")),  # NotifyReport
    "actualValue": lambda parent: _names_secret(parent.get("variable")),  # NotifyEvent
    "value": lambda parent: _names_secret(parent.get("key")),  # 1.6 ChangeConfiguration, GetConfiguration
    "key": lambda parent: "server" in parent and "password" in parent,  # VPNType
    "idToken": lambda parent: parent.get("type") == PIN_TYPE,
}
