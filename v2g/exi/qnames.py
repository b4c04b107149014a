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


class QNameTable:
    """The string tables of one stream: a name that is not in its table joins it for the rest of the stream."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.uris = list(schema.uris)
        self._names: dict[str, list[str]] = {}

    def names(self, uri: str) -> list[str]:
        """The local names of a namespace."""
        if uri not in self._names:
            known: tuple[str, ...] = ()
            if uri in INITIAL:
                known = INITIAL[uri]
            elif uri in self.schema.uris:
                known = self.schema.names[self.schema.uris.index(uri)]
            self._names[uri] = list(known)
        return self._names[uri]

    def learn(self, uri: str, local: str) -> None:
        """Add what is new in a name."""
        if uri not in self.uris:
            self.uris.append(uri)
        if local not in self.names(uri):
            self.names(uri).append(local)
