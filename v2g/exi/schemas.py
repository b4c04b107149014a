"""The schema sets, the payload types that carry them, and their generated code, imported on first use."""

from __future__ import annotations

import importlib
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from v2g.exi.errors import UnknownSchemaError

if TYPE_CHECKING:
    from v2g.exi.element import Element
    from v2g.exi.grammar import Complex, Schema, Type


class SchemaSet(StrEnum):
    """A set of schemas with event codes of its own."""

    SAP = "sap"
    DIN = "din"
    ISO2 = "iso2"
    ISO20_COMMON = "iso20_common"
    ISO20_AC = "iso20_ac"
    ISO20_DC = "iso20_dc"
    ISO20_ACDP = "iso20_acdp"
    ISO20_WPT = "iso20_wpt"
    XMLDSIG = "xmldsig"


# 15118-20 table 14; 0x8001 is missing: it carries SAP, DIN and -2, and only the state of the session tells which
PAYLOAD_TYPES = {
    0x8002: SchemaSet.ISO20_COMMON,
    0x8003: SchemaSet.ISO20_AC,
    0x8004: SchemaSet.ISO20_DC,
    0x8005: SchemaSet.ISO20_ACDP,
    0x8006: SchemaSet.ISO20_WPT,
    0x8101: SchemaSet.ISO20_COMMON,
    0x8102: SchemaSet.ISO20_COMMON,
    0x8103: SchemaSet.ISO20_ACDP,
    0x8104: SchemaSet.ISO20_COMMON,
}

GENERATED = "v2g.exi.generated"


def schema_set(name: SchemaSet | str | int) -> SchemaSet:
    """The schema set of a name, of a namespace, or of a V2GTP payload type.

    Raises UnknownSchemaError; for 0x8001 too, which does not say what it carries.
    """
    if isinstance(name, SchemaSet):
        return name
    if isinstance(name, int):
        if name not in PAYLOAD_TYPES:
            hint = ": SAP, DIN and -2 share it, name the schema set" if name == 0x8001 else ""
            raise UnknownSchemaError(f"payload type {name:#06x} names no schema set{hint}")
        return PAYLOAD_TYPES[name]
    if name in set(SchemaSet):
        return SchemaSet(name)
    for candidate in SchemaSet:
        if schema(candidate).namespace == name:
            return candidate
    raise UnknownSchemaError(f"no schema set {name!r}; there are {', '.join(SchemaSet)}")


@cache
def roots(name: SchemaSet) -> Any:
    """The generated module with the functions of all documents and fragments."""
    return importlib.import_module(f"{GENERATED}.{name}.roots")


@cache
def schema(name: SchemaSet) -> Schema:
    """The roots and string tables of a schema set."""
    found: Schema = importlib.import_module(f"{GENERATED}.{name}.schema").SCHEMA
    return found


@cache
def grammar(key: str) -> Type:
    """The grammar of a type."""
    home = key.partition(".")[0]
    found: Type = importlib.import_module(f"{GENERATED}.{home}.grammar").TYPES[key]
    return found


def complex_grammar(key: str) -> Complex:
    """The grammar of a type that is known to be complex."""
    return cast("Complex", grammar(key))


@cache
def message_class(key: str) -> type[Element]:
    """The message class of a complex type."""
    home, _, name = key.partition(".")
    found: type[Element] = getattr(importlib.import_module(f"{GENERATED}.{home}.types"), name)
    return found


def type_key(message: type) -> str:
    """The key of the type that a message class was made of."""
    return _type_key(message)


@cache
def _type_key(message: type) -> str:
    prefix, _, home = message.__module__.removesuffix(".types").rpartition(".")
    if prefix != GENERATED:
        raise UnknownSchemaError(f"{message.__name__} is no message class of v2g.exi.generated")
    return f"{home}.{message.__name__}"
