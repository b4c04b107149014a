"""The codec: messages to octets and back.

Straight-line code does what is regular; everything else (and every error) is left to the interpreter of the same
grammars, `reader` and `writer`, which knows the second level, the dialects and the place of every bit.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from v2g.exi.bits import Unusual, Window, finish
from v2g.exi.deviations import deviations, memory, remember_element
from v2g.exi.dialects import STANDARD, Dialect
from v2g.exi.errors import EncodeError, SizeError, UnknownSchemaError
from v2g.exi.schemas import SchemaSet, roots, schema_set, type_key

if TYPE_CHECKING:
    from v2g.exi.element import Element
    from v2g.exi.roots import Writer

__all__ = [
    "HEADER",
    "MAX_OCTETS",
    "check",
    "decode",
    "decode_fragment",
    "deviations",
    "element_name",
    "encode",
    "encode_fragment",
    "schema_of",
]

# the distinguishing bits 10, no options, version 1
HEADER = 0x80
# no V2G message comes near; bounds the memory that a peer can make us use
MAX_OCTETS = 1 << 18
# what straight-line code raises on octets or messages that are not regular
IRREGULAR = (Unusual, ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError)


def decode(
    schema: SchemaSet | str | int,
    payload: bytes,
    *,
    strict: bool = False,
    check: bool = True,
    dialect: Dialect = STANDARD,
) -> Element:
    """Decode a message.

    schema: the schema set, its namespace, or the V2GTP payload type (not 0x8001, which three sets share).
    payload: the EXI octets without the V2GTP header.
    strict: raise StrictError on the first deviation. Otherwise deviations are accepted, `deviations(message)` lists
    them, and encoding the message again gives the same octets.
    check: look for values outside the limits of the schema too; each is a deviation.
    dialect: whose octets these are.

    Raises ExiError with the place and the bit.
    """
    name = schema_set(schema)
    if dialect is STANDARD:
        try:
            message: Element = _decode(name, payload, check)
        except IRREGULAR:
            pass
        else:
            return message
    from v2g.exi.reader import read_document

    _check_size(name, payload)
    return read_document(name, payload, strict=strict, check=check, dialect=dialect)


def decode_fragment(
    schema: SchemaSet | str | int,
    payload: bytes,
    *,
    strict: bool = False,
    check: bool = True,
    dialect: Dialect = STANDARD,
) -> tuple[str, Any]:
    """Decode a fragment: (name of the element, message or simple value). Arguments and errors as `decode`."""
    name = schema_set(schema)
    if dialect is STANDARD:
        try:
            return _decode_fragment(name, payload, check)
        except IRREGULAR:
            pass
    from v2g.exi.reader import read_fragment

    _check_size(name, payload)
    return read_fragment(name, payload, strict=strict, check=check, dialect=dialect)


def encode(
    message: Element,
    *,
    check: bool = True,
    schema: SchemaSet | str | int | None = None,
    element: str | None = None,
    dialect: Dialect = STANDARD,
) -> bytes:
    """Encode a message: the inverse of `decode`, down to the deviations that a decoded message remembers.

    check: refuse values outside the limits of the schema (LimitError). With check=False whatever the format can
    express is written: wrong ranges and lengths, undefined enumeration values (Undefined("#29")), missing elements,
    values as text (Untyped("NOPE")).
    schema: only needed for the few classes that several schema sets share. element: only needed where two elements
    have one class (ACDP_DisconnectReq has that of ACDP_ConnectReq); decoded messages remember theirs.

    Raises EncodeError.
    """
    cls = type(message)
    if dialect is STANDARD and not message.__dict__:
        try:
            writer = _document_writer(cls, schema, element)
            if not check or writer.valid(message):
                return _write(writer, message)
        except IRREGULAR:
            pass
    from v2g.exi.writer import write_document

    name = schema_of(message) if schema is None else schema_set(schema)
    return write_document(name, element or element_name(message, name), message, check=check, dialect=dialect)


def encode_fragment(
    schema: SchemaSet | str | int,
    element: str,
    value: Any,
    *,
    check: bool = True,
    dialect: Dialect = STANDARD,
) -> bytes:
    """Encode an element as a fragment, the form that V2G signatures are made over.

    element: local name; "{namespace}name" where two elements share it. value: a message, or the value of a simple type.
    A signature of -2 and -20 covers SignedInfo as a fragment of `SchemaSet.XMLDSIG`, not of the message's schema.
    """
    name = schema_set(schema)
    table = roots(name)
    if dialect is STANDARD and not getattr(value, "__dict__", None):
        try:
            writer = table.FRAGMENT_WRITERS[element]
            if not check or writer.valid(value):
                return _write(writer, value, table)
        except IRREGULAR:
            pass
    from v2g.exi.writer import write_fragment

    return write_fragment(name, element, value, check=check, dialect=dialect)


def check(message: Element) -> None:
    """Raise LimitError if the message breaks a limit of its schema, naming every field."""
    from v2g.exi.limits import check_limits

    check_limits(message)


def schema_of(message: Element) -> SchemaSet:
    """The schema set whose class this is; raises UnknownSchemaError for a class that several sets share."""
    home = type_key(type(message)).partition(".")[0]
    if home not in set(SchemaSet):
        raise UnknownSchemaError(f"{type(message).__name__} belongs to several schema sets: name one")
    return SchemaSet(home)


def element_name(message: Element, schema: SchemaSet | None = None) -> str:
    """The global element that a message stands in, e.g. "V2G_Message"."""
    found = memory(message)
    if found and found.element:
        return found.element
    name = schema or schema_of(message)
    elements: dict[type, str] = roots(name).ELEMENTS
    if type(message) not in elements:
        raise EncodeError(f"{name}: {type(message).__name__} is not the type of a document's root element")
    return elements[type(message)]


def _decode(name: SchemaSet, payload: bytes, check: bool) -> Any:
    if len(payload) > MAX_OCTETS or payload[0] != HEADER:
        raise Unusual
    table = roots(name)
    window = Window(payload)
    width = table.DOCUMENT_WIDTH
    n = window.n
    p = n.bit_length() - 8 - width
    reader = table.DOCUMENT_READERS[n >> p & (1 << width) - 1]
    message, p = reader.decode(window if reader.growing else n, p)
    n = window.n
    if p > 7 or p < 0 or n & (1 << p) - 1 or window.at < len(payload) or (check and not reader.valid(message)):
        raise Unusual
    if reader.named:
        remember_element(message, reader.name)
    return message


def _decode_fragment(name: SchemaSet, payload: bytes, check: bool) -> tuple[str, Any]:
    if len(payload) > MAX_OCTETS or payload[0] != HEADER:
        raise Unusual
    table = roots(name)
    window = Window(payload)
    width = table.FRAGMENT_WIDTH
    mask = (1 << width) - 1
    n = window.n
    p = n.bit_length() - 8 - width
    reader = table.FRAGMENT_READERS[n >> p & mask]
    message, p = reader.decode(window if reader.growing else n, p)
    n = window.n
    p -= width
    if n >> p & mask != table.FRAGMENT_END:
        raise Unusual
    if p > 7 or n & (1 << p) - 1 or window.at < len(payload) or (check and not reader.valid(message)):
        raise Unusual
    return reader.name, message


@cache
def _document_writer(cls: type, schema: SchemaSet | str | int | None, element: str | None) -> Writer:
    """The writer of a message class; its code is the whole start of the stream."""
    table = roots(SchemaSet(type_key(cls).partition(".")[0]) if schema is None else schema_set(schema))
    writer: Writer = table.DOCUMENT_WRITERS[element or table.ELEMENTS[cls]]
    # the leading 1, the header, the event code
    return writer._replace(code=(1 << 8 | HEADER) << table.DOCUMENT_WIDTH | writer.code)


def _write(writer: Writer, message: Any, table: Any = None) -> bytes:
    out = bytearray()
    a = (1 << 8 | HEADER) << table.FRAGMENT_WIDTH | writer.code if table else writer.code
    a = writer.encode(a, message, out) if writer.growing else writer.encode(a, message)
    if table:
        a = a << table.FRAGMENT_WIDTH | table.FRAGMENT_END
    return finish(a, out)


def _check_size(name: SchemaSet, payload: bytes) -> None:
    if len(payload) > MAX_OCTETS:
        raise SizeError(f"{len(payload)} octets, more than {MAX_OCTETS}", payload[:64], 0, name)
