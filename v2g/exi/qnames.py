"""Qualified names on the wire (EXI 7.1.7): only xsi:type, undeclared attributes and undeclared elements need them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from v2g.exi.grammar import Schema

XML = "http://www.w3.org/XML/1998/namespace"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
XSD = "http://www.w3.org/2001/XMLSchema"
XSD_TYPES = """
    ENTITIES ENTITY ID IDREF IDREFS NCName NMTOKEN NMTOKENS NOTATION Name QName anySimpleType anyType
    anyURI base64Binary boolean byte date dateTime decimal double duration float gDay gMonth gMonthDay
    gYear gYearMonth hexBinary int integer language long negativeInteger nonNegativeInteger
    nonPositiveInteger normalizedString positiveInteger short string time token unsignedByte unsignedInt
    unsignedLong unsignedShort
"""
# EXI D.2 and D.3: the names that every schema-informed string table starts with
INITIAL: dict[str, tuple[str, ...]] = {
    XML: ("base", "id", "lang", "space"),
    XSI: ("nil", "type"),
    XSD: tuple(XSD_TYPES.split()),
}


def local_names(schema: Schema, uri: str) -> tuple[str, ...]:
    """The string table of a namespace, empty if it has none."""
    if uri in INITIAL:
        return INITIAL[uri]
    return schema.names[schema.uris.index(uri)] if uri in schema.uris else ()
