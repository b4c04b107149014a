"""Messages as XML, the form in which some backends hand over signed contract data (OPCP, `signedData`).

Names and namespaces are those of the schemas; `v2g.exi.xml_form.to_xml` writes the same form. Signatures are over EXI
fragments and survive the way through XML.
"""

from __future__ import annotations

import base64
import binascii
from functools import cache
from typing import Any
from xml.etree import ElementTree

from ports.errors import PeerError
from v2g.exi.grammar import Complex, Member, Simple, Step
from v2g.exi.schemas import SchemaSet, complex_grammar, grammar, message_class, schema, schema_set

MAX_OCTETS = 256 * 1024  # signed contract data have some 10 kB


class XmlError(PeerError):
    """XML that is no message of the schema; names the element."""


def from_xml(octets: bytes, schema_name: SchemaSet | str) -> Any:
    """Read a message. Raises XmlError.

    schema_name: the set whose document element is expected. Mandatory fields that are missing are None: what is
    complete enough is for the caller to say (a `signedData` of the OPCP has no SessionID, for example).
    """
    if len(octets) > MAX_OCTETS:
        raise XmlError(f"XML has {len(octets)} octets, at most {MAX_OCTETS} allowed", octets[:64])
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise XmlError(f"XML is not UTF-8: {error}", octets) from error
    if "<!DOCTYPE" in text:
        raise XmlError("XML with a DOCTYPE is refused", octets)
    try:
        root = ElementTree.fromstring(text.encode())  # noqa: S314 - see above
    except ElementTree.ParseError as error:
        raise XmlError(f"XML is not well-formed: {error}", octets) from error
    uri, name = _split(root.tag)
    for candidate in schema(schema_set(schema_name)).documents:
        if (candidate.name, candidate.uri) == (name, uri):
            return _read_complex(root, candidate.types[0], name)
    raise XmlError(f"{{{uri}}}{name} is no document element of {schema_name}", octets)


@cache
def _places(key: str) -> dict[str, tuple[Step, Member]]:
    """From the tag of a child or attribute to its step; "" is the text of simple content."""
    kind = complex_grammar(key)
    found = {}
    for step in kind.steps:
        for member in step.members:
            tag = "" if step.kind == "text" else _tag(member.name, member.uri)
            found[tag if step.kind != "attribute" else f"@{tag}"] = (step, member)
    return found


def _read_complex(node: ElementTree.Element, key: str, path: str) -> Any:
    kind, places = complex_grammar(key), _places(key)
    values: dict[str, Any] = {step.field: [] if step.many else None for step in kind.steps if step.field}
    for tag, text in node.attrib.items():
        if tag.startswith("{http://www.w3.org/2001/XMLSchema-instance}"):
            continue
        if f"@{tag}" not in places:
            raise XmlError(f"{path}: attribute {tag} is unknown")
        step, member = places[f"@{tag}"]
        values[step.field] = _read_simple(text, member.type, f"{path}/@{member.name}")
    for child in node:
        if child.tag not in places:
            raise XmlError(f"{path}: element {child.tag} is unknown")
        step, member = places[child.tag]
        value = _read(child, member.type, f"{path}/{member.name}")
        if step.many:
            values[step.field].append(value)
        elif values[step.field] is not None:
            raise XmlError(f"{path}/{member.name} stands twice")
        else:
            values[step.field] = value
    if "" in places:
        step, member = places[""]
        values[step.field] = _read_simple(node.text or "", member.type, path)
    elif (node.text or "").strip() and not kind.mixed:
        raise XmlError(f"{path}: text {node.text!r} where only elements may stand")
    return message_class(key)(**values)


def _read(node: ElementTree.Element, key: str, path: str) -> Any:
    if isinstance(grammar(key), Complex):
        return _read_complex(node, key, path)
    return _read_simple(node.text or "", key, path)


def _read_simple(text: str, key: str, path: str) -> str | int | bytes:
    simple = grammar(key)
    if not isinstance(simple, Simple):
        raise XmlError(f"{path} is no simple value")
    try:
        match simple.kind:
            case "string":
                return text
            case "enumeration":
                if text.strip() not in simple.values:
                    raise ValueError(f"expected one of {', '.join(simple.values)}")
                return text.strip()
            case "boolean":
                return {"true": True, "1": True, "false": False, "0": False}[text.strip()]
            case "hex":
                return bytes.fromhex(text.strip())
            case "base64":
                return base64.b64decode("".join(text.split()), validate=True)
            case _:
                return int(text)
    except (ValueError, KeyError, binascii.Error) as error:
        raise XmlError(f"{path}: {text[:80]!r} is no {simple.name.rpartition('.')[2]}: {error}") from error


def _tag(name: str, uri: str) -> str:
    return f"{{{uri}}}{name}" if uri else name


def _split(tag: str) -> tuple[str, str]:
    uri, _, name = tag.rpartition("}")
    return uri.removeprefix("{"), name
