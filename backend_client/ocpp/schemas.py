"""The Open Charge Alliance's JSON schemas, as the package `ocpp` carries them: both directions are held to them.

They are read here instead of with `ocpp.messages`, whose cache mixes float and Decimal, and which validates in threads.
"""

from __future__ import annotations

import json
from decimal import Decimal
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from jsonschema import Draft4Validator, Draft6Validator  # type: ignore[import-untyped]  # publishes no types

from backend_client.ocpp.frames import Payload
from backend_client.ocpp.settings import Version
from ports.errors import PeerError

# validator keyword -> CALLERROR code (OCPP 2.0.1 part 4, table 7); 1.6 spells two of them otherwise and lacks one
_CODES = {
    "type": "TypeConstraintViolation",
    "required": "OccurrenceConstraintViolation",
    "minItems": "OccurrenceConstraintViolation",
    "maxItems": "OccurrenceConstraintViolation",
    "maxLength": "PropertyConstraintViolation",
    "enum": "PropertyConstraintViolation",
    "minimum": "PropertyConstraintViolation",
    "maximum": "PropertyConstraintViolation",
    "multipleOf": "PropertyConstraintViolation",
}
_OLD_CODES = {
    "FormatViolation": "FormationViolation",
    "RpcFrameworkError": "GenericError",
    "OccurrenceConstraintViolation": "OccurenceConstraintViolation",
}


class SchemaError(PeerError):
    """A message that its schema forbids; `code` is the CALLERROR code that says so."""

    def __init__(self, message: str, code: str, received: str) -> None:
        super().__init__(message, received)
        self.code = code


def code_of(version: Version, code: str) -> str:
    """A CALLERROR code of 2.0.1, as this version spells it."""
    return _OLD_CODES.get(code, code) if version is Version.V16 else code


def is_known(version: Version, action: str) -> bool:
    """Whether the version has such an action."""
    return action in _actions(version)


def check(version: Version, action: str, payload: Payload, *, answer: bool = False) -> None:
    """Hold a request (or its answer) to its schema. Raises SchemaError with the place and what was wrong."""
    try:
        error = next(iter(_validator(version, action, answer).iter_errors(payload)), None)
    except ArithmeticError as wrong:  # multipleOf of an absurd number
        code = code_of(version, "PropertyConstraintViolation")
        raise SchemaError(f"OCPP {version} {action}: a number that nobody can handle ({wrong!r})", code, "") from wrong
    if error is None:
        return
    place = "/".join(str(step) for step in error.absolute_path) or "payload"
    found = error.message if len(error.message) <= 300 else f"{error.message[:80]} ... {error.message[-200:]}"
    code = code_of(version, _CODES.get(str(error.validator), "FormatViolation"))
    kind = "answer to " if answer else ""
    raise SchemaError(f"OCPP {version} {kind}{action}, {place}: {found}", code, repr(payload)[:2000])


@cache
def _actions(version: Version) -> frozenset[str]:
    stems = (file.name.removesuffix(".json") for file in _folder(version).iterdir())
    return frozenset(stem.removesuffix("Request") for stem in stems if not stem.endswith("Response"))


@cache
def _validator(version: Version, action: str, answer: bool) -> Any:
    path = _schema_path(version, action, answer=answer)
    schema = json.loads(path.read_text(encoding="utf-8-sig"), parse_float=Decimal)
    kind = Draft4Validator if "draft-04" in schema.get("$schema", "") else Draft6Validator
    return kind(schema)


def _schema_path(version: Version, action: str, *, answer: bool) -> Traversable:
    suffix = "Response" if answer else "" if version is Version.V16 else "Request"
    return _folder(version) / f"{action}{suffix}.json"


def _folder(version: Version) -> Traversable:
    return files("ocpp") / f"v{version.replace('.', '')}" / "schemas"
