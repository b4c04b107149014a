"""The least message of a kind: mandatory fields only, each with a small value; for sending what nobody asked for."""

from __future__ import annotations

import typing
from typing import Any

import msgspec

from ports.errors import LocalError
from v2g.exi.element import Element
from v2g.exi.generated.din import types as din
from v2g.exi.generated.iso2 import types as iso2

MODULES: dict[str, Any] = {"din": din, "iso2": iso2}
# two names that their classes do not have
CLASSES = {("din", "SessionStopReq"): "SessionStopType"}


def least_body(schema: str, name: str) -> Any:
    """A body element by its name, e.g. "ServiceDiscoveryReq". Raises LocalError when the schema has none such."""
    kind = getattr(MODULES.get(schema), CLASSES.get((schema, name), f"{name}Type"), None)
    if not (isinstance(kind, type) and issubclass(kind, MODULES[schema].BodyBaseType)):
        raise LocalError(f"{schema} has no message {name!r}")
    return _least(kind)


def _least(kind: Any) -> Any:
    if typing.get_origin(kind) is typing.Literal:
        return typing.get_args(kind)[0]
    if typing.get_origin(kind) is list:
        return [_least(typing.get_args(kind)[0])]
    if isinstance(kind, type) and issubclass(kind, Element):
        concrete = [sub for sub in kind.__subclasses__() if sub.__doc__ and not sub.__doc__.startswith("Abstract")]
        chosen = concrete[0] if concrete and (kind.__doc__ or "").startswith("Abstract") else kind
        hints = typing.get_type_hints(chosen)
        fields = msgspec.structs.fields(chosen)
        return chosen(**{field.name: _least(hints[field.name]) for field in fields if field.required})
    return {int: 1, str: "0", bytes: b"\0", bool: False}[kind]
